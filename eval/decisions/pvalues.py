"""One-sided p-values for means of bounded items.

A small p-value says that the setting is good enough: the null hypothesis is that it is not. Items
are independent of each other: questions, or `cluster_means` where these come in clusters. All
functions take the items along the last axis and return a p-value for each row.
"""

from enum import StrEnum

import numpy as np
from scipy.special import bdtr, rel_entr, stdtr  # type: ignore[import-untyped]

from eval.decisions.items import Floats, check_range

# The most of its capital that a bet may lose at one item.
_MAX_STAKE = 0.95


class PairedTest(StrEnum):
    """A test that a candidate is not worse than a reference by eps or more.

    Attributes:
        WSR: holds at any number of items, for any distribution.
        T_PLUS_ONE: more often certain, but its error rate holds approximately.
    """

    WSR = "wsr"
    T_PLUS_ONE = "t_plus_one"


class RiskTest(StrEnum):
    """A test that a risk is at most alpha; both hold at any number of items.

    Attributes:
        WSR: the sharper one, because it learns how much the losses vary.
        HB: Hoeffding-Bentkus, in closed form and without an order of the items.
    """

    WSR = "wsr"
    HB = "hb"


def paired_p_value(
    test: PairedTest, differences: Floats, eps: float, delta: float, seed: int = 0
) -> Floats:
    """Return the p-value of the test; the arguments are those of `wsr`."""
    if test is PairedTest.WSR:
        return wsr(differences, eps, delta, seed)
    return t_plus_one(differences, eps)


def risk_p_value(
    test: RiskTest, losses: Floats, alpha: float, delta: float, seed: int = 0
) -> Floats:
    """Return the p-value of the test; the arguments are those of `wsr_risk`."""
    if test is RiskTest.WSR:
        return wsr_risk(losses, alpha, delta, seed)
    return hoeffding_bentkus(losses, alpha)


def wsr(differences: Floats, eps: float, delta: float, seed: int = 0) -> Floats:
    """Test H0: E[difference] >= eps, by betting against it (Waudby-Smith and Ramdas, JRSS B 2024).

    Args:
        differences: (..., num_items) in [-1, 1], quality of the reference minus the candidate's.
        eps: how much worse the candidate may be, in [0, 1).
        delta: the error rate that the bets are sized for, in (0, 1); the p-value holds for any.
        seed: of the order in which the items are bet on.

    Returns:
        (...) in [0, 1]; 1 without items.

    Raises:
        ValueError: an argument is out of its range.
    """
    _check_paired(differences, eps)
    return wsr_risk((differences + 1) / 2, (1 + eps) / 2, delta, seed)


def wsr_risk(losses: Floats, alpha: float | Floats, delta: float, seed: int = 0) -> Floats:
    """Test H0: E[loss] >= alpha, by betting against it (Waudby-Smith and Ramdas, JRSS B 2024).

    A gambler stakes a share of the capital on each loss being below alpha; under H0 the capital
    has at most a chance of 1 / c to ever reach c times what it was (Ville), so the inverse of the
    most it reached is a p-value. Each bet is sized by the variance of the items before it, so that
    the items that are left just suffice for what is missing to the goal of 1 / delta (Voracek and
    Orabona, STaR-Bets, NeurIPS 2025). A goal that was reached makes room for the next, 1 / delta
    times as far.

    Args:
        losses: (..., num_items) in [0, 1].
        alpha: the bound of the risk, in (0, 1); several are (...) as well, or broadcast to it.
        delta: the error rate that the bets are sized for, in (0, 1); the p-value holds for any.
        seed: of the order in which the items are bet on.

    Returns:
        (...) in [0, 1]; 1 without items.

    Raises:
        ValueError: an argument is out of its range.
    """
    _check_risk(losses, alpha)
    if not 0 < delta < 1:
        raise ValueError(f"delta is {delta}, but must be in (0, 1)")
    num_items = losses.shape[-1]
    shuffled = losses[..., np.random.default_rng(seed).permutation(num_items)]
    goal = np.log(1 / delta)
    log_capital = most = np.zeros(np.broadcast_shapes(losses.shape[:-1], np.shape(alpha)))
    # The first item is bet on as if one loss of 1/2 with the variance 1/4 had been seen.
    total, squares = log_capital + 0.5, log_capital + 0.25
    for number in range(num_items):
        loss = shuffled[..., number]
        variance = squares / (number + 1)
        missing = goal * (np.floor(np.maximum(log_capital, 0) / goal) + 1) - log_capital
        bet = np.sqrt(2 * missing / ((num_items - number) * variance))
        bet = np.minimum(bet, _MAX_STAKE / (1 - alpha))
        log_capital = log_capital + np.log1p(bet * (alpha - loss))
        most = np.maximum(most, log_capital)
        total = total + loss
        squares = squares + (loss - total / (number + 2)) ** 2
    p_values: Floats = np.exp(-most)
    return p_values


def t_plus_one(differences: Floats, eps: float) -> Floats:
    """Test H0: E[difference] >= eps by Student's t, with one item of difference 1 added.

    The added item is the worst there could be. It keeps the t test from being certain where no
    loss was seen yet: with 30 items and losses of 5 %, t errs in 21 % of the cases instead of 5.

    Args:
        differences: (..., num_items) in [-1, 1], quality of the reference minus the candidate's.
        eps: how much worse the candidate may be, in [0, 1).

    Returns:
        (...) in [0, 1]; 1 without items.

    Raises:
        ValueError: an argument is out of its range.
    """
    _check_paired(differences, eps)
    num_items = differences.shape[-1]
    if num_items == 0:
        return np.ones(differences.shape[:-1])
    worst = np.ones((*differences.shape[:-1], 1))
    items = np.concatenate((differences, worst), axis=-1)
    errors = np.std(items, axis=-1, ddof=1) / np.sqrt(num_items + 1)
    excess = np.mean(items, axis=-1) - eps
    # Without any spread all differences are 1.
    statistics = np.divide(excess, errors, out=np.full_like(excess, np.inf), where=errors > 0)
    p_values: Floats = stdtr(num_items, statistics)
    return p_values


def hoeffding_bentkus(losses: Floats, alpha: float) -> Floats:
    """Test H0: E[loss] >= alpha by the bounds of Hoeffding and Bentkus (Bates et al., JACM 2021).

    Args:
        losses: (..., num_items) in [0, 1].
        alpha: the bound of the risk, in (0, 1).

    Returns:
        (...) in [0, 1]; 1 without items.

    Raises:
        ValueError: an argument is out of its range.
    """
    _check_risk(losses, alpha)
    num_items = losses.shape[-1]
    sums = np.sum(losses, axis=-1)
    risks = np.minimum(sums / max(num_items, 1), alpha)
    divergences = rel_entr(risks, alpha) + rel_entr(1 - risks, 1 - alpha)
    hoeffding = np.exp(-num_items * divergences)
    bentkus = np.e * bdtr(np.ceil(sums), num_items, alpha)
    p_values: Floats = np.minimum(hoeffding, bentkus)
    return p_values


def _check_paired(differences: Floats, eps: float) -> None:
    check_range("differences", differences, -1, 1)
    if not 0 <= eps < 1:
        raise ValueError(f"eps is {eps}, but must be in [0, 1)")


def _check_risk(losses: Floats, alpha: float | Floats) -> None:
    check_range("losses", losses, 0, 1)
    if not np.all((np.asarray(alpha) > 0) & (np.asarray(alpha) < 1)):
        raise ValueError(f"alpha is {alpha}, but must be in (0, 1)")
