"""A mean from few human labels and many verdicts of a judge, without the judge's bias."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.special import stdtrit  # type: ignore[import-untyped]

from eval.decisions.items import Floats

# Below that many labels a tuned weight is itself so uncertain that intervals become too short.
MIN_LABELS_TO_TUNE = 100


@dataclass(frozen=True, slots=True)
class PredictionPoweredMean:
    """A mean with its confidence interval, and how much the judge counted in it."""

    mean: float
    low: float
    high: float
    weight: float


def prediction_powered_mean(
    labels: Floats,
    predictions: Floats,
    unlabelled: Floats,
    confidence: float = 0.95,
    weight: float | None = None,
    clusters: tuple[Sequence[str], Sequence[str]] | None = None,
) -> PredictionPoweredMean:
    """Return the mean of the judge's verdicts, corrected by where people saw it err.

    Prediction-powered inference (Angelopoulos et al., Science 382, 2023) with weight 1, PPI++
    (arXiv:2311.01453) with another one. With weight 0 the judge has no say. The standard error adds
    up what each cluster as a whole is off, as that of `question_t_interval` does. For it two items
    are added to the labelled ones, on which the judge errs as far as it can, once in each direction
    (as Bonett and Price do for paired proportions, J. Educ. Behav. Stat. 37, 2012): an error that
    is rare may not have come up in few labels.

    Args:
        labels: what people say of n items, in [0, 1].
        predictions: what the judge says of the same, likewise.
        unlabelled: what the judge says of N further items from the same source, likewise.
        confidence: in (0, 1).
        weight: of the judge; by default 1 below 100 labels, then `tuned_weight`.
        clusters: of the labelled items and of the others; None: each item is one.

    Raises:
        ValueError: there are fewer than two labels or verdicts, or clusters of these, labels and
            predictions differ in number, or the confidence is out of its range.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, but must be in (0, 1)")
    num_labels, num_unlabelled = sizes = len(labels), len(unlabelled)
    if min(num_labels, num_unlabelled) < 2 or len(predictions) != num_labels:  # noqa: PLR2004
        raise ValueError(
            f"{num_labels} labels, {len(predictions)} predictions of them and {num_unlabelled} "
            "others, but there must be two or more, and a prediction for each label"
        )
    if weight is None:
        tune = num_labels >= MIN_LABELS_TO_TUNE
        weight = tuned_weight(labels, predictions, num_unlabelled) if tune else 1.0
    if clusters is None:
        clusters = [f"label {i}" for i in range(num_labels)], list(map(str, range(num_unlabelled)))
    if min(len(set(names)) for names in clusters) < 2:  # noqa: PLR2004
        raise ValueError("labels and other verdicts must be of two clusters or more each")
    corrections = labels - weight * predictions
    mean = weight * float(np.mean(unlabelled)) + float(np.mean(corrections))
    corrections = np.append(corrections, (max(1.0, 1.0 - weight), min(0.0, -weight)))
    clusters = [*clusters[0], "too strict", "too lenient"], clusters[1]
    sums: defaultdict[str, float] = defaultdict(float)
    sides = zip((corrections, weight * unlabelled), clusters, sizes, strict=True)
    for values, names, size in sides:
        num = len(set(names))
        shares = (values - np.mean(values)) / size * sqrt(num / (num - 1))
        for name, share in zip(names, shares.tolist(), strict=True):
            sums[name] += share
    error = sqrt(sum(one**2 for one in sums.values()))
    reach = float(stdtrit(len(set(clusters[0])) - 1, (1 + confidence) / 2)) * error
    return PredictionPoweredMean(mean, mean - reach, mean + reach, weight)


def tuned_weight(labels: Floats, predictions: Floats, num_unlabelled: int) -> float:
    """Return the weight with the shortest interval: Cov(y, f) / ((1 + n / N) Var f)."""
    covariance = np.cov(labels, predictions)
    spread = (1 + len(labels) / num_unlabelled) * float(covariance[1, 1])
    return float(covariance[0, 1]) / spread if spread else 0.0
