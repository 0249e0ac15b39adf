"""The gate of a change: passed, failed, or not enough questions to tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

import numpy as np

from eval.decisions.betting_interval import betting_interval
from eval.decisions.items import Floats, check_range, cluster_means
from eval.decisions.sample_size import in_reach, items_to_show
from eval.intervals import MeanInterval


class Outcome(StrEnum):
    """What a comparison says.

    Attributes:
        PASS: the quality fell by less than the margin, if it fell.
        FAIL: it fell by more.
        INCONCLUSIVE: both is possible.
    """

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the scores of two runs say.

    Attributes:
        outcome: see there.
        difference: new minus base, over clusters.
        clusters_needed: how many would tell with a probability of 0.8, if difference and spread
            stay what they are; None unless the outcome is INCONCLUSIVE, or where it would take more
            questions than anybody writes.
        questions_needed: likewise, if clusters stay as large.
    """

    outcome: Outcome
    difference: MeanInterval
    clusters_needed: int | None = None
    questions_needed: int | None = None


def compare(
    base: Floats,
    new: Floats,
    clusters: Sequence[str],
    max_drop: float,
    confidence: float = 0.95,
) -> Comparison:
    """Compare the scores of the same questions before and after a change.

    PASS and FAIL are wrong with a probability of at most (1 - confidence) / 2 each, whatever the
    scores are distributed like, if clusters are drawn independently.

    Args:
        base: one score in [0, 1] for each question, at least one.
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
    if base.shape != new.shape or not base.size:
        raise ValueError(
            f"{base.size} scores before and {new.size} after, but pairs are needed, at least one"
        )
    check_range("scores", np.concatenate((base, new)), 0, 1)
    items = cluster_means(new - base, clusters)
    interval = betting_interval(items, confidence)
    if interval.low >= -max_drop:
        return Comparison(Outcome.PASS, interval)
    if interval.high <= -max_drop:
        return Comparison(Outcome.FAIL, interval)
    needed = items_to_show(float(np.std(items)), interval.mean + max_drop, (1 - confidence) / 2)
    questions = None if needed is None else ceil(needed * base.size / items.size)
    if questions is None or not in_reach(questions, base.size):
        return Comparison(Outcome.INCONCLUSIVE, interval)
    return Comparison(Outcome.INCONCLUSIVE, interval, needed, questions)
