"""Questions that no document answers, because a term is another document's."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.synthesis.cells import cell_questions
from eval.synthesis.drawing import in_turns, merge_same
from eval.synthesis.filters import Sieve
from eval.synthesis.making import RULES
from eval.synthesis.swapping import swapped_questions
from eval.synthesis.terms import find_terms
from tests.eval.synthesis.library import corpus_of, library


def test_terms() -> None:
    text = (
        "Each of the 5 Porto Harbour boats cost $1,200 (12.5 %) in 2019, says Ms O'Neil of v1.20."
    )
    assert [(term.shape, term.text) for term in find_terms(text)] == [
        ("name", "Porto Harbour"),
        ("$0", "$1,200"),
        ("0.0%", "12.5 %"),
        ("0", "2019"),
        ("name", "Ms O'Neil"),
    ]
    assert [term.text for term in find_terms("Porto is old")] == []
    assert [term.text for term in find_terms("Porto is old", is_sentence=False)] == ["Porto"]


def test_a_name_is_exchanged_for_another_documents() -> None:
    corpus = corpus_of(
        a="The old harbour of Porto was dug out by hand.",
        b="The old bridge of Lyon was built of steel.",
        c="A new harbour of Genoa was dug out by machines.",
    )
    source = corpus.sources["a.md"]
    asked = source.question("written", "Who dug the harbour of Porto?", (0, 45))
    for seed in range(10):
        (swapped,) = swapped_questions(corpus, [asked], seed)
        # Genoa has a harbour, too.
        assert swapped.text == "Who dug the harbour of Lyon?"
        assert (swapped.facts, swapped.answers, swapped.cluster) == ((), (), "a.md")
        assert swapped.tags == ("swapped",)


def test_terms_that_cite_are_none() -> None:
    text = (
        "As Porter and Aroyo (2013) say in Table 44, Lyon [28] and Duboue et al. (2006) differ "
        "(Kingma and Ba, 2014), and Genoa (Section 12) had 4096 boats (of 5000)."
    )
    assert [term.text for term in find_terms(text)] == ["Lyon", "Genoa", "4096", "5000"]


def test_acronyms_are_no_names() -> None:
    terms = find_terms("It trained BiDAF with the SGD of Porto for McDonald in 2019.")
    assert [(term.shape, term.text) for term in terms] == [
        ("acronym", "BiDAF"),
        ("acronym", "SGD"),
        ("name", "Porto"),
        ("name", "McDonald"),
        ("0", "2019"),
    ]


OTHER = "In 1999 the CRF of Lyon took 37 hours and 2.1 days, and the mayor of Genoa saw all of it."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The number of the chapter stays; of the same length are 37 and 64.
        (
            "# 5.2 Training\n\nThe model is trained with ADAM for many steps of batch size 64.\n",
            ["5.2 Training: The model is trained with ___ for many steps of batch size 37."],
        ),
        # In brackets: who is cited, and the short form.
        ("The small models are trained by ADAM (Porto) as has been shown before [51].\n", []),
        ("Adaptive moment estimation (AME) is a way to train many of the small models.\n", []),
        # An acronym for an acronym, a year for a year.
        (
            "The small models were trained in 1987 by all of the people with SGD.\n",
            [
                "The small models were trained in ___ by all of the people with CRF.",
            ],
        ),
    ],
)
def test_exchanged_is_what_the_question_turns_on(text: str, expected: list[str]) -> None:
    corpus = corpus_of(a=text, b=OTHER)
    asked = [one for rule in RULES for one in rule(corpus) if one.cluster == "a.md"]
    assert asked
    assert [one.text for one in swapped_questions(corpus, asked, 0)] == expected


def test_the_header_of_a_column_stays() -> None:
    table = "| Method | Kappa |\n|---|---|\n| ADAM | 0.81 |\n"
    corpus = corpus_of(a=table, b=OTHER)
    (asked,) = cell_questions(corpus)
    assert [one.text for one in swapped_questions(corpus, [asked], 0)] == []
    prose = corpus_of(a=table + "\nThe method ADAM was tried by all of the people.", b=OTHER)
    assert [one.text for one in swapped_questions(prose, [asked], 0)] == ["CRF, Kappa?"]


def test_without_another_document_nothing_can_be_exchanged() -> None:
    corpus = corpus_of(a="The old harbour of Porto was dug out. The bridge of Lyon was built.")
    asked = corpus.sources["a.md"].question("written", "Who dug the harbour of Porto?", (0, 9))
    assert list(swapped_questions(corpus, [asked], 0)) == []


@settings(max_examples=10)
@given(st.integers())
def test_no_sentence_has_the_new_term_and_the_rarest_other_word(seed: int) -> None:
    corpus = library()
    questions, _ = merge_same(question for rule in RULES for question in rule(corpus))
    sieve = Sieve(corpus, Counter())
    for question in in_turns(questions, seed)[:80]:
        sieve.offer(question)
    by_cluster = {question.cluster for question in sieve.kept}
    made = list(swapped_questions(corpus, sieve.kept, seed))
    assert made
    for question in made:
        assert question.cluster in by_cluster
        # Of the sentences of all documents, none has all words of the question.
        assert not corpus.sentences_with(corpus.words(question.text))
