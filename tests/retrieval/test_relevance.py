"""How much the best hit says about a query, whatever else was found."""

from dataclasses import replace

import pytest

from retrieval.analyzer import get_analyzer
from retrieval.chunks import Chunk, Hit
from retrieval.profiles import Fusion, RetrievalProfile
from retrieval.relevance import relevance
from retrieval.search import SearchResult

CHUNK = Chunk(
    chunk_id="a",
    document_id="doc",
    revision="r",
    start=0,
    end=20,
    text="Bees make honey.",
    headings=("Hives",),
    page_start=None,
    page_end=None,
    token_count=5,
    parent_start=0,
    parent_end=20,
    title="apiary",
)


def found(coverage: float = 1, **scores: float) -> SearchResult:
    """Return a search with one hit, of which each step thought something, the last one ranking."""
    *_, score = scores.values()
    return SearchResult(
        timings={},
        warnings=[],
        rankings={step: {"a": one} for step, one in scores.items()},
        depth=10,
        is_degraded=False,
        coverage=coverage,
        hits=[Hit(CHUNK, score, scores)],
        dropped={},
    )


def measure(result: SearchResult, query: str, **profile: object) -> float | None:
    chosen = RetrievalProfile.model_validate({"dense_weight": 0.6, **profile})
    return relevance(result, query, get_analyzer("english"), chosen)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("bees honey", 0.6 * 0.5 + 0.4),
        ("the bee and the honeys", 0.6 * 0.5 + 0.4),
        ("bees, bees, wasps", 0.6 * 0.5 + 0.4 / 2),  # words count once
        ("hives of wasps", 0.6 * 0.5 + 0.4 / 2),  # a heading
        ("wasps in the apiary", 0.6 * 0.5 + 0.4 / 2),  # the name of the file
        ("wasps", 0.6 * 0.5),
        ("the", 0.6 * 0.5),
    ],
)
@pytest.mark.parametrize("fusion", Fusion)
def test_a_fused_hit_counts_by_its_cosine_and_its_share_of_the_words(
    query: str, expected: float, fusion: Fusion
) -> None:
    result = found(dense=0.5, lexical=9, fused=0.95)
    assert measure(result, query, fusion=fusion) == pytest.approx(expected)


def test_words_decide_where_the_embedder_is_lost() -> None:
    """One of three words: the fused score of the best hit is 1 all the same."""
    assert measure(found(0, dense=0.9, lexical=3, fused=1), "bees пчёлы ульи") == 1 / 3
    half = 0.6 * 0.5**3
    result = found(0.5, dense=0.9, lexical=3, fused=0.99)
    assert measure(result, "bees wasps") == pytest.approx(half * 0.9 + (1 - half) / 2)


def test_a_cosine_below_0_counts_as_none() -> None:
    assert measure(found(dense=-0.2, lexical=3, fused=0.4), "bees") == pytest.approx(0.4)


def test_other_scores_are_taken_as_they_are() -> None:
    assert measure(found(dense=0.7), "wasps") == 0.7
    assert measure(found(lexical=7.5), "wasps") == 7.5
    assert measure(found(dense=0.7, lexical=7.5, fused=0.9, rerank=-3.2), "wasps") == -3.2


def test_nothing_is_not_relevant() -> None:
    assert measure(replace(found(dense=0.7), hits=[]), "bees") is None
