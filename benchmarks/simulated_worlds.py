"""Questions drawn from worlds whose truth is known, to see whether error rates keep their promise.

What is drawn for one question is a column; columns are independent unless clusters are named.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.special import ndtr, ndtri  # type: ignore[import-untyped]

from eval.decisions.items import Floats

# How much worse a candidate may be, in all worlds.
EPS = 0.05


def _drawn(values: Sequence[float], chances: Sequence[float]) -> Callable[..., Floats]:
    def draw(random: Generator, shape: tuple[int, ...]) -> Floats:
        return random.choice(np.array(values), size=shape, p=chances)

    return draw


# Quality of the reference minus the candidate's, with a mean of exactly EPS: the candidate is not
# good enough, and as hard to tell from a good one as can be.
BOUNDARY: dict[str, Callable[[Generator, tuple[int, ...]], Floats]] = {
    "rare losses": _drawn((0.0, 1.0), (0.95, 0.05)),
    "ties and skew": _drawn((0.0, -0.1, 1.0), (0.62, 0.30, 0.08)),
    "flips": _drawn((-1.0, 0.0, 1.0), (0.075, 0.8, 0.125)),
}


# Differences whose mean is clearly less than EPS, and clearly more.
WITHIN: dict[str, Callable[[Generator, tuple[int, ...]], Floats]] = {
    "nothing changed": _drawn((0.0,), (1.0,)),
    "1 in 50 better, as many worse": _drawn((-1.0, 0.0, 1.0), (0.02, 0.96, 0.02)),
    "5 in 100 better": _drawn((-1.0, 0.0, 1.0), (0.075, 0.9, 0.025)),
}
BEYOND: dict[str, Callable[[Generator, tuple[int, ...]], Floats]] = {
    "1 in 10 lost": _drawn((0.0, 1.0), (0.9, 0.1)),
    "1 in 5 lost": _drawn((0.0, 1.0), (0.8, 0.2)),
}


def equal_flips(random: Generator, shape: tuple[int, ...]) -> Floats:
    """Differences of two settings that are equally good, and differ in a fifth of the questions."""
    return _drawn((-1.0, 0.0, 1.0), (0.1, 0.8, 0.1))(random, shape)


def clustered_losses(
    random: Generator, num_runs: int, num_clusters: int, cluster_size: int
) -> Floats:
    """Losses with the mean EPS, (num_runs, num_clusters * cluster_size), alike within a cluster.

    Of one document in ten every second question loses, of the others none.
    """
    is_hard = random.random((num_runs, num_clusters, 1)) < 0.1  # noqa: PLR2004
    chance = np.where(is_hard, 0.5, 0.0)
    lost = random.random((num_runs, num_clusters, cluster_size)) < chance
    return lost.reshape(num_runs, -1).astype(np.float64)


@dataclass(frozen=True, slots=True)
class InvertedU:
    """Right and wrong answers with k = 1 ... 50 chunks; more chunks help, then distract.

    The reference is the best k, 24. 10 chunks are worse by 0.025; 8 are by exactly 0.03, so they
    are not good enough for a margin of 0.03.
    """

    ks: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 50)
    means: tuple[float, ...] = (
        *(0.40, 0.50, 0.55, 0.59, 0.62, 0.64, 0.67, 0.675, 0.68, 0.69, 0.695, 0.70),
        *(0.695, 0.69, 0.68),
    )
    eps: float = 0.03
    # Correlation of the answers to one question with different k, of the latent normal variables.
    correlation: float = 0.9

    @property
    def reference(self) -> int:
        """The row of the best k."""
        return int(np.argmax(self.means))

    def draw(self, random: Generator, num_questions: int) -> Floats:
        """Return (len(ks), num_questions) of 0 and 1."""
        shared = random.standard_normal(num_questions)
        own = random.standard_normal((len(self.ks), num_questions))
        latent = np.sqrt(self.correlation) * shared + np.sqrt(1 - self.correlation) * own
        return np.asarray(latent < ndtri(self.means)[:, None], dtype=np.float64)


# (scores of the other passages (num_questions, 49), score of the evidence (num_questions,)) -> how
# far a rule of the family must go to keep the evidence (num_questions,).
_Family = Callable[[Floats, Floats], Floats]


def _rank(scores: Floats, gold: Floats) -> Floats:
    return np.asarray((scores > gold[:, None]).sum(axis=1) + 1.0)


def _below_zero(_: Floats, gold: Floats) -> Floats:
    return -gold


def _below_best(scores: Floats, gold: Floats) -> Floats:
    return np.asarray(np.maximum(scores.max(axis=1) - gold, 0.0))


def _tail_normalised(scores: Floats, gold: Floats) -> Floats:
    tail = np.sort(scores, axis=1)[:, :-19]
    return np.asarray((tail.mean(axis=1) - gold) / tail.std(axis=1))


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Scores of 50 passages for each question, one of which is the evidence.

    Attributes:
        easy: share of questions whose evidence stands out by 4 deviations instead of 2.
        missing: share of questions whose evidence is not among the passages.
        offset: deviation of what a question adds to all of its scores.
    """

    easy: float = 0.0
    missing: float = 0.0
    offset: float = 1.0

    def depths(self, random: Generator, num_questions: int) -> dict[str, Floats]:
        """Return for each family of rules how far a rule must go to keep a question's evidence."""
        offsets = self.offset * random.standard_normal(num_questions)
        scores = offsets[:, None] + random.standard_normal((num_questions, 49))
        strength = np.where(random.random(num_questions) < self.easy, 4.0, 2.0)
        gold = offsets + strength + random.standard_normal(num_questions)
        missed = random.random(num_questions) < self.missing
        return {
            name: np.where(missed, np.inf, depth(scores, gold)) for name, depth in FAMILIES.items()
        }


FAMILIES: dict[str, _Family] = {
    "fixed count": _rank,
    "threshold": _below_zero,
    "margin to best": _below_best,
    "tail-normalised": _tail_normalised,
}
# The parameter of each family, from most context to least.
GRIDS: dict[str, Floats] = {
    "fixed count": np.arange(50.0, 0.0, -1.0),
    "threshold": np.linspace(6.0, -4.0, 50),
    "margin to best": np.linspace(6.0, 0.0, 50),
    "tail-normalised": np.linspace(4.0, -4.0, 50),
}
RETRIEVALS: dict[str, Retrieval] = {
    "even": Retrieval(),
    "easy and hard": Retrieval(easy=0.75, missing=0.01),
}
INFEASIBLE = Retrieval(missing=0.2)


def losses(depths: Floats, grid: Floats) -> Floats:
    """Return (len(grid), num_questions): 1 where a rule does not reach a question's evidence."""
    return (depths > grid[:, None]).astype(np.float64)


def judged(
    random: Generator, num_items: int, sensitivity: float, specificity: float
) -> tuple[Floats, Floats]:
    """Return what people and a judge say of items of which 70 % are right, as 0 and 1."""
    labels = random.random(num_items) < JUDGED_MEAN
    says_right = np.where(labels, sensitivity, 1 - specificity)
    predictions = random.random(num_items) < says_right
    return labels.astype(np.float64), predictions.astype(np.float64)


JUDGED_MEAN = 0.7


def racers(random: Generator, num_configs: int, num_questions: int) -> tuple[Floats, Floats]:
    """Return the true means of configurations, and their right and wrong answers."""
    means = random.normal(0.65, 0.06, num_configs)
    shared = random.standard_normal(num_questions)
    own = random.standard_normal((num_configs, num_questions))
    latent = np.sqrt(0.7) * shared + np.sqrt(0.3) * own
    return means, (ndtr(latent) < means[:, None]).astype(np.float64)
