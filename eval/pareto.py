"""The Pareto front: settings that no other one beats in both quality and cost."""

import numpy as np

from eval.decisions.items import Floats


def pareto_front(cost: Floats, quality: Floats) -> list[int]:
    """Return which settings are on the front, by rising cost; of equal ones the first.

    Args:
        cost: (num_settings,), lower is better.
        quality: (num_settings,), higher is better.
    """
    front: list[int] = []
    best = -np.inf
    for setting in np.lexsort((np.arange(len(cost)), -quality, cost)).tolist():
        if quality[setting] > best:
            best = quality[setting]
            front.append(setting)
    return front


def thin(front: list[int], most: int) -> list[int]:
    """Return at most so many settings, the first and the last among them, evenly spread."""
    if len(front) <= most:
        return front
    places = np.unique(np.linspace(0, len(front) - 1, most).round().astype(int))
    return [front[place] for place in places]
