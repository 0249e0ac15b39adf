"""What bets do not rule out holds the truth, whatever the items are drawn from."""

from math import sqrt

import numpy as np
import pytest

from benchmarks.simulated_worlds import BOUNDARY, EPS
from eval.decisions.betting_interval import betting_interval
from eval.decisions.pvalues import wsr


@pytest.mark.parametrize("world", BOUNDARY)
def test_bounds_are_where_the_test_begins_to_fail(world: str) -> None:
    items = BOUNDARY[world](np.random.default_rng(1), (150,))
    interval = betting_interval(items, 0.9)
    assert interval.low < interval.mean < interval.high < 1
    # H0: E[item] >= eps is refused at all that lies above, and at nothing below.
    assert wsr(items, interval.high, 0.05) <= 0.05
    assert wsr(items, interval.high - 0.0001, 0.05) > 0.05


def test_an_interval_of_the_opposite_is_the_opposite() -> None:
    items = BOUNDARY["ties and skew"](np.random.default_rng(2), (80,))
    interval, opposite = betting_interval(items), betting_interval(-items)
    assert (interval.low, interval.high) == (-opposite.high, -opposite.low)


@pytest.mark.parametrize("world", BOUNDARY)
def test_the_truth_is_hardly_ever_outside(world: str) -> None:
    random = np.random.default_rng(3)
    drawn = (betting_interval(BOUNDARY[world](random, (60,)), 0.9) for _ in range(200))
    missed = sum(not one.low < EPS < one.high for one in drawn)
    assert missed <= 0.1 * 200 + 2 * sqrt(0.1 * 0.9 * 200)


def test_a_single_item_rules_out_nothing() -> None:
    interval = betting_interval(np.array([-0.5]))
    assert (interval.low, interval.high, interval.num_clusters) == (-1, 1, 1)


def test_the_mean_is_never_outside() -> None:
    # Ordered so that the bets win early on, and lose later.
    order = np.random.default_rng(0).permutation(200)
    items = np.empty(200)
    items[order] = np.repeat([1.0, -1.0], 100)
    interval = betting_interval(items)
    assert interval.low <= interval.mean == 0 <= interval.high
    assert wsr(-items, 0.0, 0.025) <= 0.025  # the bets alone would rule it out


def test_items_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="must be in"):
        betting_interval(np.array([1.5]))
