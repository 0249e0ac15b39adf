"""What lets a question in, in a route as the chat's: it lasts until the answer was sent."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from ingest.database import Database
from serving.access import Access
from serving.budgets import Budgets
from serving.errors import BudgetSpentError, RateLimitedError
from serving.keys import KeyLimits, KeyStore, Scope
from serving.limits import Limiter
from serving.permits import Permits
from serving.responses import error_response
from serving.routes.dependencies import Admission, CurrentCaller
from serving.usage import Entry, UsageLedger
from tests.serving.application import Application, assert_refused, run_in_thread

CHAT = "/v1/chat/completions"


class Chat:
    """A service whose answers go on until they are let go."""

    def __init__(self, application: Application, database: Database) -> None:
        self.keys = KeyStore(database)
        self.usage = UsageLedger(database)
        limits = Limiter(Budgets(self.usage), Permits(2, 0, 0), Permits(2, 0, 0))
        service = replace(application.service, keys=self.keys, usage=self.usage, limits=limits)
        self.goes_on = threading.Event()
        self.app = FastAPI()
        self.app.state.service = service
        self.app.add_api_route(CHAT, self.answer, methods=["POST"], response_model=None)
        self.app.add_middleware(Access, keys=self.keys, is_loopback=True)
        for kind in (RateLimitedError, BudgetSpentError):
            self.app.add_exception_handler(kind, lambda _request, error: error_response(error))

    async def answer(self, admit: Admission, caller: CurrentCaller) -> StreamingResponse:
        permit = await admit(100, 0)

        async def pieces() -> AsyncIterator[str]:
            yield "first "
            while not self.goes_on.is_set():
                await asyncio.sleep(0.005)
                yield "more "
            entry = Entry(caller.key.id, "default", "model", completion_tokens=60)
            self.usage.count(entry)
            await asyncio.to_thread(self.usage.write)
            permit.settle(60)
            yield "last"

        return StreamingResponse(pieces(), headers=permit.headers)


@pytest.fixture
def chat(application: Application, database: Database) -> Chat:
    return Chat(application, database)


@pytest.fixture
def http(chat: Chat) -> Iterator[httpx.Client]:
    config = uvicorn.Config(chat.app, port=0, log_level="warning")
    with run_in_thread(uvicorn.Server(config)) as url, httpx.Client(base_url=url) as http:
        yield http
        chat.goes_on.set()


def headers(chat: Chat, **limits: Any) -> dict[str, str]:
    _, secret = chat.keys.create("web page", [Scope.READ], limits=KeyLimits(**limits))
    return {"Authorization": f"Bearer {secret}"}


def test_permit_lasts_until_the_answer_was_sent(chat: Chat, http: httpx.Client) -> None:
    own = headers(chat, max_concurrent=1)
    with http.stream("POST", CHAT, headers=own) as first:
        pieces = first.iter_text()
        assert next(pieces).startswith("first")
        refused = http.post(CHAT, headers=own)
        says = "'web page' may have 1 requests under way at a time. Ask again in 1 s."
        assert_refused(refused, 429, "rate_limit_exceeded", None, says)
        assert refused.headers["Retry-After"] == "1"
        chat.goes_on.set()
        assert "".join(pieces).endswith("last")
    assert http.post(CHAT, headers=own).text == "first last"


def test_permit_comes_back_when_the_caller_has_gone(chat: Chat, http: httpx.Client) -> None:
    own = headers(chat, max_concurrent=1)
    with http.stream("POST", CHAT, headers=own) as first:
        assert next(first.iter_text()).startswith("first")
    deadline = time.monotonic() + 10
    while True:
        with http.stream("POST", CHAT, headers=own) as again:
            if again.status_code == 200:
                break
        assert time.monotonic() < deadline


def test_answer_settles_its_tokens_and_its_budget(chat: Chat, http: httpx.Client) -> None:
    chat.goes_on.set()
    own = headers(chat, tokens_per_minute=200, tokens_per_day=219)
    first = http.post(CHAT, headers=own)
    assert first.headers["x-ratelimit-limit-tokens"] == "200"
    assert first.headers["x-ratelimit-remaining-tokens"] == "100"  # the estimate is set aside
    second = http.post(CHAT, headers=own)
    assert second.headers["x-ratelimit-remaining-tokens"] == "40"  # 60 were taken, not 100
    third = http.post(CHAT, headers=own)
    says = "may spend 219 tokens a day: 120 tokens are spent, .* this one may take 100 tokens"
    assert_refused(third, 429, "budget_spent", None, says)
    assert 0 < int(third.headers["Retry-After"]) <= 24 * 3600


def test_service_without_room_says_so_at_once(chat: Chat, http: httpx.Client) -> None:
    own = headers(chat)
    with http.stream("POST", CHAT, headers=own), http.stream("POST", CHAT, headers=own):
        refused = http.post(CHAT, headers=own)
    says = "The service has 2 requests under way, and no room for more. Ask again in 1 s."
    assert_refused(refused, 429, "rate_limit_exceeded", None, says)
