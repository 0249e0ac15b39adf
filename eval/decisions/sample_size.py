"""How many items tell: asked before a model is called, and after a test that was inconclusive.

Items are what is independent: questions, or clusters where questions come in clusters. For a
number of questions multiply by how many a cluster has, but more questions in the same clusters do
not replace clusters.
"""

from bisect import bisect_left
from collections.abc import Callable
from math import ceil, log, sqrt

import numpy as np
from scipy.special import ndtri  # type: ignore[import-untyped]

from eval.decisions.items import Floats


def items_needed(
    deviation: float, distance: float, delta: float = 0.05, power: float = 0.8
) -> int | None:
    """Return how many items show that a mean is above (or below) a bound.

    n = ((z[1 - delta] + z[power]) * deviation / distance)^2, by the normal approximation; with the
    defaults 6.18 * deviation^2 / distance^2. The tests of `pvalues` need up to a quarter more.

    Args:
        deviation: standard deviation of an item, 0 or more.
        distance: how far the mean is from the bound; for two settings that are equally good, eps.
        delta: error rate of the test, in (0, 1/2).
        power: the probability that the items will show it, in [1/2, 1).

    Returns:
        1 or more; None when the mean is on the bound, then no number of items tells.

    Raises:
        ValueError: an argument is out of its range.
    """
    _check(deviation, delta, power)
    if distance == 0:
        return None
    return max(1, ceil((_quantiles(delta, power) * deviation / distance) ** 2))


def reachable_eps(
    deviation: float, num_items: int, delta: float = 0.05, power: float = 0.8
) -> float:
    """Return the smallest eps that so many items can show, the inverse of `items_needed`.

    Raises:
        ValueError: an argument is out of its range.
    """
    _check(deviation, delta, power)
    if num_items < 1:
        raise ValueError(f"num_items is {num_items}, but must be 1 or more")
    return _quantiles(delta, power) * deviation / sqrt(num_items)


def items_without_loss(alpha: float, delta: float) -> int:
    """Return how many items show a risk of at most alpha when none of them has a loss.

    n = ln(delta) / ln(1 - alpha): where losses are 0 or 1, no test with the error rate delta can
    do with fewer, because a risk of alpha stays unseen in n items with probability (1 - alpha)^n.

    Args:
        alpha: the bound of the risk, in (0, 1).
        delta: the error rate, in (0, 1).

    Raises:
        ValueError: an argument is out of its range.
    """
    if not (0 < alpha < 1 and 0 < delta < 1):
        raise ValueError(f"alpha is {alpha} and delta is {delta}, but both must be in (0, 1)")
    return ceil(log(delta) / log(1 - alpha))


def fewest_items(p_value: Callable[[Floats], Floats], delta: float) -> int:
    """Return how many items a test needs where each of them is 0: no loss, or no difference.

    With fewer nothing that is as good is certified, whatever it is.

    Args:
        p_value: of the test, for (num_items,).
        delta: the error rate, in (0, 1).
    """

    def is_enough(number: int) -> bool:
        return float(p_value(np.zeros(number))) <= delta

    enough = 1
    while not is_enough(enough):
        enough *= 2
    return bisect_left(range(enough), True, key=is_enough)


def _quantiles(delta: float, power: float) -> float:
    return float(ndtri(1 - delta) + ndtri(power))


def _check(deviation: float, delta: float, power: float) -> None:
    if deviation < 0:
        raise ValueError(f"deviation is {deviation}, but must be 0 or more")
    if not (0 < delta < 0.5 <= power < 1):  # noqa: PLR2004
        raise ValueError(
            f"delta is {delta} and power is {power}, but must be in (0, 1/2) and [1/2, 1)"
        )
