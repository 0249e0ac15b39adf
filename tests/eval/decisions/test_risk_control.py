"""Risk control: the bound holds as promised, and infeasible is said."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from benchmarks.decisions import falling_and_rising, infeasible, risk_control
from eval.decisions.pvalues import RiskTest, risk_p_value
from eval.decisions.risk_control import (
    RiskControl,
    Verdict,
    conformal_risk_control,
    learn_then_test,
)

NUM_ITEMS = 199


def losses(*num_lost: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return a row for each number of items that are lost, always the first ones."""
    return (np.arange(NUM_ITEMS) < np.array(num_lost)[:, None]).astype(np.float64)


def test_conformal_bound_counts_a_new_item_as_lost() -> None:
    # 19 of 199 items and the new one are 20 of 200, a tenth; 20 and the new one are more.
    result = conformal_risk_control(losses(0, 19, 20), alpha=0.1)
    assert (result.verdict, result.chosen) == (Verdict.CERTIFIED, 1)
    assert result.risks == (0.0, 19 / 199, 20 / 199)
    assert result.p_values == ()


@pytest.mark.parametrize("test", RiskTest)
def test_learn_then_test_stops_at_the_first_failure(test: RiskTest) -> None:
    rows = losses(0, 5, 60, 0)
    result = learn_then_test(rows, alpha=0.1, delta=0.1, test=test)
    assert (result.verdict, result.chosen) == (Verdict.CERTIFIED, 1)
    assert result.p_values == tuple(risk_p_value(test, rows[:3], 0.1, 0.1).tolist())


def test_all_rules_may_be_certified() -> None:
    assert learn_then_test(losses(0, 0), alpha=0.1, delta=0.1).chosen == 1


def test_risk_above_the_bound_with_the_most_context_is_infeasible() -> None:
    for result in (
        conformal_risk_control(losses(40, 60), alpha=0.1),
        learn_then_test(losses(40, 60), alpha=0.1, delta=0.1),
    ):
        assert (result.verdict, result.chosen) == (Verdict.INFEASIBLE, None)
        assert result.deepest_risk == 40 / 199


@pytest.mark.parametrize(
    "control", [conformal_risk_control, *(partial(learn_then_test, test=one) for one in RiskTest)]
)
def test_infeasible_is_shown_with_the_error_rate(control: Callable[..., RiskControl]) -> None:
    """The risk is .08 and .1 is allowed, yet the mean of few items is often above it."""
    random = np.random.default_rng(0)
    rows = (random.random((1000, 1, 50)) < 0.08).astype(float)
    verdicts = [control(row, alpha=0.1, delta=0.1).verdict for row in rows]
    assert np.mean([row.mean() > 0.1 for row in rows]) > 0.15
    assert np.mean([one is Verdict.INFEASIBLE for one in verdicts]) <= 0.02


def test_too_few_items_are_not_infeasible() -> None:
    for result in (
        conformal_risk_control(losses(0)[:, :8], alpha=0.1),
        learn_then_test(losses(0)[:, :8], alpha=0.1, delta=0.1),
    ):
        assert (result.verdict, result.chosen) == (Verdict.NOT_CERTIFIED, None)


def test_on_average_counts_items_that_certify_nothing_as_no_loss() -> None:
    """Where retrieval misses .12 and .1 is allowed, no certificate is right, yet some are given."""
    random = np.random.default_rng(0)
    rows = (random.random((1000, 1, 100)) < 0.12).astype(float)
    certified = np.mean([conformal_risk_control(row, alpha=0.1).chosen == 0 for row in rows])
    assert certified == pytest.approx(0.226, abs=0.04)  # a binomial of 100 is 9 or fewer
    assert 0.12 * certified < 0.1


def test_conformal_risk_control_refuses_losses_that_fall_with_less_context() -> None:
    with pytest.raises(ValueError, match="use learn_then_test"):
        conformal_risk_control(losses(5, 4), alpha=0.1)


@pytest.mark.parametrize("shape", [(3,), (0, 3), (3, 0)])
def test_losses_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="losses have the shape"):
        learn_then_test(np.zeros(shape), alpha=0.1, delta=0.1)


def test_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="losses must be in"):
        conformal_risk_control(2 * losses(1), alpha=0.1)
    with pytest.raises(ValueError, match="alpha is 0"):
        conformal_risk_control(losses(1), alpha=0)
    with pytest.raises(ValueError, match="delta is 1"):
        learn_then_test(losses(1), alpha=0.1, delta=1)


def test_promises_hold_for_every_family_where_the_plain_choice_fails() -> None:
    figures = risk_control(np.random.default_rng(1), 100, sizes=(200,))
    plain = [figure for figure in figures if figure.method == "plug-in"]
    assert all(figure.error > 0.2 for figure in plain)
    assert [figure for figure in figures if figure not in plain and not figure.kept] == []
    # On average is no promise for the rule at hand.
    assert max(figure.also.get("above_alpha", 0) for figure in figures) > 0.1


def test_retrieval_that_does_not_find_the_evidence_is_said_to() -> None:
    for figure in infeasible(np.random.default_rng(1), 100):
        assert figure.error == 0
        assert figure.also["infeasible"] > 0.95


def test_learn_then_test_holds_for_losses_that_fall_and_rise() -> None:
    assert all(figure.kept for figure in falling_and_rising(np.random.default_rng(1), 300))
