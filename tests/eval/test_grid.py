"""The grid has each setting once, and rules that make no prompt longer than what is served now."""

import pytest

from eval.grid import MOST_CHUNKS, NUM_EXPANDED, make_grid
from retrieval.packing import PackingPolicy
from retrieval.profiles import Mode, RetrievalProfile


@pytest.mark.parametrize(("has_reranker", "most_now"), [(False, 10), (True, 10), (False, 50)])
def test_each_setting_is_there_once(has_reranker: bool, most_now: int) -> None:
    grid = make_grid(RetrievalProfile(), most_now, has_reranker=has_reranker)
    assert len(set(grid)) == len(grid)
    assert any(one.rerank for one in grid) == has_reranker


def test_every_rule_may_keep_as_much_as_now_or_more() -> None:
    grid = make_grid(RetrievalProfile(), 13, has_reranker=False)
    rules = [one.rule for one in grid if one.rule and not one.packing.expand]
    assert {rule.k_max for rule in rules} == {13, MOST_CHUNKS}
    as_now, more = (
        {rule.model_copy(update={"k_max": 1}) for rule in rules if rule.k_max == k_max}
        for k_max in (13, MOST_CHUNKS)
    )
    assert as_now == more


def test_rules_read_the_fused_scores_only() -> None:
    grid = make_grid(RetrievalProfile(), 10, has_reranker=True)
    ruled = [one for one in grid if one.rule is not None]
    assert {(one.mode, one.rerank) for one in ruled} == {(Mode.HYBRID, False)}


@pytest.mark.parametrize("is_served_expanded", [False, True])
def test_hits_come_with_the_sections_around_them_and_without(is_served_expanded: bool) -> None:
    """Whatever is served: both are tried."""
    served = RetrievalProfile(packing=PackingPolicy(expand=is_served_expanded))
    grid = make_grid(served, 10, has_reranker=False)
    amounts = {
        is_expanded: {one.top_k for one in grid if one.packing.expand is is_expanded}
        for is_expanded in (False, True)
    }
    assert amounts[True] - {None} == set(NUM_EXPANDED) <= amounts[False]
    kept = [one.rule.k_max for one in grid if one.rule and one.packing.expand]
    assert set(kept) == {max(NUM_EXPANDED)}
