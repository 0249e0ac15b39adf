"""`suffice eval harvest` as a user types it, against a running service."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from eval.questions import load_questions
from tests.serving.application import Application, run_application
from tests.serving.documents import BEES
from tests.suffice.terminal import Suffice

QUESTION = "How many kilograms of honey does one hive give each year?"


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with run_application(tmp_path_factory.mktemp("home")) as application:
        application.ingest("bees.md", BEES)
        application.ingest("other.md", "Oak.", collection="trees")
        yield application


def rate(application: Application, question: str, rating: str | None) -> None:
    trace_id = application.ask(question).json()["suffice"]["trace_id"]
    if rating is not None:
        body = {"trace_id": trace_id, "rating": rating}
        assert application.http.post("/v1/feedback", json=body).status_code == 201


def test_what_people_rated_is_harvested_once(
    application: Application, offline: Suffice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SUFFICE_URL", application.url)
    rate(application, QUESTION, "up")
    rate(application, "What calms angry bees before the harvest?", "down")
    rate(application, "Which zeppelin crossed Patagonia?", None)
    rate(application, "What do bees dance to show?", None)
    application.ask("Oak?", suffice={"collection": "trees"})
    outcome = offline("eval", "harvest", "queue.jsonl")
    assert outcome.code == 0
    assert "3 questions added to queue.jsonl: 1 with thumbs down, 1 without" in outcome.out
    path = tmp_path / "queue.jsonl"
    lines = {line["tags"][0]: line for line in map(json.loads, path.read_text().splitlines())}
    spans = [span for [span] in lines["up"]["facts"]]
    assert any("twenty kilograms of honey" in one["text"] for one in spans)
    assert {one["doc"] for one in spans} == {"bees.md"}
    assert all(BEES[one["start"] : one["end"]] == one["text"] for one in spans)
    assert lines["down"]["facts"] is None
    assert lines["down"]["review"]["cited"]

    refused = offline("eval", "run", "--questions", "queue.jsonl")
    assert refused.code == 1
    assert "'facts' is null" in refused.err
    for line in lines.values():
        line["facts"] = line["facts"] or []
    path.write_text("".join(json.dumps(line) + "\n" for line in lines.values()))
    assert len(load_questions(path)) == 3
    again = offline("eval", "harvest", "queue.jsonl", "--json")
    assert again.json() == {"num_added": {"down": 0, "refused": 0, "up": 0}}
