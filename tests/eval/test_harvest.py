"""What people rated or got no answer to becomes a queue, which loads once it is reviewed."""

import json
from pathlib import Path
from typing import Any

import pytest

from eval.errors import DatasetError
from eval.harvest import Item, Queue, Reason, to_item
from eval.questions import Span, load_questions

NAMES = {"doc_1": "bees.md", "doc_2": "ropes.txt"}


def citation(document_id: str, start: int, text_start: int) -> dict[str, Any]:
    """Return a citation of ten characters by a marker of three."""
    return {
        "marker": "[1]",
        "document_id": document_id,
        "revision": "ab12",
        "start": start,
        "end": start + 10,
        "quote": f"text at {start}",
        "text_start": text_start,
        "text_end": text_start + 3,
    }


def trace(
    number: int,
    *ratings: str,
    citations: tuple[dict[str, Any], ...] = (),
    question: str | None = None,
) -> dict[str, Any]:
    return {
        "id": f"trace-{number}",
        "time": "2026-11-26T12:00:00+00:00",
        "question": "And for how long?",
        "query": question or f"How long do bees sleep, {number}?",
        "answer": "All night [1][2]. Or so [1].",
        "citations": list(citations),
        "feedback": [{"rating": one, "comment": f"{one}!"} for one in ratings],
    }


CITED = (citation("doc_1", 0, 10), citation("doc_2", 5, 13), citation("doc_1", 40, 25))


def item(trace: dict[str, Any]) -> Item:
    found = to_item(trace, NAMES)
    assert found is not None
    return found


def test_the_last_rating_decides_and_without_one_a_refusal() -> None:
    assert item(trace(1, "up", "down", citations=CITED)).reason is Reason.DOWN
    assert item(trace(1, "down", "up", citations=CITED)).reason is Reason.UP
    assert item(trace(1)).reason is Reason.REFUSED
    assert to_item(trace(1, citations=CITED), NAMES) is None


def test_citations_of_one_claim_are_alternatives(tmp_path: Path) -> None:
    path = tmp_path / "queue.jsonl"
    Queue(path).add([item(trace(1, "up", citations=CITED))])
    [question] = load_questions(path)
    assert question.facts == (
        (
            Span("bees.md", "text at 0", 0, 10, "ab12"),
            Span("ropes.txt", "text at 5", 5, 15, "ab12"),
        ),
        (Span("bees.md", "text at 40", 40, 50, "ab12"),),
    )
    assert (question.text, question.kind) == ("How long do bees sleep, 1?", "feedback")
    assert (question.tags, question.cluster) == (("up",), "bees.md")


def test_markers_with_a_space_or_comma_between_are_of_one_claim() -> None:
    made = trace(1, "up", citations=(citation("doc_1", 0, 10), citation("doc_2", 5, 15)))
    [fact] = item(made | {"answer": "All night [1], [2]."}).line["facts"]
    assert [span["doc"] for span in fact] == ["bees.md", "ropes.txt"]
    first, second = item(made | {"answer": "All night [1].[2]. "}).line["facts"]
    assert (first[0]["doc"], second[0]["doc"]) == ("bees.md", "ropes.txt")


def test_a_refusal_that_people_like_is_unanswerable(tmp_path: Path) -> None:
    path = tmp_path / "queue.jsonl"
    Queue(path).add([item(trace(1, "up"))])
    assert not load_questions(path)[0].answerable


@pytest.mark.parametrize(
    "made",
    [trace(2, "down", citations=CITED), trace(2), trace(2, "up", citations=(citation("x", 0, 0),))],
    ids=["thumbs down", "refused", "cites a document that is gone"],
)
def test_what_nobody_reviewed_is_refused_with_its_line(
    tmp_path: Path, made: dict[str, Any]
) -> None:
    path = tmp_path / "queue.jsonl"
    Queue(path).add([item(trace(1, "up", citations=CITED)), item(made)])
    with pytest.raises(DatasetError, match=r"queue\.jsonl, line 2: 'facts' is null: nobody has"):
        load_questions(path)
    first, second = map(json.loads, path.read_text().splitlines())
    assert second["review"]["asked"] == "And for how long?"
    assert second["review"]["comments"] == [f"{one['rating']}!" for one in made["feedback"]]
    second["facts"] = [[{"doc": "bees.md", "text": "Bees sleep at night."}]]
    path.write_text(f"{json.dumps(first)}\n{json.dumps(second)}\n")
    assert [question.answerable for question in load_questions(path)] == [True, True]


def test_nothing_is_added_twice_and_what_was_edited_stays(tmp_path: Path) -> None:
    path = tmp_path / "queue.jsonl"
    same = trace(2, question="How  long do BEES sleep, 1?")
    assert Queue(path).add(map(item, [trace(1), same])) == {Reason.REFUSED: 1}
    edited = path.read_text().replace("null", "[]").rstrip()  # an editor may drop the last newline
    path.write_text(edited)
    assert Queue(path).add(map(item, [trace(1), same, trace(3, "down")])) == {Reason.DOWN: 1}
    lines = path.read_text().splitlines()
    assert lines[0] == edited
    assert [json.loads(line)["id"] for line in lines] == ["trace-1", "trace-3"]
    path.write_text("")  # somebody had no use for them
    assert not Queue(path).add(map(item, [trace(1), same, trace(3, "down")]))
    assert path.read_text() == ""


def test_a_broken_queue_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "queue.jsonl"
    path.write_text('{"id": "a", "question": "b"}\n{"id": ')
    with pytest.raises(DatasetError, match="line 2"):
        Queue(path)
    with pytest.raises(DatasetError, match="cannot be written"):
        Queue(tmp_path / "nowhere" / "queue.jsonl").add([item(trace(1))])
