"""The gate of a change: passed, failed, or not enough questions to tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from eval.decisions.items import Floats, check_range, cluster_means
from eval.decisions.sample_size import items_needed
from eval.intervals import MeanInterval, cluster_t_interval

# With fewer clusters, what never differed in them may differ often.
FEWEST_CLUSTERS = 10


class Outcome(StrEnum):
    """What a comparison says.

    Attributes:
        PASS: the quality fell by less than the margin, if it fell.
        FAIL: it fell by more.
        INCONCLUSIVE: both is possible, or there are fewer clusters than `FEWEST_CLUSTERS`.
    """

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the scores of two runs say.

    Attributes:
        outcome: see there.
        difference: new minus base, over clusters; None with fewer than two of them.
        clusters_needed: how many would tell with a probability of 0.8, if difference and spread
            stay what they are; None unless the outcome is INCONCLUSIVE, or when no number would.
    """

    outcome: Outcome
    difference: MeanInterval | None
    clusters_needed: int | None = None


def compare(
    base: Floats,
    new: Floats,
    clusters: Sequence[str],
    max_drop: float,
    confidence: float = 0.95,
) -> Comparison:
    """Compare the scores of the same questions before and after a change.

    Args:
        base: one score in [0, 1] for each question.
        new: the same after the change.
        clusters: the cluster of each question.
        max_drop: how much the mean may fall, in (0, 1].
        confidence: of the interval that must lie above or below -max_drop, in (0, 1).

    Raises:
        ValueError: an argument is out of its range, or not of the same questions.
    """
    if not 0 < max_drop <= 1:
        raise ValueError(
            f"max_drop is {max_drop}, but must be in (0, 1]: no number of questions shows that "
            "nothing was lost"
        )
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, but must be in (0, 1)")
    if base.shape != new.shape:
        raise ValueError(f"{base.size} scores before and {new.size} after, but one pair is needed")
    check_range("scores", np.concatenate((base, new)), 0, 1)
    differences = new - base
    interval = cluster_t_interval(differences.tolist(), clusters, confidence)
    if interval is None or interval.num_clusters < FEWEST_CLUSTERS:
        return Comparison(Outcome.INCONCLUSIVE, interval, FEWEST_CLUSTERS)
    if interval.low > -max_drop:
        return Comparison(Outcome.PASS, interval)
    if interval.high < -max_drop:
        return Comparison(Outcome.FAIL, interval)
    deviation = float(np.std(cluster_means(differences, clusters), ddof=1))
    needed = items_needed(deviation, interval.mean + max_drop, delta=(1 - confidence) / 2)
    return Comparison(Outcome.INCONCLUSIVE, interval, needed)
