"""Replays: the question of a trace asked again, of a library that changed or did not."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from ingest.home import Home
from retrieval.filters import parse_filter
from retrieval.packing import Order, PackingPolicy
from serving.answering import Answerer
from serving.backends import Backend, ThinkingSwitch
from serving.database import open_database
from serving.errors import NotReplayableError
from serving.finding import search_library
from serving.generation import Sampling, Turn
from serving.keys import KeyStore, Scope
from serving.models import Models
from serving.planning import Budget
from serving.profiles import AnsweringProfile, AnswerPolicy
from serving.question import Question
from serving.recording import play_back, record
from serving.replay import compare_hits
from serving.usage import Grouping
from tests.serving.application import Application, assert_refused, serve
from tests.serving.test_answering import ANSWER, NONCE, PRICES, SECRET, make_generator
from tests.serving.upstream import MODEL, Upstream, stream_reply

QUESTION = "How many kilograms of honey does one hive give each year?"
RECORDED = record(
    Question("Bees?", [], "default", AnsweringProfile(), 3, None, PackingPolicy(), Sampling(9))
)
RIVAL = "How many kilograms of honey does one hive give each year? Thirty kilograms of honey."


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory, application: Application) -> Iterator[KeyStore]:
    settings = application.service.settings
    home = Home(tmp_path_factory.mktemp("keys"))
    with open_database(settings.serving, settings.ingest, home) as database:
        yield KeyStore(database)


@contextmanager
def serve_model(application: Application, upstream: Upstream, model: str) -> Iterator[Application]:
    """Serve the documents with a scripted model, which has a price."""
    service = application.service
    switch = ThinkingSwitch.TEMPLATE
    backend = Backend(url=upstream.url, model=model, thinking=switch, price=PRICES)
    models = Models({"fast": make_generator("fast", backend)})
    find = partial(search_library, service.library, service.searcher)
    answerer = Answerer(service.library, find, models, SECRET)
    replayer = replace(service.replayer, answerer=answerer)
    with TemporaryDirectory() as home:
        service = replace(service, models=models, answerer=answerer, replayer=replayer)
        with serve(replace(service, home=Home(Path(home)))) as served:
            yield served


@pytest.fixture
def served(
    application: Application, documents: dict[str, str], upstream: Upstream
) -> Iterator[Application]:
    assert documents
    upstream.chat = ANSWER
    with serve_model(application, upstream, MODEL) as served:
        yield served


def ask(served: Application, **body: Any) -> dict[str, Any]:
    response = served.ask(QUESTION, **body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def post(served: Application, trace_id: str, **body: Any) -> httpx.Response:
    return served.http.post(f"/v1/traces/{trace_id}/replay", json=body)


def replay(served: Application, answer: dict[str, Any], **body: Any) -> dict[str, Any]:
    response = post(served, answer["suffice"]["trace_id"], **body)
    assert response.status_code == 200, response.text
    outcome: dict[str, Any] = response.json()
    return outcome


def num_answers(served: Application) -> int:
    total: dict[str, int] = served.http.get("/v1/usage").json()["total"]
    return total["num_answers"]


def trace_ids(served: Application) -> list[str]:
    listed = served.http.get("/v1/traces", params={"limit": 1000}).json()["traces"]
    return [one["id"] for one in listed]


# ---- what is asked again


def test_nothing_has_changed(served: Application, upstream: Upstream) -> None:
    answer = ask(served, suffice={"top_k": 3})
    known, before = trace_ids(served), num_answers(served)
    outcome = replay(served, answer)
    assert upstream.requests[-1] == upstream.requests[-2]
    assert outcome["trace_id"] == answer["suffice"]["trace_id"]
    assert outcome["changed"] == []
    assert outcome["hits"] == {
        **{"num_before": 3, "num_now": 3, "num_kept": 3, "moved": [], "gained": [], "lost": []}
    }
    text = answer["choices"][0]["message"]["content"]
    assert outcome["answer"] == {"is_same": True, "before": [text], "now": [text]}
    usd = answer["suffice"]["cost"]["usd"]
    assert usd > 0
    assert outcome["usd"] == {"before": usd, "now": usd}
    assert outcome["grounded"]["now"] == answer["suffice"]["grounded"]
    tokens = answer["usage"]["prompt_tokens"]
    assert outcome["prompt_tokens"] == {"before": tokens, "now": tokens}
    # It is paid for, and nobody asked it.
    assert num_answers(served) == before + 1
    assert trace_ids(served) == known


def test_all_that_was_asked_for_is_asked_for_again(served: Application, upstream: Upstream) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Do bees sleep?"},
        {"role": "assistant", "content": "They rest."},
        {"role": "user", "content": QUESTION},
    ]
    body = {
        "messages": messages,
        "seed": 7,
        "temperature": 0.5,
        "stop": ["END"],
        "max_tokens": 99,
        "reasoning_effort": "none",
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
        "suffice": {
            "profile": {"mode": "lexical", "answering": {"rewrite": "off"}},
            "max_context_tokens": 40,
            "top_k": 4,
            "filter": {"type": "ne", "key": "year", "value": 1999},
            "budget": {"max_prompt_tokens": 400},
        },
    }
    served.ingest("dated.md", "# Dated\n\nHoney has a year.", metadata='{"year": 1999}')
    response = served.http.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    replay(served, response.json())
    assert upstream.requests[-1] == upstream.requests[-2]


def test_a_refusal_is_replayed(served: Application, upstream: Upstream) -> None:
    answer = ask(served, suffice={"profile": {"answering": {"abstain_below": 2.0}}})
    outcome = replay(served, answer)
    assert upstream.requests == []
    assert outcome["changed"] == []
    assert outcome["answer"]["is_same"]
    assert outcome["usd"] == {"before": 0.0, "now": 0.0}


def test_a_search_alone_asks_no_model(served: Application, upstream: Upstream) -> None:
    answer = ask(served)
    before = num_answers(served)
    outcome = replay(served, answer, search_only=True)
    assert len(upstream.requests) == 1
    assert num_answers(served) == before
    assert outcome["changed"] == []
    assert outcome["hits"]["num_kept"] == outcome["hits"]["num_before"] > 0
    for name in ("answer", "grounded", "prompt_tokens", "usd"):
        assert outcome[name] is None
    assert "answers" not in outcome["now"]


def test_a_question_is_recorded_whole() -> None:
    question = Question(
        text="Bees?",
        history=[Turn("user", "Hives?"), Turn("assistant", "Two.")],
        collection="laws",
        profile=AnsweringProfile(top_k=3, answering=AnswerPolicy(samples=2, thinking=9)),
        top_k=4,
        where=parse_filter({"type": "in", "key": "year", "value": [2024, "x", True]}),
        packing=PackingPolicy(max_tokens=9, order=Order.EDGES),
        sampling=Sampling(5, 0.1, 0.2, 3, ("a",), 2, {"type": "json_object"}, 1, 0.3, 0.4),
        has_fixed_answer=True,
        budget=Budget(1, 2.0, 3.0, 4),
        caller="alice",
        profile_name="small",
        profile_digest="d",
    )
    recorded = json.loads(json.dumps(record(question)))
    assert play_back(recorded, "alice") == question
    assert play_back(recorded, "bob") == replace(question, caller="bob")


# ---- what has changed


def test_documents_that_came_changed_and_went_are_told(served: Application) -> None:
    def ingest(name: str, text: str) -> str:
        document = served.ingest(name, text, collection="changing")
        assert document["status"] == "searchable"
        return str(document["id"])

    ingest("hives.md", "One hive gives twenty kilograms of honey each year.")
    gone = ingest("oaks.md", "How many years does one oak live?")
    options = {"collection": "changing", "top_k": 2}
    answer = ask(served, suffice=options)
    assert replay(served, answer, search_only=True)["changed"] == []
    served.http.delete(f"/v1/documents/{gone}")
    ingest("rival.md", RIVAL)
    outcome = replay(served, answer)
    assert outcome["changed"] == ["documents"]
    deleted = [{"document_id": gone, "filename": "oaks.md"}]
    assert outcome["documents"] == {"num_now": 2, "num_changed": 1, "deleted": deleted}
    hits = outcome["hits"]
    assert (hits["num_before"], hits["num_now"], hits["num_kept"]) == (2, 2, 1)
    [gained], [moved], [lost] = hits["gained"], hits["moved"], hits["lost"]
    assert (gained["filename"], gained["before"], gained["now"]) == ("rival.md", None, 1)
    assert (moved["filename"], moved["before"], moved["now"]) == ("hives.md", 1, 2)
    assert (lost["filename"], lost["before"], lost["now"]) == ("oaks.md", 2, None)
    assert lost["outcome"] == "is not found any more"


def test_a_hit_that_is_lost_to_better_ones_says_so() -> None:
    def candidate(chunk_id: str, outcome: str, *, is_hit: bool) -> dict[str, Any]:
        return {"chunk_id": chunk_id, "is_hit": is_hit, "outcome": outcome}

    before = [candidate("a", "cited as [1]", is_hit=True), candidate("b", "low", is_hit=False)]
    now = [candidate("b", "in the prompt", is_hit=True), candidate("a", "low", is_hit=False)]
    found = compare_hits(before, now)
    assert [(one["chunk_id"], one["now"]) for one in found["gained"]] == [("b", 1)]
    assert [(one["chunk_id"], one["outcome"]) for one in found["lost"]] == [("a", "low")]


def test_another_answer_of_another_model_is_told(served: Application, upstream: Upstream) -> None:
    answer = ask(served)
    upstream.chat = stream_reply("Thirty kilograms ", f"[{NONCE}-1].")
    with serve_model(served, upstream, "other") as newer:
        outcome = replay(newer, answer)
    assert outcome["changed"] == ["model"]
    assert not outcome["answer"]["is_same"]
    assert outcome["answer"]["before"] == ["Twenty kilograms [1]."]
    assert outcome["answer"]["now"] == ["Thirty kilograms [1]."]
    assert outcome["grounded"]["before"] == answer["suffice"]["grounded"]


def test_passages_of_earlier_turns_that_are_forgotten_are_told(
    served: Application, upstream: Upstream
) -> None:
    text = ask(served)["choices"][0]["message"]["content"]
    messages = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": text},
        {"role": "user", "content": "How many bees live in one hive?"},
    ]
    answer = ask(served, messages=messages, suffice={"profile": {"answering": {"rewrite": "off"}}})
    assert replay(served, answer)["changed"] == []
    assert upstream.requests[-1] == upstream.requests[-2]
    with serve_model(served, upstream, MODEL) as restarted:
        assert replay(restarted, answer)["changed"] == ["memory"]
    assert upstream.requests[-1] != upstream.requests[-2]


def test_a_conversation_goes_on_from_the_answer_and_not_from_its_replay(
    served: Application, upstream: Upstream
) -> None:
    served.ingest("hives.md", "One hive gives twenty kilograms of honey.", collection="going-on")
    options = {"collection": "going-on", "profile": {"answering": {"rewrite": "off"}}}
    answer = ask(served, suffice=options)
    asked = upstream.requests[-1]["messages"]
    served.ingest("rival.md", RIVAL, collection="going-on")
    assert replay(served, answer)["answer"]["is_same"]
    assert upstream.requests[-1]["messages"] != asked
    messages = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": answer["choices"][0]["message"]["content"]},
        {"role": "user", "content": "How many bees live in one hive?"},
    ]
    ask(served, messages=messages, suffice=options)
    assert upstream.requests[-1]["messages"][: len(asked)] == asked


def test_a_profile_that_was_saved_anew_is_told(served: Application) -> None:
    served.http.put("/v1/profiles/small", json={"top_k": 1}).raise_for_status()
    answer = ask(served, model="suffice/small", suffice={"thinking": False})
    assert replay(served, answer, search_only=True)["changed"] == []
    served.http.put("/v1/profiles/small", json={"top_k": 2}).raise_for_status()
    outcome = replay(served, answer, search_only=True)
    assert outcome["changed"] == ["profile"]
    assert outcome["hits"]["num_now"] == 1  # as it was asked
    served.http.delete("/v1/profiles/small").raise_for_status()
    assert replay(served, answer, search_only=True)["changed"] == ["profile"]


# ---- who may, and what cannot be


def test_only_who_asked_may_replay(application: Application, keys: KeyStore) -> None:
    asked, own = keys.create("asked", [Scope.READ], ["default"])
    _, other = keys.create("other", [Scope.READ])
    boss, admin = keys.create("boss", [Scope.ADMIN])
    _, writer = keys.create("writer", [Scope.WRITE])
    with TemporaryDirectory() as home:
        service = replace(application.service, keys=keys, home=Home(Path(home)))
        with serve(service, own) as served:
            trace_id = ask(served)["suffice"]["trace_id"]
            assert post(served, trace_id).is_success
            for secret, status in ((other, 404), (writer, 403), (admin, 200)):
                served.http.headers["Authorization"] = f"Bearer {secret}"
                assert post(served, trace_id).status_code == status
                assert post(served, trace_id, search_only=True).status_code == status
            unknown = post(served, "trace-0")
            served.http.headers["Authorization"] = f"Bearer {other}"
            assert unknown.json() == post(served, "trace-0").json()
            assert_refused(post(served, trace_id), 404, "trace_not_found", None, trace_id)
    # Whoever replays pays.
    spent = {one.group: one.num_answers for one in service.usage.totals(Grouping.KEY)}
    assert (spent[asked.id], spent[boss.id]) == (2, 1)


@pytest.mark.parametrize(
    "body",
    [{"question": "Bees?"}, {**RECORDED, "profile": {"new": 1}}, {**RECORDED, "filter": "x"}],
)
def test_a_trace_of_another_version_is_refused(
    application: Application, body: dict[str, Any]
) -> None:
    with pytest.raises(NotReplayableError):
        play_back(body, "alice")
    application.service.traces.add("trace-old", "local", "default", body)
    response = post(application, "trace-old")
    assert_refused(response, 409, "not_replayable", None, "another version of Suffice")
    application.http.delete("/v1/traces/trace-old")


def test_what_is_no_replay_is_refused(application: Application) -> None:
    assert_refused(post(application, "trace-0"), 404, "trace_not_found", None, "SERVING_TRACE_DAYS")
    response = post(application, "trace-0", model="x")
    assert_refused(response, 400, "invalid_value", "model", "Extra inputs")


def test_a_collection_that_is_gone_is_refused(served: Application) -> None:
    document = served.ingest("bees.md", QUESTION, collection="short-lived")
    answer = ask(served, suffice={"collection": "short-lived"})
    served.http.delete(f"/v1/documents/{document['id']}").raise_for_status()
    for search_only in (False, True):
        response = post(served, answer["suffice"]["trace_id"], search_only=search_only)
        assert_refused(response, 404, "collection_not_found", None, "short-lived")
