"""Some questions are answered once more by a candidate, and nobody but the pairs can tell."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ingest.database import Database
from serving.budgets import Budgets
from serving.limits import Limiter
from serving.permits import Permits
from serving.shadow import Measures, Pair, PairStore, Shadow
from serving.usage import Entry
from tests.serving.application import WAIT_SECONDS, Application, serve
from tests.serving.clocks import Clock

pytestmark = pytest.mark.usefixtures("documents")
QUESTION = "how many kilograms of honey does one hive give each year"


@contextmanager
def shadowing(
    application: Application, draws: float = 0.0, **settings: Any
) -> Iterator[Application]:
    """Serve with a share of one half, of which each question draws the same number."""
    service = application.service
    changed = {"shadow_profile": "candidate", "shadow_share": 0.5, **settings}
    serving = service.settings.serving.model_copy(update=changed)
    shadow = Shadow(
        serving,
        service.answerer,
        service.bookkeeper,
        service.limits,
        service.profiles,
        service.pairs,
        lambda: draws,
    )
    with serve(replace(service, shadow=shadow)) as served:
        yield served


@pytest.fixture
def candidate(application: Application) -> Application:
    """The service with a candidate of one chunk saved, and no pairs."""
    profile = {"mode": "lexical", "top_k": 1}
    assert application.http.put("/v1/profiles/candidate", json=profile).status_code == 200
    application.service.pairs.forget_old(-1)
    return application


def pairs_after(application: Application) -> list[dict[str, Any]]:
    """Return the pairs when no shadow answer is under way."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not application.service.shadow.is_idle:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    found: list[dict[str, Any]] = application.http.get("/v1/shadow").json()["pairs"]
    return found


def usage(application: Application) -> dict[str, Any]:
    body = application.http.get("/v1/usage", params={"group_by": "key"}).json()
    return {one["key"]: one["num_answers"] for one in body["usage"]}


def test_a_question_is_answered_once_more_and_compared(candidate: Application) -> None:
    with shadowing(candidate) as served:
        before = usage(served)
        plain = candidate.ask(QUESTION).json()
        answer = served.ask(QUESTION).json()
        [pair] = pairs_after(served)
        after = usage(served)
    assert answer["choices"] == plain["choices"]
    assert answer["suffice"]["warnings"] == plain["suffice"]["warnings"]
    assert (pair["collection"], pair["profile"], pair["candidate"]) == (
        "default",
        "default",
        "candidate",
    )
    assert pair["served"]["prompt_tokens"] == answer["usage"]["prompt_tokens"]
    assert pair["served"]["citations"] == len(answer["choices"][0]["message"]["annotations"])
    alone = candidate.ask(QUESTION, suffice={"profile": "candidate"}).json()
    assert pair["shadow"]["prompt_tokens"] == alone["usage"]["prompt_tokens"]
    assert pair["shadow"]["grounded"] == 1
    assert pair["shadow"]["seconds"] > 0
    # Booked apart from what callers took.
    assert after["shadow"] - before.get("shadow", 0) == 1
    assert after["local"] - before.get("local", 0) == 2


def test_a_stream_is_followed_and_equal_answers_are_told(candidate: Application) -> None:
    candidate.http.put("/v1/profiles/candidate", json={})
    with shadowing(candidate) as served:
        served.stream(QUESTION)
        [pair] = pairs_after(served)
        assert pair["is_same"]
        for part in ("prompt_tokens", "completion_tokens", "usd", "grounded", "citations"):
            assert pair["served"][part] == pair["shadow"][part]


@pytest.mark.parametrize(
    ("draws", "settings", "request_"),
    [
        (0.5, {}, {}),
        (0.0, {"shadow_share": 0.0}, {}),
        (0.0, {"shadow_profile": None}, {}),
        (0.0, {"shadow_profile": "default"}, {}),
        (0.0, {}, {"suffice": {"top_k": 3}}),
        (0.0, {}, {"model": "suffice/candidate"}),
    ],
    ids=["not drawn", "no share", "no candidate", "the one that serves", "other wishes", "by name"],
)
def test_what_is_not_answered_once_more(
    candidate: Application, draws: float, settings: dict[str, Any], request_: dict[str, Any]
) -> None:
    with shadowing(candidate, draws, **settings) as served:
        served.ask(QUESTION, **request_)
        assert pairs_after(served) == []


def test_a_later_turn_is_not_answered_once_more(candidate: Application) -> None:
    turns = [("user", QUESTION), ("assistant", "Twenty."), ("user", "And the moon?")]
    messages = [{"role": role, "content": text} for role, text in turns]
    with shadowing(candidate) as served:
        assert served.http.post("/v1/chat/completions", json={"messages": messages}).is_success
        assert pairs_after(served) == []


def test_a_candidate_that_is_not_there_harms_nobody(
    candidate: Application, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), shadowing(candidate, shadow_profile="gone") as served:
        assert served.ask(QUESTION).is_success
        assert pairs_after(served) == []
    [record] = [one for one in caplog.records if one.getMessage() == "no shadow answer"]
    assert record.__dict__["reason"] == "ProfileNotFoundError"


def test_a_spent_budget_ends_it_for_the_day(
    candidate: Application, caplog: pytest.LogCaptureFixture
) -> None:
    candidate.service.usage.count(Entry("shadow", "default", "model", nano_usd=10))
    with caplog.at_level(logging.WARNING), shadowing(candidate, shadow_usd_per_day=9e-9) as served:
        assert served.ask(QUESTION).is_success
        assert pairs_after(served) == []
    [record] = [one for one in caplog.records if one.getMessage() == "no shadow answer"]
    assert record.__dict__["reason"] == "BudgetSpentError"


def test_a_busy_service_answers_once(candidate: Application) -> None:
    service = candidate.service
    # Of three permits the caller has one, of one all.
    for max_running, num_pairs in ((1, 0), (3, 1)):
        permits = Permits(max_running, 0, 0)
        limits = Limiter(Budgets(service.usage), permits, permits)
        few = replace(candidate, service=replace(service, limits=limits))
        with shadowing(few) as served:
            assert served.ask(QUESTION).is_success
            assert len(pairs_after(served)) == num_pairs


def test_pairs_are_listed_page_by_page_and_forgotten(database: Database) -> None:
    clock = Clock(datetime(2026, 11, 26, tzinfo=UTC))
    store = PairStore(database, clock.now)
    measures = Measures(10, 5, 0.01, 0.5, 1.0, 2)
    pair = Pair("laws", "q", "tuned", "a", "candidate", "b", True, measures, measures)
    for day in range(3):
        clock.seconds = day * 86_400
        store.add(pair)
    first, second = store.list_pairs(limit=2)
    assert first["served"] == {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "usd": 0.01,
        "seconds": 0.5,
        "grounded": 1.0,
        "citations": 2,
    }
    [third] = store.list_pairs(after=second["id"])
    store.forget_old(1)
    assert [one["id"] for one in store.list_pairs()] == [second["id"], third["id"]]
    assert third["time"] == clock.now()


@pytest.mark.parametrize(("cursor", "status"), [(2**63 - 1, 200), (2**63, 400), (-1, 400)])
def test_a_cursor_is_an_id_that_there_can_be(
    application: Application, cursor: int, status: int
) -> None:
    response = application.http.get("/v1/shadow", params={"cursor": cursor})
    assert response.status_code == status
