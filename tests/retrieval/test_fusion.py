from collections.abc import Callable
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.fusion import convex_combination, fuse, reciprocal_rank
from retrieval.profiles import Fusion, RetrievalProfile

IDS = st.text("abcde", min_size=1, max_size=3)
COSINES = st.dictionaries(IDS, st.floats(-1, 1))
BM25 = st.dictionaries(IDS, st.floats(0, 50))
WEIGHTS = st.floats(0, 1)
Fuse = Callable[[dict[str, float], dict[str, float], float], dict[str, float]]


def test_cosines_and_scaled_word_scores_are_weighted() -> None:
    fused = convex_combination({"a": 0.8, "b": 0.4, "c": 0.2}, {"b": 6.0, "c": 12.0}, 0.25)
    assert fused == pytest.approx(
        {
            "c": 0.25 * 0.2 + 0.75 * 12 / 12,
            "b": 0.25 * 0.4 + 0.75 * 6 / 12,
            "a": 0.25 * 0.8,
        }
    )
    assert list(fused) == ["c", "b", "a"]


def test_a_score_does_not_depend_on_how_deep_the_lists_are() -> None:
    dense, lexical = {"a": 0.8, "b": 0.4}, {"a": 3.0}
    short = convex_combination(dense, lexical, 0.5)
    deep = convex_combination({**dense, "z": 0.01}, {**lexical, "y": 0.01}, 0.5)
    assert {key: deep[key] for key in short} == short


def test_a_negative_similarity_counts_as_none() -> None:
    assert convex_combination({"a": 0.5, "b": -0.5}, {"b": 2.0}, 0.5) == {"b": 0.5, "a": 0.25}
    assert convex_combination({"a": -0.2, "b": -0.5}, {"b": 2.0}, 0.5) == {"b": 0.5, "a": 0.0}


@pytest.mark.parametrize(
    ("weight", "expected"), [(1.0, {"a": 0.3, "b": 0.0}), (0.0, {"b": 1.0, "a": 0.0})]
)
def test_the_weight_can_switch_one_search_off(weight: float, expected: dict[str, float]) -> None:
    fused = convex_combination({"a": 0.3}, {"b": 7.0}, weight)
    assert list(fused.items()) == list(expected.items())


def test_a_word_in_one_chunk_outweighs_similarity_by_chance() -> None:
    noise = {f"noise {n}": 0.34 - n / 100 for n in range(5)}
    assert next(iter(convex_combination({**noise, "code": 0.12}, {"code": 8.0}, 0.7))) == "code"


@pytest.mark.parametrize("fusion", Fusion)
def test_vectors_order_what_shares_no_word_with_an_unknown_query(fusion: Fusion) -> None:
    profile = RetrievalProfile(fusion=fusion)
    assert list(fuse({"c": 0.8, "b": 0.4}, {"a": 1.0}, profile, 0)) == ["a", "c", "b"]
    fused = fuse({"c": 0.8, "b": 0.4}, {}, profile, 0)
    assert list(fused) == ["c", "b"]
    assert fused == pytest.approx({"c": 0, "b": 0}, abs=1e-6)


@pytest.mark.parametrize("fusion", Fusion)
def test_vectors_weigh_less_where_the_embedder_knows_less_of_the_query(fusion: Fusion) -> None:
    dense, lexical = {"a": 0.8, "b": 0.4}, {"b": 6.0, "c": 12.0}
    profile = RetrievalProfile(fusion=fusion, dense_weight=0.8)
    half = RetrievalProfile(fusion=fusion, dense_weight=0.8 / 2**3)
    words_alone = RetrievalProfile(fusion=fusion, dense_weight=0.0)
    assert fuse(dense, lexical, profile, 0.5) == fuse(dense, lexical, half)
    unknown = fuse(dense, lexical, profile, 0.0)
    assert unknown == pytest.approx(fuse(dense, lexical, words_alone), abs=1e-6)


def test_without_hits_there_is_nothing() -> None:
    assert convex_combination({}, {}, 0.5) == {}
    assert convex_combination({"a": 0.0}, {}, 0.5) == {"a": 0.0}


def test_reciprocal_ranks_count_from_1_and_leading_both_scores_1() -> None:
    fused = reciprocal_rank({"a": 0.8, "b": 0.4, "c": 0.2}, {"a": 9.0, "c": 6.0}, 0.25, k=60)
    assert fused == pytest.approx(
        {"a": 1.0, "c": 0.25 * 61 / 63 + 0.75 * 61 / 62, "b": 0.25 * 61 / 62}
    )
    assert list(fused) == ["a", "c", "b"]


def test_equal_scores_are_ranked_by_id() -> None:
    assert reciprocal_rank({"b": 0.5, "a": 0.5}, {}, 1.0, k=0) == {"a": 1.0, "b": 1 / 2}


FUSIONS = st.sampled_from(
    [convex_combination, lambda dense, lexical, weight: reciprocal_rank(dense, lexical, weight, 60)]
)


@given(FUSIONS, COSINES, BM25, WEIGHTS)
def test_scores_are_from_0_to_1_best_first_ties_by_id(
    fuse: Fuse, dense: dict[str, float], lexical: dict[str, float], weight: float
) -> None:
    fused = fuse(dense, lexical, weight)
    assert fused.keys() == dense.keys() | lexical.keys()
    assert all(0 <= score <= 1 + 1e-12 for score in fused.values())
    assert list(fused.items()) == sorted(fused.items(), key=lambda item: (-item[1], item[0]))


@given(FUSIONS, COSINES, BM25, WEIGHTS, st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(
    fuse: Fuse,
    dense: dict[str, float],
    lexical: dict[str, float],
    weight: float,
    chooser: Random,
) -> None:
    def shuffled(scores: dict[str, float]) -> dict[str, float]:
        return dict(chooser.sample(list(scores.items()), len(scores)))

    expected = list(fuse(dense, lexical, weight).items())
    assert list(fuse(shuffled(dense), shuffled(lexical), weight).items()) == expected


@given(FUSIONS, COSINES, BM25, WEIGHTS)
def test_what_is_better_in_both_lists_is_not_worse_fused(
    fuse: Fuse, dense: dict[str, float], lexical: dict[str, float], weight: float
) -> None:
    fused = fuse(dense, lexical, weight)
    for better, worse in permutations(dense.keys() & lexical.keys(), 2):
        if dense[better] > dense[worse] and lexical[better] > lexical[worse]:
            assert fused[better] >= fused[worse]
