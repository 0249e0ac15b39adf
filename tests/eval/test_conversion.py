"""Test collections of others: evidence is where it says in the files that are ingested."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from eval.anchoring import anchor
from eval.conversion import Converted, convert_beir, convert_chunks, convert_squad
from eval.errors import DatasetError, NoQuestionsError
from eval.questions import Question, load_questions
from ingest.parsers.media_types import detect_media_type
from ingest.parsers.parse import parse

PARAGRAPHS = (
    "Normandy is a region of France. Rollo came in 911, or so they say.",
    "It rains there often. Mr. Smith counted 911 days.",
)


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def ingested(output: Path) -> dict[str, str]:
    """Return the canonical texts that ingestion makes of the documents."""
    texts = {}
    for path in (output / "documents").iterdir():
        with path.open("rb") as file:
            texts[path.name] = parse(path, detect_media_type(file, path.name), max_pages=1).text
    return texts


def check(output: Path) -> list[Question]:
    """Every span is the slice of the ingested text that it says, of the right revision."""
    questions = load_questions(output / "questions.jsonl")
    anchored = anchor(questions, ingested(output))
    assert (anchored.num_moved, anchored.num_fuzzy, anchored.num_dropped) == (0, 0, 0)
    for question in questions:
        for span in (span for fact in question.facts for span in fact):
            data = (output / "documents" / span.document).read_bytes()
            assert hashlib.sha256(data).hexdigest() == span.revision
    return questions


# ---- BEIR


def write_beir(folder: Path) -> Path:
    documents = {
        "a/1": "Bees make honey.\r\n",
        "..b": " <html> is a tag. ",
        "c": "An oak.",
        "d": "",
    }
    write_lines(
        folder / "corpus.jsonl",
        [{"_id": name, "title": "T", "text": text} for name, text in documents.items()]
        + [{"_id": "blank", "text": " "}],
    )
    write_lines(folder / "queries.jsonl", [{"_id": q, "text": f"{q}?"} for q in ("q1", "q2", "q3")])
    (folder / "qrels").mkdir()
    rows = ("q1\ta/1\t2", "q1\t..b\t1", "q1\tc\t0", "q2\tgone\t1", "q3\tblank\t1")
    (folder / "qrels/test.tsv").write_text("\n".join(("query-id\tcorpus-id\tscore", *rows)))
    return folder


def test_relevant_documents_are_facts(tmp_path: Path) -> None:
    converted = convert_beir(write_beir(tmp_path / "set"), tmp_path / "new")
    assert converted == Converted(num_documents=4, num_questions=1, num_dropped=2)
    (question,) = check(tmp_path / "new")
    assert (question.question_id, question.text, question.kind) == ("q1", "q1?", "human")
    assert [span.text for (span,) in question.facts] == [
        "T Bees make honey.",
        "T  <html> is a tag.",
    ]
    names = [path.name for path in (tmp_path / "new/documents").iterdir()]
    assert len(names) == 4
    assert not any(name.startswith(".") for name in names)


# ---- SQuAD


def squad(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> str:
    """Return a file of one article with questions on its two paragraphs."""
    paragraphs = [
        {"context": context, "qas": asked}
        for context, asked in zip(PARAGRAPHS, (first, second), strict=True)
    ]
    return json.dumps({"data": [{"title": "Normandy: rain", "paragraphs": paragraphs}]})


def answer(number: int, text: str) -> dict[str, Any]:
    return {"text": text, "answer_start": PARAGRAPHS[number].index(text)}


def test_sentences_with_the_answer_are_evidence(tmp_path: Path) -> None:
    path = tmp_path / "squad.json"
    lost = {"text": "no such", "answer_start": 3}
    asked: list[dict[str, Any]] = [
        {"id": "2", "question": "When?", "answers": [answer(1, "911 days"), answer(1, "often")]},
        {"id": "3", "question": "Why?", "answers": [], "is_impossible": True},
        {"id": "4", "question": "Lost?", "answers": [lost]},
        {"id": "5", "question": "Nothing?", "answers": []},
    ]
    who = {"id": "1", "question": "Who?", "answers": [answer(0, "Rollo")] * 2}
    path.write_text(squad([who], asked))
    assert convert_squad(path, tmp_path / "new") == Converted(1, 3, 2)
    one, two, three = check(tmp_path / "new")
    assert [[span.text for span in fact] for fact in one.facts] == [
        ["Rollo came in 911, or so they say."]
    ]
    assert [[span.text for span in fact] for fact in two.facts] == [
        ["Mr. Smith counted 911 days.", "It rains there often."]
    ]
    assert two.answers == ("911 days", "often")
    assert (three.facts, three.answerable) == ((), False)
    assert len({question.cluster for question in (one, two, three)}) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is no SQuAD: Invalid JSON"),
        ("{}", "is no SQuAD: data: Field required"),
        ('{"data": [{"paragraphs": [{"context": 1, "qas": []}]}]}', "data.0.paragraphs.0.context"),
    ],
)
def test_what_is_no_squad_is_named(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DatasetError, match=says):
        convert_squad(tmp_path / "x.json", tmp_path / "new")
    assert not (tmp_path / "new").exists()


# ---- chunks


def test_chunks_are_found_by_their_text(tmp_path: Path) -> None:
    texts = {"a.txt": ("Bees make honey. Oaks grow.", "1"), "b.txt": ("Bees  make\nhoney.", "2")}
    rows = [
        {"id": "1", "question": "Who?", "chunks": ["Bees make honey."], "answers": ["bees"]},
        {"id": "2", "question": "What?", "chunks": ["Oaks grow.", "Gone is this."]},
        {"id": "3", "question": "Which?", "chunks": []},
    ]
    write_lines(tmp_path / "chunks.jsonl", rows)
    converted = convert_chunks(tmp_path / "chunks.jsonl", tmp_path / "new", texts)
    assert converted == Converted(num_documents=0, num_questions=2, num_dropped=1)
    first, last = load_questions(tmp_path / "new" / "questions.jsonl")
    assert [(span.document, span.text, span.revision) for span in first.facts[0]] == [
        ("a.txt", "Bees make honey.", "1"),
        ("b.txt", "Bees  make\nhoney.", "2"),
    ]
    assert first.answers == ("bees",)
    assert (last.question_id, last.answerable) == ("3", False)


def test_nothing_found_is_an_error(tmp_path: Path) -> None:
    write_lines(tmp_path / "c.jsonl", [{"id": "1", "question": "Who?", "chunks": ["Bees."]}])
    with pytest.raises(NoQuestionsError, match="Of 1 question none is left"):
        convert_chunks(tmp_path / "c.jsonl", tmp_path / "new", {})


def test_broken_chunks_are_named(tmp_path: Path) -> None:
    write_lines(tmp_path / "c.jsonl", [{"id": "1", "question": "Who?", "chunks": "Bees."}])
    with pytest.raises(DatasetError, match=r"c.jsonl, line 1: 'chunks' must be a list of texts"):
        convert_chunks(tmp_path / "c.jsonl", tmp_path / "new", {})


# ---- all


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    source = write_beir(tmp_path / "set")
    (tmp_path / "new" / "documents").mkdir(parents=True)
    (tmp_path / "new" / "documents" / "mine.txt").touch()
    with pytest.raises(DatasetError, match="is not empty"):
        convert_beir(source, tmp_path / "new")


@pytest.mark.data
def test_real_collection(data_dir: Path, tmp_path: Path) -> None:
    converted = convert_beir(data_dir / "squad2_dev", tmp_path / "new")
    assert converted == Converted(num_documents=646, num_questions=2910, num_dropped=0)
    assert len(check(tmp_path / "new")) == 2910
