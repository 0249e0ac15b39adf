"""After anchoring every span has offsets, and its text is that slice of the document."""

from pathlib import Path

import pytest

from eval.anchoring import Anchored, DroppedQuestion, anchor
from eval.json_lines import read_json_lines
from eval.questions import Fact, Question, Span, load_questions
from tests.eval.synthesis.library import LIBRARY, library

SENTENCE = "The harbour master counts every vessel twice before the tide."
TEXTS = {"a.md": f"Intro. {SENTENCE} Ships float. Again: Ships float.", "b.md": "Stones sink."}


def question(*facts: Fact, question_id: str = "q1") -> Question:
    return Question(question_id, "?", "en", "a.md", facts, (), "human", (), 1.0)


def counts(anchored: Anchored) -> tuple[int, int, int, int]:
    return anchored.num_kept, anchored.num_moved, anchored.num_fuzzy, anchored.num_dropped


def spans(anchored: Anchored) -> list[tuple[str, int | None, int | None]]:
    return [
        (span.document, span.start, span.end)
        for item in anchored.questions
        for fact in item.facts
        for span in fact
    ]


def test_a_right_span_stays() -> None:
    span = Span("a.md", "Intro.", 0, 6, "rev1")
    anchored = anchor([question((span,))], TEXTS)
    assert anchored == Anchored((question((span,)),), 1, 0, 0, 0, ())


def test_a_span_moves_to_its_text() -> None:
    anchored = anchor([question((Span("b.md", "sink", 0, 4),))], TEXTS)
    assert (spans(anchored), counts(anchored)) == ([("b.md", 7, 11)], (0, 1, 0, 0))


@pytest.mark.parametrize("place", ["index", "rindex"])
def test_a_span_moves_to_the_nearest_of_several_places(place: str) -> None:
    start = getattr(TEXTS["a.md"], place)("Ships float.")
    anchored = anchor([question((Span("a.md", "Ships float.", start + 2, start + 9),))], TEXTS)
    assert spans(anchored) == [("a.md", start, start + 12)]


def test_without_a_start_every_place_is_an_alternative() -> None:
    anchored = anchor([question((Span("a.md", "Ships float."),))], TEXTS)
    first, second = TEXTS["a.md"].index("Ships"), TEXTS["a.md"].rindex("Ships")
    assert spans(anchored) == [("a.md", first, first + 12), ("a.md", second, second + 12)]
    assert counts(anchored) == (1, 0, 0, 0)


def test_other_white_space_moves_a_span() -> None:
    anchored = anchor([question((Span("b.md", "Stones\n sink."),))], TEXTS)
    ((span,),) = anchored.questions[0].facts
    assert (span.text, span.start, span.end) == ("Stones sink.", 0, 12)
    assert counts(anchored) == (0, 1, 0, 0)


def test_a_changed_text_is_placed_and_replaced() -> None:
    anchored = anchor([question((Span("a.md", SENTENCE.replace("every", "evry")),))], TEXTS)
    ((span,),) = anchored.questions[0].facts
    assert (span.text, span.start) == (SENTENCE, 7)
    assert counts(anchored) == (0, 0, 1, 0)


@pytest.mark.parametrize(("now", "num_fuzzy"), [("24 months of", 1), ("36 months of", 0)])
def test_another_number_is_another_fact(now: str, num_fuzzy: int) -> None:
    before = (
        "The warranty of the pump amounts to 24 months from the date on which it was delivered."
    )
    texts = {"a.md": before.replace("24 months", now)}
    anchored = anchor([question((Span("a.md", before, 0, len(before)),))], texts)
    assert counts(anchored) == (0, 0, num_fuzzy, 1 - num_fuzzy)


def test_an_ambiguous_change_is_dropped() -> None:
    texts = {"a.md": f"{SENTENCE} Much later it says: {SENTENCE}"}
    anchored = anchor([question((Span("a.md", SENTENCE.replace("every", "evry")),))], texts)
    assert (anchored.questions, counts(anchored)) == ((), (0, 0, 0, 1))


def test_a_question_without_one_of_its_facts_is_dropped_with_the_reason() -> None:
    here, gone = Span("b.md", "sink"), Span("b.md", "Nothing of the kind is written here.")
    anchored = anchor(
        [
            question((here,), (gone,), question_id="lost text"),
            question((Span("c.md", "sink"),), question_id="lost document"),
            question((gone, here), question_id="one alternative left"),
        ],
        TEXTS,
    )
    assert [item.question_id for item in anchored.questions] == ["one alternative left"]
    assert counts(anchored) == (2, 0, 0, 3)
    assert anchored.dropped == (
        DroppedQuestion(
            "lost text", f"'b.md' does not contain, or not in one place only: {gone.text!r}"
        ),
        DroppedQuestion("lost document", "there is no document 'c.md'"),
    )


def test_unanswerable_questions_stay() -> None:
    assert anchor([question()], TEXTS).questions == (question(),)


def with_evidence(folder: Path) -> tuple[list[Question], dict[str, str]]:
    """Read the character spans that come with a test collection."""
    corpus = [line.fields for line in read_json_lines(folder / "corpus.jsonl")]
    texts = {document["_id"]: document["text"] for document in corpus}
    questions = []
    for query in read_json_lines(folder / "queries.jsonl"):
        facts = []
        for place in query.fields["evidence"]:
            document, start, end = place["doc_id"], place["start"], place["end"]
            facts.append((Span(document, texts[document][start:end], start, end),))
        questions.append(question(*facts, question_id=query.text("_id")))
    return questions, texts


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "num_questions", "num_spans"), [("xquad/en", 1190, 1190), ("chunking_eval", 472, 790)]
)
def test_real_evidence_is_where_it_says(
    data_dir: Path, name: str, num_questions: int, num_spans: int
) -> None:
    questions, texts = with_evidence(data_dir / name)
    anchored = anchor(questions, texts)
    assert len(anchored.questions) == num_questions
    assert counts(anchored) == (num_spans, 0, 0, 0)
    assert list(anchored.questions) == questions


def test_the_evidence_of_the_bundled_questions_is_in_the_bundled_documents() -> None:
    texts = {name: source.text.text for name, source in library().sources.items()}
    anchored = anchor(load_questions(LIBRARY.parent / "questions.jsonl"), texts)
    assert anchored.dropped == ()
