"""What settings were measured to do on some questions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Self

import numpy as np
from scipy.special import stdtrit  # type: ignore[import-untyped]

from eval.decisions.items import Floats, cluster_means
from eval.intervals import MeanInterval, cluster_t_interval
from eval.sweep import Sweep


@dataclass(frozen=True, slots=True)
class Measurements:
    """All settings on the questions of one half; each array is (num_settings, num_questions).

    Attributes:
        coverage: share of the evidence in the context.
        sufficient: 1 where all of it is, else 0.
        tokens: of the whole prompt.
        num_chunks: in the context.
        clusters: what is independent, one for each question.
    """

    coverage: Floats
    sufficient: Floats
    tokens: Floats
    num_chunks: Floats
    clusters: Sequence[str]

    @classmethod
    def of(cls, sweeps: Sequence[Sweep], frames: Floats, clusters: Sequence[str]) -> Self:
        """Put the settings of several sweeps one after the other.

        Args:
            sweeps: of the same questions.
            frames: tokens of the prompt of each question without passages.
            clusters: of the questions.
        """
        return cls(
            np.concatenate([one.recall for one in sweeps]).astype(float),
            np.concatenate([one.sufficient for one in sweeps]).astype(float),
            np.concatenate([one.tokens for one in sweeps]) + frames,
            np.concatenate([one.num_chunks for one in sweeps]).astype(float),
            clusters,
        )

    def of_questions(self, chosen: slice) -> "Measurements":
        """Return those of some of the questions.

        Questions of one cluster alone are taken for independent, which is good enough to choose
        with; what is certified is tested on two clusters or more.
        """
        clusters = self.clusters[chosen]
        if len(set(clusters)) == 1:
            clusters = [str(number) for number in range(len(clusters))]
        return Measurements(
            self.coverage[:, chosen],
            self.sufficient[:, chosen],
            self.tokens[:, chosen],
            self.num_chunks[:, chosen],
            clusters,
        )

    @property
    def num_items(self) -> int:
        """How many clusters there are."""
        return len(set(self.clusters))

    def items(self, values: Floats) -> Floats:
        """Return the means of the clusters of (..., num_questions), see `cluster_means`."""
        return cluster_means(values, self.clusters)

    def means(self, values: Floats) -> Floats:
        """Return the means over clusters of (..., num_questions)."""
        means: Floats = self.items(values).mean(axis=-1)
        return means

    def lower_bounds(self, values: Floats) -> Floats:
        """Return the lower ends of the 95 % intervals of the means of (..., num_questions).

        One question alone leaves any mean possible.
        """
        items = self.items(values)
        n = items.shape[-1]
        if n < 2:  # noqa: PLR2004
            return np.full(values.shape[:-1], -np.inf)
        errors = stdtrit(n - 1, 0.975) * items.std(axis=-1, ddof=1) / sqrt(n)
        bounds: Floats = items.mean(axis=-1) - errors
        return bounds

    def interval(self, values: Floats) -> MeanInterval:
        """Return the mean over clusters of (num_questions,) with its 95 % interval."""
        interval = cluster_t_interval(values.tolist(), self.clusters)
        if interval is None:
            raise ValueError("an interval needs two questions")
        return interval

    def share(self, values: Floats) -> MeanInterval:
        """Return the same for shares; what is said of their mean stays in [0, 1], too."""
        interval = self.interval(values)
        return replace(interval, low=max(0.0, interval.low), high=min(1.0, interval.high))
