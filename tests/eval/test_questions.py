"""Questions are read as they are written, or refused with the line that is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.errors import DatasetError, NoQuestionsError
from eval.questions import Question, Span, group_questions, load_questions, write_questions

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
        ({"facts": None}, "'facts' is null: nobody has reviewed"),
        ({"facts": "all"}, "'facts' must be a list"),
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


# ---- writing

TEXT = st.text(st.characters(), min_size=1, max_size=20)  # half surrogates, too
NOT_BLANK = TEXT.filter(lambda text: bool(text.strip()))
PLACE = st.tuples(st.integers(0, 10**9), st.integers(1, 10**6)).map(
    lambda place: {"start": place[0], "end": place[0] + place[1]}
)
SPANS = st.builds(
    lambda document, text, place, revision: Span(document, text, **place, revision=revision),
    NOT_BLANK,
    NOT_BLANK,
    st.just({}) | PLACE,
    st.none() | TEXT,
)
QUESTIONS = st.builds(
    Question,
    question_id=NOT_BLANK,
    text=NOT_BLANK,
    language=st.text(max_size=3),
    cluster=st.text(max_size=3),
    facts=st.lists(st.lists(SPANS, min_size=1, max_size=2).map(tuple), max_size=2).map(tuple),
    answers=st.lists(TEXT, max_size=2).map(tuple),
    kind=st.sampled_from(["human", "feedback", "synthetic-llm", "synthetic-rule"]),
    tags=st.lists(TEXT, max_size=2).map(tuple),
    weight=st.floats(0, exclude_min=True, allow_infinity=False),
)


@given(st.lists(QUESTIONS, min_size=1, max_size=4, unique_by=lambda one: one.question_id))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, questions: list[Question]
) -> None:
    path = tmp_path_factory.mktemp("written") / "questions.jsonl"
    write_questions(path, questions)
    assert load_questions(path) == questions
    assert [file.name for file in path.parent.iterdir()] == ["questions.jsonl"]


def test_the_examples_are_written_as_they_are(tmp_path: Path) -> None:
    examples = Path(__file__).parents[2] / "examples" / "questions.jsonl"
    write_questions(tmp_path / "q.jsonl", load_questions(examples))
    written, given_lines = (
        [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for path in (tmp_path / "q.jsonl", examples)
    )
    assert written == given_lines


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none/q\.jsonl cannot be written: No such file"):
        write_questions(tmp_path / "none" / "q.jsonl", [])


def test_questions_are_in_the_groups_of_their_kind_tags_and_language(tmp_path: Path) -> None:
    tagged = [
        ("a", "en", ["table"]),
        ("b", "en", ["table", "easy"]),
        ("c", "de", []),
        ("d", "", []),
    ]
    questions = load(
        tmp_path,
        *(
            {**FULL, "id": name, "lang": language, "tags": tags, "kind": "human"}
            for name, language, tags in tagged
        ),
    )
    # All are of the kind `human`, so that is no group.
    assert list(group_questions(questions).items()) == [
        ("en", ["a", "b"]),
        ("table", ["a", "b"]),
        ("de", ["c"]),
        ("easy", ["b"]),
    ]
