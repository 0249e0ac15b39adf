"""Budgets of a key hold, whatever an answer turns out to take."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import pytest

from ingest.database import Database
from serving.answering import Answerer
from serving.backends import Backend
from serving.budgets import Budgets
from serving.finding import search_library
from serving.keys import KeyLimits, KeyStore, Scope
from serving.limits import Limiter
from serving.models import Models
from serving.permits import Permits
from serving.usage import UsageLedger
from tests.serving.application import Application, assert_refused, serve
from tests.serving.test_answering import (
    NONCE,
    PRICES,
    QUESTION,
    SECRET,
    delta_of,
    make_generator,
    num_prompt_tokens,
)
from tests.serving.upstream import DONE, MODEL, START, Reply, Upstream, chunk

NUM_CLAIMS = 12
CLAIMS = [f"One hive gives twenty kilograms of honey each year [{NONCE}-1]. "] * NUM_CLAIMS

Ask = Callable[..., httpx.Response]


def reply(request: dict[str, Any]) -> Reply:
    """Answer with many claims, each of which another call finds supported."""
    texts = CLAIMS if request.get("response_format") is None else ['{"verdict": "supported"}']
    counts = {"prompt_tokens": num_prompt_tokens(request), "completion_tokens": len(texts)}
    choices = range(request.get("n", 1))
    pieces = [delta_of(choice, text) for choice in choices for text in texts]
    ends = [delta_of(choice, "", "stop") for choice in choices]
    return Reply([START, *pieces, *ends, chunk(None, usage=counts), DONE])


@pytest.fixture
def ledger(database: Database) -> UsageLedger:
    return UsageLedger(database)


@pytest.fixture
def keys(database: Database) -> KeyStore:
    return KeyStore(database)


@pytest.fixture
def served(
    application: Application,
    documents: dict[str, str],
    upstream: Upstream,
    ledger: UsageLedger,
    keys: KeyStore,
) -> Iterator[Application]:
    """A service with a model that has a price, and one without."""
    assert documents
    upstream.respond = reply
    priced = Backend(url=upstream.url, model=MODEL, price=PRICES)
    unpriced = Backend(url=upstream.url, model=MODEL)
    models = Models(
        {
            "priced": make_generator("priced", priced),
            "unpriced": make_generator("unpriced", unpriced),
        }
    )
    service = application.service
    find = partial(search_library, service.library, service.searcher)
    changed = replace(
        service,
        keys=keys,
        usage=ledger,
        limits=Limiter(Budgets(ledger), Permits(9, 0, 0), Permits(9, 0, 0)),
        bookkeeper=replace(service.bookkeeper, ledger=ledger),
        models=models,
        answerer=Answerer(service.library, find, models, SECRET),
    )
    with serve(changed) as served:
        yield served


@pytest.fixture
def ask(served: Application, keys: KeyStore) -> Iterator[Ask]:
    """Ask with a new key that has these limits; what it spent is checked against them."""
    asked: list[tuple[str, KeyLimits]] = []

    def ask(limits: KeyLimits, question: str = QUESTION, **options: Any) -> httpx.Response:
        key, secret = keys.create("web page", [Scope.READ], limits=limits)
        asked.append((key.id, limits))
        body = {"messages": [{"role": "user", "content": question}], "max_tokens": 20, **options}
        headers = {"Authorization": f"Bearer {secret}"}
        return served.http.post("/v1/chat/completions", json=body, headers=headers)

    yield ask
    for key_id, limits in asked:
        spent = served.service.usage.spent_today(key_id)
        assert spent.nano_usd <= (limits.nano_usd_per_day or spent.nano_usd)
        assert spent.num_tokens <= (limits.tokens_per_day or spent.num_tokens)


@pytest.mark.parametrize("limit", ["nano_usd_per_day", "tokens_per_day", "tokens_per_minute"])
def test_verification_stops_where_the_budget_does(ask: Ask, upstream: Upstream, limit: str) -> None:
    options = {"suffice": {"verify": "mark", "top_k": 2}}
    whole = ask(KeyLimits(), **options).json()
    assert len(whole["suffice"]["cost"]["calls"]) == 1 + NUM_CLAIMS
    assert whole["suffice"]["warnings"] == []
    tokens, usd = whole["usage"]["total_tokens"], whole["suffice"]["cost"]["usd"]
    amount = round(usd * 1e9 * 0.9) if limit == "nano_usd_per_day" else round(tokens * 0.9)

    body = ask(KeyLimits(**{limit: amount}), **options).json()
    assert body["choices"] == whole["choices"]
    assert 1 < len(body["suffice"]["cost"]["calls"]) < 1 + NUM_CLAIMS
    assert body["usage"]["total_tokens"] < tokens
    [warning] = body["suffice"]["warnings"]
    assert warning.startswith("Not every statement was verified: The key 'web page' may")
    assert len(upstream.requests) == len(body["suffice"]["cost"]["calls"]) + 1 + NUM_CLAIMS


def test_all_answers_are_set_aside_from_the_start(ask: Ask) -> None:
    limits = KeyLimits(tokens_per_minute=10_000)

    def left(**options: Any) -> int:
        answer = ask(limits, max_tokens=100, **options)
        return int(answer.headers["x-ratelimit-remaining-tokens"])

    assert left() - left(n=5) == 400
    assert left() - left(suffice={"samples": 5}) == 400


def test_answers_that_do_not_fit_the_budget_are_refused(ask: Ask) -> None:
    limits = KeyLimits(tokens_per_day=700)
    options = {"max_tokens": 100, "suffice": {"top_k": 1}}
    assert ask(limits, **options).status_code == 200
    for more in ({"n": 5}, {"suffice": {"top_k": 1, "samples": 5}}):
        refused = ask(limits, **{**options, **more})
        assert_refused(refused, 429, "budget_spent", None, "may spend 700 tokens a day")


def test_prompt_that_is_longer_than_expected_is_not_sent(ask: Ask, upstream: Upstream) -> None:
    limits = KeyLimits(tokens_per_day=1700)
    refused = ask(limits, f"{QUESTION} {'!' * 1500}")  # a token each
    assert_refused(refused, 429, "budget_spent", None, "may spend 1,700 tokens a day")
    assert upstream.requests == []


def test_budget_of_dollars_needs_a_price(ask: Ask, upstream: Upstream) -> None:
    limits = KeyLimits(nano_usd_per_day=10**9)
    refused = ask(limits, model="unpriced")
    says = "has a budget in dollars, and the model has no price. Give it one in SERVING_BACKENDS"
    assert_refused(refused, 403, "permission_denied", "model", says)
    assert upstream.requests == []
    assert ask(KeyLimits(tokens_per_day=10**6), model="unpriced").status_code == 200


def test_verifier_without_a_price_is_not_asked(ask: Ask) -> None:
    profile = {"answering": {"verify": "mark", "verifier": "unpriced"}}
    limits = KeyLimits(nano_usd_per_day=10**9)
    body = ask(limits, suffice={"profile": profile}).json()
    assert len(body["suffice"]["cost"]["calls"]) == 1
    [warning] = body["suffice"]["warnings"]
    assert "the model has no price" in warning
