"""p-values are rarely small when the candidate is not good enough."""

from math import comb, e, exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp  # type: ignore[import-untyped]

from benchmarks.decisions import cluster_errors, power, type_one_errors
from eval.decisions.pvalues import (
    PairedTest,
    RiskTest,
    hoeffding_bentkus,
    paired_p_value,
    risk_p_value,
    t_plus_one,
    wsr,
    wsr_risk,
)

DIFFERENCES = st.lists(st.floats(-1, 1), max_size=60).map(np.array)


def test_betting_is_the_published_recursion() -> None:
    losses, alpha, delta, seed = np.array([0.0, 0.3, 0.0, 1.0, 0.1]), 0.4, 0.05, 3
    total, squares, capital, most = 0.5, 0.25, 1.0, 1.0
    for count, place in enumerate(np.random.default_rng(seed).permutation(5), start=1):
        missing, items_left = log(1 / delta / capital), 6 - count
        bet = min(sqrt(2 * missing / (items_left * squares / count)), 0.95 / (1 - alpha))
        capital *= 1 + bet * (alpha - losses[place])
        most = max(most, capital)
        total += losses[place]
        squares += (losses[place] - total / (count + 1)) ** 2
    assert wsr_risk(losses, alpha, delta, seed) == pytest.approx(1 / most)


def test_what_passed_is_bet_on_further() -> None:
    assert wsr_risk(np.zeros(40), 0.2, 0.05) < 0.05**2


def test_differences_are_bet_on_as_losses() -> None:
    differences = np.array([0.0, -1.0, 0.5])
    assert wsr(differences, 0.1, 0.05) == wsr_risk((differences + 1) / 2, (1 + 0.1) / 2, 0.05)


def test_t_has_one_item_more() -> None:
    differences = np.array([0.0, -0.2, 0.1, 0.0])
    expected = ttest_1samp([*differences, 1.0], 0.05, alternative="less").pvalue
    assert t_plus_one(differences, 0.05) == pytest.approx(expected)


def test_hoeffding_bentkus_is_the_smaller_of_both_bounds() -> None:
    num_items, alpha = 50, 0.3
    losses = np.zeros(num_items)
    losses[:5] = 1.0
    divergence = 0.1 * log(0.1 / alpha) + 0.9 * log(0.9 / (1 - alpha))
    at_most_5 = sum(
        comb(num_items, k) * alpha**k * (1 - alpha) ** (num_items - k) for k in range(6)
    )
    expected = min(exp(-num_items * divergence), e * at_most_5)
    assert hoeffding_bentkus(losses, alpha) == pytest.approx(expected)


@pytest.mark.parametrize("test", PairedTest)
def test_identical_answers_to_few_questions_are_no_proof(test: PairedTest) -> None:
    assert paired_p_value(test, np.zeros(50), 0.05, 0.05) > 0.05
    assert paired_p_value(test, np.zeros(200), 0.05, 0.05) < 0.05


@pytest.mark.parametrize("test", PairedTest)
@given(differences=DIFFERENCES, eps=st.floats(0, 0.9))
def test_p_value_is_a_probability(
    test: PairedTest, differences: np.ndarray[tuple[int], np.dtype[np.float64]], eps: float
) -> None:
    assert 0 <= paired_p_value(test, differences, eps, 0.05) <= 1


@pytest.mark.parametrize("test", PairedTest)
@given(differences=DIFFERENCES, eps=st.floats(0, 0.4))
def test_what_is_shown_is_shown_of_a_larger_margin(
    test: PairedTest, differences: np.ndarray[tuple[int], np.dtype[np.float64]], eps: float
) -> None:
    p_values = [float(paired_p_value(test, differences, bound, 0.05)) for bound in (eps, 2 * eps)]
    assert p_values[0] > 0.05 or p_values[1] <= 0.05


@given(losses=st.lists(st.integers(0, 1), min_size=1, max_size=60), data=st.data())
def test_one_loss_fewer_never_speaks_against_the_candidate(
    losses: list[int], data: st.DataObject
) -> None:
    fewer = list(losses)
    fewer[data.draw(st.integers(0, len(losses) - 1))] = 0
    p_values = hoeffding_bentkus(np.array([losses, fewer], dtype=np.float64), 0.2)
    assert p_values[1] <= p_values[0] + 1e-9


@pytest.mark.parametrize("test", PairedTest)
def test_rows_are_tested_as_if_alone(test: PairedTest) -> None:
    rows = np.random.default_rng(1).uniform(-1, 0.5, (2, 3, 40))
    alone = [[float(paired_p_value(test, row, 0.1, 0.05)) for row in block] for block in rows]
    assert paired_p_value(test, rows, 0.1, 0.05).tolist() == alone


def test_nothing_is_shown_without_items() -> None:
    nothing = np.empty((3, 0))
    assert wsr(nothing, 0.1, 0.05).tolist() == [1.0] * 3
    assert t_plus_one(nothing, 0.1).tolist() == [1.0] * 3
    assert hoeffding_bentkus(nothing, 0.1).tolist() == [1.0] * 3


@pytest.mark.parametrize("bad", [1.1, -1.1, float("nan")])
@pytest.mark.parametrize("test", PairedTest)
def test_differences_out_of_range_are_refused(test: PairedTest, bad: float) -> None:
    with pytest.raises(ValueError, match=r"differences must be in \[-1, 1\]"):
        paired_p_value(test, np.array([0.0, bad]), 0.1, 0.05)


@pytest.mark.parametrize("test", RiskTest)
def test_losses_and_bounds_out_of_range_are_refused(test: RiskTest) -> None:
    with pytest.raises(ValueError, match=r"losses must be in \[0, 1\]"):
        risk_p_value(test, np.array([-0.1]), 0.1, 0.05)
    with pytest.raises(ValueError, match="alpha is 1"):
        risk_p_value(test, np.array([0.1]), 1, 0.05)


def test_margins_and_error_rates_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="eps is 1"):
        t_plus_one(np.zeros(2), 1)
    with pytest.raises(ValueError, match="delta is 0"):
        wsr(np.zeros(2), 0.1, 0)


def test_type_one_errors_keep_to_5_percent_where_plain_t_does_not() -> None:
    figures = type_one_errors(np.random.default_rng(1), 2000)
    broken = {(figure.case, figure.method, figure.items) for figure in figures if not figure.kept}
    assert {method for _, method, _ in broken} == {"plain t"}
    assert ("rare losses", "plain t", 30) in broken
    assert max(figure.error for figure in figures if figure.method == "plain t") > 0.2


def test_equally_good_is_shown_with_enough_questions() -> None:
    missed = {
        (figure.method, figure.items): figure.error
        for figure in power(np.random.default_rng(1), 1000)
    }
    assert max(missed[test, 800] for test in PairedTest) < 0.15
    assert all(missed[test, 800] < missed[test, 400] < missed[test, 200] for test in PairedTest)


def test_questions_of_one_document_are_one_item() -> None:
    figures = cluster_errors(np.random.default_rng(1), 2000)
    assert {figure.method for figure in figures if not figure.kept} == {
        "wsr over questions",
        "t_plus_one over questions",
    }
