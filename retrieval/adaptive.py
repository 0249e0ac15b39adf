"""Adaptive context: rules that tell from the scores of a ranking how many hits to keep.

Each family has one parameter that decides how much is kept: with more of it (or less, for a
threshold) the hits kept before are kept still. A fixed number is the default; the others are worth
what a calibration on the collection's own questions says, because scores of another embedder,
fusion or corpus mean something else.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import exp, sqrt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Ranks of the same query, from 1, that are taken for chance finds.
_TAIL = slice(19, 50)


class _Family(BaseModel, ABC):
    """What all rules share.

    Attributes:
        k_min: fewest hits to keep, also of a query without scores.
        k_max: most hits to keep.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    k_min: int = Field(default=1, ge=1, strict=True)
    k_max: int = Field(default=50, ge=1, strict=True)

    @model_validator(mode="after")
    def _check_order(self) -> "_Family":
        if self.k_min > self.k_max:
            raise ValueError(f"k_min is {self.k_min}, above k_max, {self.k_max}")
        return self

    def __call__(self, scores: Sequence[float]) -> int:
        """Return how many hits to keep, from `k_min` to `k_max`; there may be fewer hits than that.

        Hits with the score of the last one kept are kept as well, up to `k_max`.

        Args:
            scores: of a ranking, best first.
        """
        if not scores:
            return self.k_min
        k = min(max(self._count(scores), self.k_min), self.k_max)
        while k < min(len(scores), self.k_max) and scores[k] == scores[k - 1]:
            k += 1
        return k

    @abstractmethod
    def _count(self, scores: Sequence[float]) -> int:
        """Return how many hits the rule alone would keep."""


class FixedCount(_Family):
    """Keep `k_max` hits, whatever the scores."""

    family: Literal["fixed_count"] = "fixed_count"

    def _count(self, scores: Sequence[float]) -> int:
        return self.k_max


class Threshold(_Family):
    """Keep what scores at least `threshold`; for scores that mean the same for every query."""

    family: Literal["threshold"] = "threshold"
    threshold: float = Field(strict=True)

    def _count(self, scores: Sequence[float]) -> int:
        return sum(score >= self.threshold for score in scores)


class MarginToBest(_Family):
    """Keep what scores at most `margin` below the best hit."""

    family: Literal["margin_to_best"] = "margin_to_best"
    margin: float = Field(ge=0, strict=True)

    def _count(self, scores: Sequence[float]) -> int:
        return sum(scores[0] - score <= self.margin for score in scores)


class TailDeviation(_Family):
    """Keep what stands `deviations` standard deviations above the mean of ranks 20 to 50.

    The tail is what the query finds by chance, so it is the measure of what is not. Without two
    scores of it there is nothing to compare with, and `k_max` are kept.
    """

    family: Literal["tail_deviation"] = "tail_deviation"
    deviations: float = Field(strict=True)

    def _count(self, scores: Sequence[float]) -> int:
        tail = scores[_TAIL]
        if len(tail) < 2:  # noqa: PLR2004
            return self.k_max
        mean = sum(tail) / len(tail)
        deviation = sqrt(sum((score - mean) ** 2 for score in tail) / (len(tail) - 1))
        return sum(score - mean >= self.deviations * deviation for score in scores)


class SoftmaxMass(_Family):
    """Keep the first hits that hold a share of the softmax of all scores given.

    Attributes:
        mass: the share, in (0, 1].
        temperature: divides the scores; the lower, the more the best hits weigh.
    """

    family: Literal["softmax_mass"] = "softmax_mass"
    mass: float = Field(gt=0, le=1, strict=True)
    temperature: float = Field(default=0.1, gt=0, strict=True)

    def _count(self, scores: Sequence[float]) -> int:
        weights = [exp((score - scores[0]) / self.temperature) for score in scores]
        wanted = self.mass * sum(weights)
        return sum(held < wanted for held in accumulate(weights)) + 1


class LargestGap(_Family):
    """Keep what is above the largest gap between neighbouring scores, and `extra` hits more.

    The baseline that the other families are compared with. Gaps below `k_max` do not count.
    """

    family: Literal["largest_gap"] = "largest_gap"
    extra: int = Field(default=0, ge=0, strict=True)

    def _count(self, scores: Sequence[float]) -> int:
        gaps = [above - below for above, below in pairwise(scores[: self.k_max + 1])]
        above_gap = gaps.index(max(gaps)) + 1 if gaps else 1
        return above_gap + self.extra


Rule = Annotated[
    FixedCount | Threshold | MarginToBest | TailDeviation | SoftmaxMass | LargestGap,
    Field(discriminator="family"),
]
"""Any of the rules; as a field of a pydantic model it is read from JSON by its `family`."""
