"""The number of items is known before a model is called."""

import numpy as np
import pytest

from eval.decisions.items import Floats
from eval.decisions.pvalues import t_plus_one, wsr_risk
from eval.decisions.sample_size import (
    fewest_items,
    items_needed,
)


@pytest.mark.parametrize(
    ("deviation", "eps", "expected"),
    [(0.35, 0.05, 303), (0.35, 0.03, 842), (0.35, 0.02, 1894), (0.25, 0.05, 155)],
)
def test_items_are_6_18_variances_by_the_squared_margin(
    deviation: float, eps: float, expected: int
) -> None:
    assert items_needed(deviation, eps) == expected
    assert expected == pytest.approx(6.18 * deviation**2 / eps**2, abs=2)


def test_more_certainty_and_more_power_take_more_items() -> None:
    assert items_needed(0.35, 0.05) == 303
    # z[0.99] = 2.326 and z[0.9] = 1.282 for z[0.95] = 1.645 and z[0.8] = 0.842.
    assert items_needed(0.35, 0.05, delta=0.01, power=0.9) == pytest.approx(
        303 * ((2.326 + 1.282) / (1.645 + 0.842)) ** 2, abs=2
    )


def test_on_the_bound_no_number_tells() -> None:
    assert items_needed(0.35, 0.0) is None


def test_the_side_of_the_bound_does_not_matter() -> None:
    assert items_needed(0.35, -0.05) == items_needed(0.35, 0.05)


def test_one_item_at_least() -> None:
    assert items_needed(0.0, 0.05) == 1


def test_so_many_items_have_the_promised_power() -> None:
    deviation, eps = 0.4, 0.06
    needed = items_needed(deviation, eps)
    assert needed is not None
    signs = np.random.default_rng(1).choice([-deviation, deviation], size=(1000, needed))
    assert 0.75 <= np.mean(t_plus_one(signs, eps) <= 0.05) <= 0.85


@pytest.mark.parametrize(
    "call",
    [
        lambda: items_needed(-0.1, 0.05),
        lambda: items_needed(0.1, 0.05, delta=0.5),
        lambda: items_needed(0.1, 0.05, power=1.0),
    ],
)
def test_out_of_range_is_refused(call: object) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match="must be"):
        call()


@pytest.mark.parametrize(("alpha", "expected"), [(0.1, 24), (0.05, 48)])
def test_fewest_items_certify_where_none_has_a_loss_and_one_fewer_does_not(
    alpha: float, expected: int
) -> None:
    def p_value(losses: Floats) -> Floats:
        return wsr_risk(losses, alpha, delta=0.1)

    assert fewest_items(p_value, delta=0.1) == expected
    assert p_value(np.zeros(expected)) <= 0.1 < p_value(np.zeros(expected - 1))
