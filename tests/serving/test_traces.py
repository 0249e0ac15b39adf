"""Traces, feedback and the ledger, over HTTP and in the database."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ingest.database import Database
from ingest.home import Home
from ingest.settings import IngestSettings
from serving.database import feedback, open_database
from serving.errors import TraceNotFoundError
from serving.settings import ServingSettings
from serving.traces import Rating, TraceStore
from tests.serving.application import Application, assert_refused

QUESTION = "How many kilograms of honey does one hive give each year?"
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def answer(application: Application, documents: dict[str, str]) -> dict[str, Any]:
    assert documents
    body: dict[str, Any] = application.ask(QUESTION, suffice={"top_k": 2}).json()
    return body


def trace_of(application: Application, answer: dict[str, Any]) -> dict[str, Any]:
    response = application.http.get(f"/v1/traces/{answer['suffice']['trace_id']}")
    assert response.status_code == 200, response.text
    trace: dict[str, Any] = response.json()
    return trace


def test_a_trace_tells_of_each_chunk_what_became_of_it(
    application: Application, answer: dict[str, Any]
) -> None:
    body = trace_of(application, answer)["body"]
    assert body["question"] == QUESTION
    candidates = body["candidates"]
    assert len({one["chunk_id"] for one in candidates}) == len(candidates) > 2
    assert all(one["ranks"] and one["filename"] for one in candidates)
    used = [one for one in candidates if "as [" in one["outcome"]]
    assert [one["chunk_id"] for one in used] == [one["chunk_id"] for one in candidates[:2]]
    assert all(one["outcome"].endswith("is beyond top_k 2") for one in candidates[2:])
    cited = {one["marker"] for one in body["answers"][0]["citations"]}
    told = {one["outcome"].removeprefix("cited as ") for one in used if "cited" in one["outcome"]}
    assert told == cited


def test_a_trace_has_what_the_answer_said(application: Application, answer: dict[str, Any]) -> None:
    trace = trace_of(application, answer)
    assert trace["collection"] == "default"
    body = trace["body"]
    assert body["answers"][0]["text"] == answer["choices"][0]["message"]["content"]
    for name in ("context", "plan", "cost", "query", "warnings"):
        assert body[name] == answer["suffice"][name]
    for name, seconds in answer["suffice"]["timings"].items():
        assert body["timings"][name] == seconds
    # What was asked can be asked again.
    profile = body["profile"]
    again = application.ask(QUESTION, suffice={"profile": profile, "top_k": body["top_k"]}).json()
    assert again["choices"][0]["message"] == answer["choices"][0]["message"]


def test_a_streamed_answer_has_a_trace_too(application: Application) -> None:
    *_, last = application.stream(QUESTION)
    assert trace_of(application, last)["body"]["question"] == QUESTION


def test_feedback_stands_with_its_trace(application: Application, answer: dict[str, Any]) -> None:
    trace_id = answer["suffice"]["trace_id"]
    for rating, comment in (("up", None), ("down", "It has no date.")):
        body = {"trace_id": trace_id, "rating": rating, "comment": comment}
        response = application.http.post("/v1/feedback", json=body)
        assert (response.status_code, response.json()["rating"]) == (201, rating)
    said = trace_of(application, answer)["feedback"]
    assert [(one["rating"], one["comment"]) for one in said[-2:]] == [
        ("up", None),
        ("down", "It has no date."),
    ]


def test_traces_are_listed_page_by_page(application: Application, answer: dict[str, Any]) -> None:
    application.ask("Do bees sleep?")
    seen: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        params: dict[str, str | int] = {"collection": "default", "limit": 1, "cursor": cursor}
        page = application.http.get("/v1/traces", params=params).json()
        seen += page["traces"]
        cursor = page["next_cursor"]
    assert [one["id"] for one in seen] == sorted({one["id"] for one in seen})
    [found] = [one for one in seen if one["id"] == answer["suffice"]["trace_id"]]
    assert found["question"] == found["query"] == QUESTION
    assert found["answer"] == answer["choices"][0]["message"]["content"]
    assert [one["quote"] for one in found["citations"]] == [
        one["file_citation"]["quote"] for one in answer["choices"][0]["message"]["annotations"]
    ]
    other = application.http.get("/v1/traces", params={"collection": "other"}).json()
    assert other == {"traces": [], "next_cursor": None}


def test_what_is_not_there(application: Application) -> None:
    response = application.http.get("/v1/traces/trace-0")
    assert_refused(response, 404, "trace_not_found", None, "SERVING_TRACE_DAYS")
    body = {"trace_id": "trace-0", "rating": "up"}
    response = application.http.post("/v1/feedback", json=body)
    assert_refused(response, 404, "trace_not_found", None, "no trace")
    response = application.http.post("/v1/feedback", json={**body, "rating": "meh"})
    assert_refused(response, 400, "invalid_value", "rating", "'up' or 'down'")


def test_usage_adds_up(application: Application) -> None:
    def total() -> dict[str, Any]:
        body: dict[str, Any] = application.http.get("/v1/usage").json()["total"]
        return body

    before = total()
    usages = [application.ask(QUESTION).json()["usage"] for _ in range(3)]
    after = total()
    assert after["num_answers"] - before["num_answers"] == 3
    for name in ("prompt_tokens", "completion_tokens"):
        assert after[name] - before[name] == sum(usage[name] for usage in usages)


def test_traces_are_of_the_key_that_asked_and_are_forgotten(database: Database) -> None:
    now = NOON
    store = TraceStore(database, lambda: now)
    store.add("trace-1", "alice", "laws", {"question": "Bees?"})
    assert store.get("trace-1").time == NOON
    store.rate("trace-1", "alice", Rating.UP, None)
    assert store.get("trace-1", "alice").body == {"question": "Bees?"}
    assert store.get("trace-1").key_id == "alice"
    with pytest.raises(TraceNotFoundError):
        store.get("trace-1", "bob")
    store.add("trace-2", "bob", "laws", {"question": "Tides?"})
    assert [one.id for one in store.list_traces("laws", "alice")] == ["trace-1"]
    assert [one.id for one in store.list_traces(after="trace-1")] == ["trace-2"]
    assert [len(one.feedback) for one in store.list_traces()] == [1, 0]
    now = NOON + timedelta(days=29)
    store.forget_old(30)
    assert store.get("trace-1").feedback[0]["rating"] == "up"
    now = NOON + timedelta(days=31)
    store.forget_old(30)
    with pytest.raises(TraceNotFoundError):
        store.get("trace-1")


# ---- deletion


def add(store: TraceStore, trace_id: str, key: str, collection: str, document: str) -> None:
    body = {"candidates": [{"chunk_id": "c", "document_id": document}]}
    store.add(trace_id, key, collection, body)
    store.rate(trace_id, key, Rating.UP, None)


def ids(store: TraceStore) -> list[str]:
    return [one.id for one in store.list_traces()]


def num_feedback(database: Database) -> int:
    with database.reading() as connection:
        return len(connection.execute(sa.select(feedback.c.id)).all())


@pytest.fixture
def store(database: Database) -> TraceStore:
    store = TraceStore(database)
    add(store, "trace-1", "alice", "laws", "bees")
    add(store, "trace-2", "alice", "contracts", "oaks")
    add(store, "trace-3", "bob", "laws", "bees")
    add(store, "trace-4", "bob", "laws", "bees-2")
    return store


def test_a_trace_goes_with_its_feedback(database: Database, store: TraceStore) -> None:
    with pytest.raises(TraceNotFoundError):
        store.delete("trace-1", "bob")
    store.delete("trace-1", "alice")
    assert ids(store) == ["trace-2", "trace-3", "trace-4"]
    assert num_feedback(database) == 3
    with pytest.raises(TraceNotFoundError):
        store.delete("trace-1")


@pytest.mark.parametrize(
    ("which", "kept"),
    [
        ({"collection": "laws"}, [2]),
        ({"asked_by": "alice"}, [3, 4]),
        ({"document_id": "bees"}, [2, 4]),
        ({"document_id": "bees", "asked_by": "bob"}, [1, 2, 4]),
        ({"key_id": "alice", "collection": "laws"}, [2, 3, 4]),
        ({"key_id": "alice", "asked_by": "bob"}, [1, 2, 3, 4]),
        ({"document_id": "b"}, [1, 2, 3, 4]),
    ],
)
def test_all_traces_of_something_go(
    database: Database, store: TraceStore, which: dict[str, str], kept: list[int]
) -> None:
    assert store.delete_all(**which) == 4 - len(kept)
    assert ids(store) == [f"trace-{number}" for number in kept]
    assert num_feedback(database) == len(kept)


def test_a_document_is_found_on_every_page(
    store: TraceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.traces._PAGE", 1)
    assert store.delete_all(document_id="bees") == 2
    assert ids(store) == ["trace-2", "trace-4"]


def test_nothing_of_a_deleted_trace_is_left_on_disk(tmp_path: Path) -> None:
    settings = (ServingSettings.model_construct(), IngestSettings.model_construct())
    with open_database(*settings, Home(tmp_path)) as database:
        store = TraceStore(database)
        store.add("trace-1", "alice", "laws", {})
        store.rate("trace-1", "alice", Rating.UP, "unmistakable")

        def is_on_disk() -> bool:
            files = [path for path in tmp_path.rglob("*") if path.is_file()]
            return any(b"unmistakable" in path.read_bytes() for path in files)

        assert is_on_disk()
        store.delete("trace-1")
        assert not is_on_disk()


def test_traces_are_deleted_over_http(application: Application) -> None:
    document = application.ingest("bees.md", "# Bees", collection="deleting")
    answers = [application.ask("Bees?", suffice={"collection": "deleting"}) for _ in range(3)]
    first, *_ = (answer.json()["suffice"]["trace_id"] for answer in answers)
    path = f"/v1/traces/{first}"
    assert application.http.delete(path).json() == {"id": first, "deleted": True}
    assert_refused(application.http.get(path), 404, "trace_not_found", None, first)
    assert_refused(application.http.delete(path), 404, "trace_not_found", None, first)
    for params, expected in (
        ({"document_id": document["id"], "collection": "other"}, 0),
        ({"document_id": document["id"]}, 2),
        ({"collection": "deleting"}, 0),
    ):
        response = application.http.delete("/v1/traces", params=params)
        assert response.json() == {"num_deleted": expected}


@pytest.mark.parametrize(
    ("params", "param", "says"),
    [
        ({}, None, "Say which traces"),
        ({"collection": "laws", "document": "x"}, "document", "Extra inputs"),
    ],
)
def test_a_deletion_of_everything_is_no_slip(
    application: Application, params: dict[str, str], param: str | None, says: str
) -> None:
    response = application.http.delete("/v1/traces", params=params)
    assert_refused(response, 400, "invalid_value", param, says)
