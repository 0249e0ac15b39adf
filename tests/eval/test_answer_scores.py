"""Scores of answers: SQuAD's as its official script computes them, the others by hand."""

from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.answer_scores import (
    Abstention,
    CitationScores,
    Fault,
    exact_match,
    find_fault,
    normalize,
    numeric_match,
    rouge_l,
    score_abstention,
    score_citations,
    token_f1,
    token_recall,
)
from eval.questions import Span
from eval.spans import RetrievedSpan


def test_case_punctuation_articles_and_space_do_not_count() -> None:
    assert normalize("  The  U.S.  Senate, an 'upper' house! ") == "us senate upper house"


@pytest.mark.parametrize(
    ("answer", "right", "expected"),
    [
        ("Paris", ["the Paris."], 1.0),
        ("in Paris", ["Paris"], 2 * 1 / (2 + 1)),
        ("Paris", ["London", "Paris, France"], 2 * 1 / (1 + 2)),
        ("no no no", ["no"], 2 * 1 / (3 + 1)),  # a word counts as often as both have it
        ("London", ["Paris"], 0.0),
        ("", [""], 1.0),
        ("the", ["an"], 1.0),  # nothing is left of either
        ("Paris", [""], 0.0),
        ("Paris", [], 0.0),
    ],
)
def test_token_f1(answer: str, right: list[str], expected: float) -> None:
    assert token_f1(answer, right) == expected


def test_exact_match_is_of_any_right_answer() -> None:
    assert exact_match("the 5 MB", ["4 MB", "5 MB"]) == 1
    assert exact_match("5", ["5 MB"]) == 0
    assert exact_match("5", []) == 0


def test_squads_published_example() -> None:
    # Figure 1 of Rajpurkar et al. (2016): answers to "What causes precipitation to fall?" and
    # "Where do water droplets collide with ice crystals to form precipitation?".
    assert exact_match("Gravity.", ["gravity"]) == 1
    assert token_f1("within the cloud", ["within a cloud"]) == 1.0
    assert token_f1("in a cloud", ["within a cloud"]) == 2 * 1 / (2 + 2)


@pytest.mark.parametrize(
    ("answer", "right", "expected"),
    [
        ("The notice period is three months.", ["three months"], 1.0),
        ("Three weeks", ["three months", "a week"], 1 / 2),
        ("months", ["three months", "months"], 1.0),
        ("no", ["no no no"], 1 / 3),
        ("", ["three"], 0.0),
        ("three", [], 0.0),
        ("three", ["the"], 0.0),
    ],
)
def test_token_recall(answer: str, right: list[str], expected: float) -> None:
    assert token_recall(answer, right) == expected


@pytest.mark.parametrize(
    ("answer", "right", "expected"),
    [
        # The example of Lin (2004), section 3: L = 3 of 4 and 4 words, then 2.
        ("police kill the gunman", ["police killed the gunman"], 3 / 4),
        ("the gunman kill police", ["police killed the gunman"], 2 / 4),
        # P = 2/3, R = 2/4: F = 2 * 2 / (3 + 4).
        ("a c d", ["a b c x"], 4 / 7),
        ("A, c!", ["x", "a b c"], 2 * 2 / (2 + 3)),
        ("", ["a"], 0.0),
        ("a", [""], 0.0),
        ("", [""], 0.0),
        ("a", [], 0.0),
    ],
)
def test_rouge_l(answer: str, right: list[str], expected: float) -> None:
    assert rouge_l(answer, right) == pytest.approx(expected)


WORDS = st.lists(st.sampled_from("abc"), max_size=9)


@given(WORDS, WORDS)
def test_rouge_l_is_that_of_its_definition(one: list[str], other: list[str]) -> None:
    @cache
    def common(these: Sequence[str], others: Sequence[str]) -> int:
        if not these or not others:
            return 0
        if these[-1] == others[-1]:
            return common(these[:-1], others[:-1]) + 1
        return max(common(these[:-1], others), common(these, others[:-1]))

    length = common(tuple(one), tuple(other))
    if length == 0:
        expected = 0.0
    else:
        precision, recall = length / len(one), length / len(other)
        expected = 2 * precision * recall / (precision + recall)
    assert rouge_l(" ".join(one), [" ".join(other)]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answer", "right", "expected"),
    [
        ("It weighs 1234.50 kilograms.", "1,234.5 kg", 1),
        ("It weighs 1.234,5 kg.", "1,234.5 kg", 1),
        ("It weighs 1234.5.", "1,234.5 kg", 1),  # a unit counts when both have one
        ("It weighs 1,234.5 g.", "1,234.5 kg", 0),
        ("It weighs 1,234 kg.", "1,234.5 kg", 0),
        ("12 percent of them", "12%", 1),
        ("12 % of them", "12%", 1),
        ("12 kg of them", "12%", 0),
        ("$3 million", "3,000,000 dollars", 1),
        ("\u20ac5", "5 EUR", 1),
        ("1\u202f234\u202f567 people", "1234567", 1),
        ("1'234'567", "1,234,567", 1),
        ("12345", "1234", 0),
        ("-5 \u00b0C", "\u22125 degrees", 1),
        ("5", "-5", 0),
        ("from 1998 to 2004", "1998-2004", 1),
        ("in 1998", "1998-2004", 0),
        ("a 20-year lease", "20 years", 1),
        ("twenty", "20", 0),
        ("version 2.3.1", "version 2.3.1", None),
        ("It has 5.", "many", None),
    ],
)
def test_numeric_match(answer: str, right: str, expected: float | None) -> None:
    assert numeric_match(answer, [right]) == expected


def test_any_right_answer_will_do_for_numbers() -> None:
    assert numeric_match("7 days", ["one week", "7 days", "168 hours"]) == 1
    assert numeric_match("7 days", ["168 hours"]) == 0
    assert numeric_match("7 days", []) is None


def test_abstention() -> None:
    abstained = [True, True, True, False, False]
    answerable = [False, False, True, False, True]
    assert score_abstention(abstained, answerable) == Abstention(precision=2 / 3, recall=2 / 3)
    assert score_abstention([False], [True]) == Abstention(precision=None, recall=None)


FACTS = (
    (Span("a.md", "x" * 10, 0, 10), Span("b.md", "x" * 10, 50, 60)),
    (Span("a.md", "y" * 10, 20, 30),),
)


@pytest.mark.parametrize(
    ("cited", "expected"),
    [
        ([], CitationScores(None, 0.0)),
        ([("a.md", 0, 40)], CitationScores(1.0, 1.0)),
        ([("a.md", 0, 12), ("c.md", 0, 12)], CitationScores(1 / 2, 1 / 2)),
        ([("b.md", 40, 70), ("a.md", 20, 28)], CitationScores(1.0, 1.0)),  # 80 % of a fact
        ([("b.md", 40, 70), ("a.md", 20, 27)], CitationScores(1.0, 1 / 2)),
        ([("a.md", 10, 20)], CitationScores(0.0, 0.0)),  # it only touches
    ],
)
def test_citations(cited: list[tuple[str, int, int]], expected: CitationScores) -> None:
    assert score_citations(FACTS, [RetrievedSpan(*one, 9) for one in cited]) == expected


@pytest.mark.parametrize(
    ("quality", "is_sufficient", "is_answerable", "abstained", "expected"),
    [
        (0.5, False, True, False, Fault.NONE),
        (0.4, True, True, False, Fault.READER),
        (0.4, False, True, False, Fault.RETRIEVAL),
        (0.0, False, True, True, Fault.RETRIEVAL),  # nothing was there to answer from
        (0.0, True, True, True, Fault.ABSTENTION),
        (0.0, True, False, False, Fault.ABSTENTION),
        (1.0, True, False, True, Fault.NONE),
    ],
)
def test_faults(
    quality: float, is_sufficient: bool, is_answerable: bool, abstained: bool, expected: Fault
) -> None:
    fault = find_fault(
        quality, is_sufficient=is_sufficient, is_answerable=is_answerable, abstained=abstained
    )
    assert fault is expected
