"""A confidence interval that holds for any distribution: what bets do not rule out."""

import numpy as np

from eval.decisions.items import Floats
from eval.decisions.pvalues import wsr_risk
from eval.intervals import MeanInterval

# Where the bounds lie is found roughly first, then exactly.
_STEPS = (0.1, 0.005, 0.0001)
_DIGITS = 4


def betting_interval(items: Floats, confidence: float = 0.95, seed: int = 0) -> MeanInterval:
    """Return the means that `wsr` cannot rule out.

    Whatever lies below `low` or above `high`, and these themselves, would have been believed in
    wrongly with a probability of at most (1 - confidence) / 2.

    Args:
        items: (num_items,) in [-1, 1], at least one; independent, see `cluster_means`.
        confidence: in (0, 1).
        seed: of the order in which the items are bet on.

    Raises:
        ValueError: an item is out of its range.
    """
    delta = (1 - confidence) / 2
    mean = float(np.mean(items))
    # Bets that were lucky in between may rule out the very mean of the items.
    low = min(_shown_above(items, delta, seed), mean)
    high = max(-_shown_above(-items, delta, seed), mean)
    return MeanInterval(mean, low, high, len(items))


def _shown_above(items: Floats, delta: float, seed: int) -> float:
    """Return the largest bound that the mean is shown to be above, and above all bounds below."""
    shown, width = -1.0, 2.0
    for step in _STEPS:
        bounds = shown + step * np.arange(1, round(width / step))
        p_values = wsr_risk((1 - items) / 2, (1 - bounds) / 2, delta, seed)
        num_shown = int(np.argmin(np.append(p_values <= delta, False)))
        shown, width = round(shown + step * num_shown, _DIGITS), step
    return shown
