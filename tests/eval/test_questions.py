"""Questions are read as they are written, or refused with the line that is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from eval.errors import DatasetError, NoQuestionsError
from eval.questions import Question, Span, load_questions

SPAN = {"doc": "guide.md", "text": "Ships float."}
FULL = {
    "id": "q1",
    "question": "What floats?",
    "lang": "en",
    "cluster": "ships",
    "facts": [[{**SPAN, "rev": "ab12", "start": 10, "end": 22}, {"doc": "b.md", "text": "Float!"}]],
    "answers": ["Ships"],
    "answerable": True,
    "kind": "synthetic-llm",
    "tags": ["easy"],
    "weight": 2,
}


def load(tmp_path: Path, *items: dict[str, Any]) -> list[Question]:
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, items)))
    return load_questions(path)


def test_every_field_is_read(tmp_path: Path) -> None:
    assert load(tmp_path, FULL) == [
        Question(
            question_id="q1",
            text="What floats?",
            language="en",
            cluster="ships",
            facts=(
                (
                    Span("guide.md", "Ships float.", 10, 22, "ab12"),
                    Span("b.md", "Float!"),
                ),
            ),
            answers=("Ships",),
            kind="synthetic-llm",
            tags=("easy",),
            weight=2.0,
        )
    ]


def test_what_may_be_left_out(tmp_path: Path) -> None:
    question, unanswerable = load(
        tmp_path,
        {"id": "q1", "question": "What floats?", "facts": [[SPAN]]},
        {"id": "q2", "question": "Who knows?", "facts": []},
    )
    assert (question.cluster, question.weight, question.answerable) == ("guide.md", 1, True)
    assert (unanswerable.cluster, unanswerable.answerable) == ("q2", False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": ""}, "'id' is empty"),
        ({"question": None}, "'question' must be text"),
        ({"facts": None}, "'facts' must be a list"),
        ({"facts": [SPAN]}, "each fact must be a list"),
        ({"facts": [[]]}, "each fact must be a list of one or more spans"),
        ({"facts": [["Ships float."]]}, "each span must be an object"),
        ({"facts": [[{"doc": "a.md", "text": " "}]]}, "'text' is empty"),
        ({"facts": [[{**SPAN, "rev": 3}]]}, "'rev' must be text"),
        ({"facts": [[{**SPAN, "page": 3}]]}, "unknown key 'page'; known are doc, end, rev"),
        ({"facts": [[{**SPAN, "start": 3}]]}, "'start' and 'end' of a span must be"),
        ({"facts": [[{**SPAN, "start": 3, "end": 3}]]}, "0 <= start < end"),
        ({"facts": [[{**SPAN, "start": False, "end": 3}]]}, "must be whole numbers"),
        ({"answerable": False}, "'answerable' must be true when there are facts"),
        ({"facts": []}, "'answerable' must be true when there are facts"),
        ({"answers": "Ships"}, "'answers' must be a list of texts"),
        ({"tags": [1]}, "'tags' must be a list of texts"),
        ({"weight": 0}, "'weight' must be a number above 0"),
        ({"weight": float("nan")}, "'weight' must be a number above 0"),
        ({"wieght": 1}, "unknown key 'wieght'"),
    ],
)
def test_broken_question(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=rf"questions\.jsonl, line 2: .*{message}"):
        load(tmp_path, {**FULL, "id": "q0"}, {**FULL, **change})


def test_an_id_is_there_once(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="line 2: the id 'q1' is there twice"):
        load(tmp_path, FULL, FULL)


def test_empty_file(tmp_path: Path) -> None:
    with pytest.raises(NoQuestionsError, match="holds no questions"):
        load(tmp_path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read: No such file"):
        load_questions(tmp_path / "nowhere.jsonl")
