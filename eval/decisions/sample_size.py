"""How many items tell: asked before a model is called, and after a test that was inconclusive.

Items are what is independent: questions, or clusters where questions come in clusters. For a
number of questions multiply by how many a cluster has, but more questions in the same clusters do
not replace clusters.
"""

from bisect import bisect_left
from collections.abc import Callable
from math import ceil, log

import numpy as np
from scipy.special import ndtri  # type: ignore[import-untyped]

from eval.decisions.items import Floats

# The tests of `pvalues` need up to a quarter more items than the normal approximation says.
TEST_FACTOR = 1.25
# The largest sets that people wrote to judge search by: MS MARCO's has 6,980 questions, HotpotQA's
# 7,405, SQuAD 2.0's 11,873. Nobody will write more about documents of their own.
MOST_QUESTIONS = 10_000


def items_needed(
    deviation: float, distance: float, delta: float = 0.05, power: float = 0.8
) -> int | None:
    """Return how many items show that a mean is above (or below) a bound.

    n = ((z[1 - delta] + z[power]) * deviation / distance)^2, by the normal approximation; with the
    defaults 6.18 * deviation^2 / distance^2.

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
    if deviation < 0:
        raise ValueError(f"deviation is {deviation}, but must be 0 or more")
    if not (0 < delta < 0.5 <= power < 1):  # noqa: PLR2004
        raise ValueError(
            f"delta is {delta} and power is {power}, but must be in (0, 1/2) and [1/2, 1)"
        )
    if distance == 0:
        return None
    quantiles = float(ndtri(1 - delta) + ndtri(power))
    return max(1, ceil((quantiles * deviation / distance) ** 2))


def items_to_show(
    deviation: float, distance: float, delta: float, power: float = 0.8
) -> int | None:
    """Return how many items the tests of `pvalues` need; see `items_needed`.

    Where nothing was lost yet, they want to see that often enough: at most as much is won at each
    bet as the bound is away.
    """
    items = items_needed(deviation, distance, delta, power)
    return None if items is None else ceil(TEST_FACTOR * max(items, -log(delta) / abs(distance)))


def in_reach(questions: float, at_hand: int) -> bool:
    """Tell whether anybody might ask so many questions, where there are some already."""
    return questions <= max(MOST_QUESTIONS, 2 * at_hand)


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
