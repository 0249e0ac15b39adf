"""Copies and repetitions go, other places that answer count; a second pass changes nothing."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.questions import Question
from eval.synthesis.drawing import in_turns, merge_same
from eval.synthesis.filters import Rejection, Sieve, copied_share, with_alternatives
from eval.synthesis.making import RULES
from eval.synthesis.pieces import Pieces
from retrieval.embedding import Embedder
from tests.eval.synthesis.library import check_spans, corpus_of, library
from tests.fakes import HashEmbedder

TEXT = "The harbour of Porto was dug in 1884. It has two moles of granite and a lighthouse."


def sift(
    questions: list[Question], embedder: Embedder | None = None
) -> tuple[list[Question], Counter[str]]:
    rejected: Counter[str] = Counter()
    sieve = Sieve(corpus_of(harbour=TEXT), rejected, embedder)
    for question in questions:
        sieve.offer(question)
    return sieve.kept, rejected


def ask(text: str, maker: str = "written") -> Question:
    source = corpus_of(harbour=TEXT).sources["harbour.md"]
    return source.question(maker, text, (0, TEXT.index("It") - 1), ["1884"])


def test_share_of_groups_of_four_words() -> None:
    # was the harbour of | the harbour of Porto | harbour of Porto dug
    assert copied_share("Was the harbour of Porto dug?", TEXT) == pytest.approx(1 / 3)
    assert copied_share("In which year?", TEXT) == 0.0
    assert copied_share("the HARBOUR of Porto was", TEXT) == 1.0


def test_copies_are_left_out_but_no_cloze() -> None:
    copy = "The harbour of Porto was dug in ___."
    kept, rejected = sift([ask(copy), ask(copy, "cloze")])
    assert [question.tags for question in kept] == [("cloze",)]
    assert rejected == {Rejection.COPIED: 1}


def test_repetitions_are_left_out() -> None:
    first = "When did they dig the harbour of that town?"
    other = "When did people dig the harbour of this town?"  # 7 of 11 words are the same
    again = f"{first} And when?"  # 9 of 10
    kept, rejected = sift([ask(first), ask(other), ask(again)])
    assert [question.text for question in kept] == [first, other]
    assert rejected == {Rejection.REPEATED: 1}


def test_an_embedder_finds_repetitions_in_other_words() -> None:
    questions = [ask("harbour town town town town dig"), ask("town town town town harbour year")]
    assert len(sift(questions)[0]) == 2
    kept, rejected = sift(questions, HashEmbedder())
    assert [question.text for question in kept] == [questions[0].text]
    assert rejected == {Rejection.REPEATED: 1}


def test_the_same_words_elsewhere_are_an_alternative() -> None:
    corpus = corpus_of(
        a="The harbour of Porto\nwas dug in 1884.", b=f"As is known: {TEXT}", c="Nothing here."
    )
    (fact,) = with_alternatives(corpus, replace(ask("When?"), answers=())).facts
    assert [(span.document, span.text) for span in fact[1:]] == [
        ("a.md", "The harbour of Porto\nwas dug in 1884."),
        ("b.md", "The harbour of Porto was dug in 1884."),
    ]


def test_a_sentence_with_answer_and_words_of_the_question_is_an_alternative() -> None:
    corpus = corpus_of(
        a="In 1884 workers dug a harbour at Porto. In 1884 a bridge was built in Porto.",
        b="The harbour of Porto was dug by workers, all 18840 of them.",
        harbour=TEXT,
    )
    asked = ask("In which year was the harbour of Porto dug by workers?")
    (fact,) = with_alternatives(corpus, asked).facts
    assert [span.text for span in fact[1:]] == ["In 1884 workers dug a harbour at Porto."]


@settings(max_examples=20)
@given(st.integers(), st.integers(1, 60))
def test_what_came_through_comes_through_again(seed: int, number: int) -> None:
    corpus = library()
    questions, _ = merge_same(question for rule in RULES for question in rule(corpus))
    rejected: Counter[str] = Counter()
    first, again = Sieve(corpus, Counter()), Sieve(corpus, rejected)
    for question in in_turns(questions, seed)[:number]:
        first.offer(question)
    for question in first.kept:
        check_spans(corpus, question)
        assert again.offer(question)
    assert again.kept == first.kept
    assert not rejected


def test_questions_of_the_same_words_are_one_with_several_places() -> None:
    texts = {name: f"| a | age |\n|---|---|\n| x | {name} |\n" for name in "pqrs"}
    few = corpus_of(**{name: texts[name] for name in "pqr"})
    (question,), num_vague = merge_same(question for rule in RULES for question in rule(few))
    assert question.text == "x, age?"
    assert [span.document for span in question.facts[0]] == ["p.md", "q.md", "r.md"]
    assert question.answers == ("p", "q", "r")
    assert num_vague == 0
    many = corpus_of(**texts)
    assert merge_same(question for rule in RULES for question in rule(many)) == ([], 1)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz")), max_size=30))
def test_makers_and_documents_take_turns(made: list[tuple[str, str]]) -> None:
    questions = [
        replace(ask(f"q{number}"), tags=(maker,), cluster=document, question_id=str(number))
        for number, (maker, document) in enumerate(made)
    ]
    order = in_turns(questions, 0)
    assert sorted(order, key=questions.index) == questions
    assert in_turns(questions[::-1], 0) == order
    left = {maker: [q for q in order if q.tags == (maker,)] for maker in "ab"}
    least = min(map(len, left.values()))
    assert Counter(q.tags[0] for q in order[: 2 * least]) == +Counter({"a": least, "b": least})
    for members in left.values():
        num_documents = len({q.cluster for q in members})
        assert len({q.cluster for q in members[:num_documents]}) == num_documents


def test_simple_search_finds_the_piece_with_the_words() -> None:
    far = "Nothing of the kind is written on this page, which is about cooking. " * 20
    pieces = Pieces(corpus_of(harbour=TEXT, other=far))
    (best,) = pieces.best("harbour", 3)
    assert best.text == TEXT
    assert pieces.best("zebra", 3) == []
    assert (
        pieces.success_at_1([ask("When was the harbour dug?"), ask("What about cooking?")]) == 0.5
    )
