"""A race of configurations: those that are clearly worse get no more questions."""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from eval.decisions.items import Floats, check_range, cluster_means
from eval.decisions.pvalues import t_plus_one

# No configuration is dropped by fewer questions than that.
MIN_QUESTIONS = 40


class Race:
    """Told blocks of scores, says which configurations remain.

    After each block, a configuration is dropped when its paired difference to the leader is below
    -margin by a one-sided t test with one item added that speaks for it. Tested at delta / (looks *
    configurations), the best one is dropped with a probability of at most about delta, whoever
    leads and however often is looked (racing: Maron and Moore, NIPS 1993; Birattari et al., GECCO
    2002).

    Attributes:
        remaining: the configurations that get the next block, rising, from 0.
        num_scores: scores told so far, each of which took a call of the model.
    """

    def __init__(
        self, num_configs: int, max_looks: int, delta: float = 0.05, margin: float = 0.0
    ) -> None:
        """Begin with all configurations.

        Args:
            num_configs: 1 or more.
            max_looks: blocks that will be told at most, 1 or more.
            delta: in (0, 1).
            margin: by how much a configuration may be worse than the leader, in [0, 1).

        Raises:
            ValueError: an argument is out of its range.
        """
        if num_configs < 1 or max_looks < 1 or not 0 < delta < 1 or not 0 <= margin < 1:
            raise ValueError(
                "A race needs a configuration, a look, a delta in (0, 1) and a margin in [0, 1)"
            )
        self.remaining = tuple(range(num_configs))
        self.num_scores = 0
        self._looks_left = max_looks
        self._level = delta / (max_looks * num_configs)
        self._margin = margin
        self._scores: Floats = np.empty((num_configs, 0))
        self._clusters: list[str] = []

    @property
    def leader(self) -> int:
        """The remaining configuration with the best mean of cluster means; the first of equals."""
        return self.remaining[self._lead(cluster_means(self._scores, self._clusters))]

    def add(self, scores: Floats, clusters: Sequence[str]) -> tuple[int, ...]:
        """Tell a block of questions and return what remains.

        Args:
            scores: (len(remaining), num_questions) in [0, 1], higher is better.
            clusters: the cluster of each question, which may have been in earlier blocks as well.

        Raises:
            ValueError: the block has another shape, a score is out of its range, or there are more
                blocks than looks.
        """
        if scores.shape != (len(self.remaining), len(clusters)):
            raise ValueError(
                f"scores have the shape {scores.shape}, but {len(self.remaining)} configurations "
                f"remain and {len(clusters)} questions have a cluster"
            )
        check_range("scores", scores, 0, 1)
        if self._looks_left == 0:
            raise ValueError("More blocks than looks: make a race with a larger max_looks")
        self._looks_left -= 1
        self._scores = np.concatenate((self._scores, scores), axis=1)
        self._clusters += clusters
        self.num_scores += scores.size
        if len(self._clusters) >= MIN_QUESTIONS:
            self._drop()
        return self.remaining

    def withdraw(self, configs: Collection[int]) -> tuple[int, ...]:
        """Take configurations out, whatever their scores were, and return what remains."""
        self._keep([config not in configs for config in self.remaining])
        return self.remaining

    def _drop(self) -> None:
        items = cluster_means(self._scores, self._clusters)
        # At most 1, as what the test adds.
        leads = (items - items[self._lead(items)] + self._margin) / (1 + self._margin)
        self._keep(t_plus_one(leads, eps=0.0) > self._level)

    def _keep(self, stays: Sequence[bool] | NDArray[np.bool_]) -> None:
        self.remaining = tuple(
            config for config, stay in zip(self.remaining, stays, strict=True) if stay
        )
        self._scores = self._scores[np.asarray(stays, bool)]

    def _lead(self, items: Floats) -> int:
        return int(np.argmax(items.mean(axis=1))) if items.size else 0
