"""Scores depend on which characters were retrieved, not on where documents were cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.questions import Fact, Span
from eval.spans import RetrievedSpan, SpanScores, coverage_at, score_spans

LENGTH = 60


def gold(start: int, end: int, document: str = "a") -> Span:
    return Span(document, "x" * (end - start), start, end)


def chunk(start: int, end: int, document: str = "a", token_count: int = 100) -> RetrievedSpan:
    return RetrievedSpan(document, start, end, token_count)


def test_values_are_the_formulas() -> None:
    # 30 characters of gold; 40 sent, which hold 5 of the first fact and all 20 of the second.
    facts = ((gold(0, 10),), (gold(50, 70),))
    scores = score_spans(facts, [chunk(5, 15), chunk(45, 75)])
    assert scores == SpanScores(
        recall=(5 + 20) / 30,
        precision=(5 + 20) / (10 + 30),
        iou=(5 + 20) / (10 + 30 + 30 - 25),
        fact_hit=1 / 2,
        sufficient=0,
    )


def test_nothing_retrieved() -> None:
    assert score_spans(((gold(0, 10),),), []) == SpanScores(0, 0, 0, 0, 0)


def test_touching_is_not_overlap() -> None:
    scores = score_spans(((gold(10, 20),),), [chunk(0, 10), chunk(20, 30)])
    assert scores == SpanScores(0, 0, 0, 0, 0)


def test_other_documents_do_not_count() -> None:
    assert score_spans(((gold(0, 10),),), [chunk(0, 10, "b")]).recall == 0


def test_overlapping_chunks_are_found_once_but_sent_twice() -> None:
    scores = score_spans(((gold(0, 10),),), [chunk(0, 10), chunk(0, 10)])
    assert (scores.recall, scores.precision, scores.iou) == (1, 10 / 20, 10 / (20 + 10 - 10))


@pytest.mark.parametrize(("end", "hit"), [(8, 1), (7, 0)])
def test_a_fact_is_hit_at_eighty_percent(end: int, hit: float) -> None:
    scores = score_spans(((gold(0, 10),),), [chunk(0, end)])
    assert (scores.fact_hit, scores.sufficient) == (hit, hit)


def test_the_best_alternative_counts() -> None:
    fact = (gold(0, 10), gold(50, 70, "b"))
    assert score_spans((fact,), [chunk(50, 70, "b")]).recall == 1
    assert score_spans((fact,), [chunk(0, 10)]).recall == 1


def test_context_for_a_long_alternative_does_not_lower_recall() -> None:
    facts = ((gold(0, 100), gold(200, 210)), (gold(300, 400),))
    before = score_spans(facts, [chunk(300, 400)]).recall
    after = score_spans(facts, [chunk(300, 400), chunk(0, 10)]).recall
    assert before == after == 100 / 110


def test_spans_without_a_place_are_refused() -> None:
    with pytest.raises(ValueError, match="anchor the questions first"):
        score_spans(((Span("a", "x"),),), [])


@pytest.mark.parametrize(
    ("max_tokens", "recall"),
    [(99, 0), (100, 1 / 3), (299, 1 / 3), (300, 2 / 3), (349, 2 / 3), (350, 3 / 3)],
)
def test_coverage_is_of_the_longest_prefix_that_fits(max_tokens: int, recall: float) -> None:
    ranking = [chunk(0, 10), chunk(10, 20, token_count=200), chunk(20, 30, token_count=50)]
    assert coverage_at(((gold(0, 30),),), ranking, max_tokens) == pytest.approx(recall)


def test_coverage_skips_nothing_that_does_not_fit() -> None:
    ranking = [chunk(0, 10, token_count=500), chunk(10, 20, token_count=1)]
    assert coverage_at(((gold(10, 20),),), ranking, 256) == 0


intervals = st.tuples(st.integers(0, LENGTH - 1), st.integers(1, 20)).map(
    lambda pair: (pair[0], min(LENGTH, pair[0] + pair[1]))
)
documents = st.sampled_from("ab")
gold_spans = st.builds(
    lambda place, document: gold(place[0], place[1], document=document), intervals, documents
)
single_facts = st.lists(st.tuples(gold_spans), min_size=1, max_size=4)
chunks = st.lists(
    st.builds(
        lambda place, document: chunk(place[0], place[1], document=document), intervals, documents
    ),
    max_size=8,
)


@st.composite
def facts_apart(draw: st.DrawFn) -> list[Fact]:
    """Facts with alternatives, none of which overlaps one of another fact."""
    borders = sorted(draw(st.sets(st.integers(0, LENGTH), min_size=3, max_size=10)))
    pieces = [gold(*place, draw(documents)) for place in pairwise(borders)]
    num_facts = draw(st.integers(1, min(3, len(pieces))))
    return [tuple(pieces[first::num_facts]) for first in range(num_facts)]


@given(single_facts, st.sets(st.integers(1, LENGTH - 1)), st.sets(st.integers(1, LENGTH - 1)))
def test_cutting_the_same_text_differently_changes_nothing(
    facts: list[Fact], some_cuts: set[int], other_cuts: set[int]
) -> None:
    def cut(positions: set[int]) -> list[RetrievedSpan]:
        return [chunk(*place) for place in pairwise([0, *sorted(positions), LENGTH])]

    assert score_spans(facts, cut(some_cuts)) == score_spans(facts, cut(other_cuts))


@given(single_facts | facts_apart(), chunks, chunks)
def test_more_context_never_lowers_recall(
    facts: list[Fact], some: list[RetrievedSpan], more: list[RetrievedSpan]
) -> None:
    before, after = score_spans(facts, some), score_spans(facts, some + more)
    assert after.recall >= before.recall
    assert after.fact_hit >= before.fact_hit
    assert after.sufficient >= before.sufficient


@given(single_facts, chunks)
def test_scores_equal_those_of_sets_of_characters(
    facts: list[Fact], retrieved: list[RetrievedSpan]
) -> None:
    wanted = {
        (span.document, position)
        for (span,) in facts
        for position in range(span.start or 0, span.end or 0)
    }
    got = {
        (span.document, position) for span in retrieved for position in range(span.start, span.end)
    }
    sent = sum(span.end - span.start for span in retrieved)
    found = len(wanted & got)
    scores = score_spans(facts, retrieved)
    assert scores.recall == found / len(wanted)
    assert scores.precision == (found / sent if sent else 0)
    assert scores.iou == found / (sent + len(wanted) - found)


@given(single_facts | facts_apart(), chunks)
def test_scores_are_shares(facts: list[Fact], retrieved: list[RetrievedSpan]) -> None:
    scores = score_spans(facts, retrieved)
    for score in (scores.recall, scores.precision, scores.iou, scores.fact_hit):
        assert 0 <= score <= 1
    assert scores.iou <= min(scores.recall, scores.precision) or not retrieved


@given(single_facts, chunks)
def test_the_order_of_retrieval_does_not_matter(
    facts: list[Fact], retrieved: list[RetrievedSpan]
) -> None:
    assert score_spans(facts, retrieved) == score_spans(facts, retrieved[::-1])
