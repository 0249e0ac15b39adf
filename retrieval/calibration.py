"""Calibration: the scores of a reranker become probabilities that a passage is relevant."""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy.special import expit  # type: ignore[import-untyped]

from retrieval.errors import CalibrationError
from retrieval.reranking import Reranker

Vector = NDArray[np.float64]

MAX_STEPS = 100
# Newton's method ends when no component of the gradient is larger than this for each pair.
GRADIENT_TOLERANCE = 1e-10
# A step must lower the loss by this share of what its slope promises (Armijo's condition).
SUFFICIENT_DECREASE = 1e-4
SHORTEST_STEP = 1e-10


class Calibration(BaseModel):
    """Platt's sigmoid, 1 / (1 + exp(-(slope * score + intercept))), for one reranker.

    The slope is above 0, so it keeps the order.

    Attributes:
        reranker: name of the one whose scores it was fitted to.
        num_pairs: pairs of query and passage that it was fitted to.
        num_relevant: those of them that are relevant.
        fitted_on: the day.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    reranker: str
    slope: float = Field(gt=0)
    intercept: float
    num_pairs: int
    num_relevant: int
    fitted_on: date

    @classmethod
    def fit(
        cls, reranker: str, scores: Sequence[float], relevant: Sequence[bool], fitted_on: date
    ) -> Self:
        """Fit to judged pairs of query and passage.

        Maximum likelihood with Platt's smoothed targets (Platt, 1999), which keep the slope finite
        where the scores separate the two kinds, by the Newton method of Lin, Lin and Weng (Machine
        Learning, 2007).

        Args:
            reranker: its name.
            scores: one of each pair.
            relevant: whether the passage of each pair is relevant.
            fitted_on: the day.

        Raises:
            CalibrationError: a kind of pair is missing, or relevant passages do not score higher.
        """
        values, labels = np.array(scores, np.float64), np.array(relevant, bool)
        num_relevant = int(labels.sum())
        if not 0 < num_relevant < len(labels):
            raise CalibrationError("A calibration needs relevant and irrelevant passages.")
        targets = np.where(
            labels, (num_relevant + 1) / (num_relevant + 2), 1 / (len(labels) - num_relevant + 2)
        )
        # On scores of mean 0 and deviation 1 the problem is well conditioned.
        center, spread = values.mean(), values.std() or 1.0
        slope, intercept = _minimize((values - center) / spread, targets)
        if slope <= 0:
            raise CalibrationError(
                f"Relevant passages score no higher than others, so the scores of {reranker!r} "
                "cannot be calibrated."
            )
        return cls(
            reranker=reranker,
            slope=slope / spread,
            intercept=intercept - slope * center / spread,
            num_pairs=len(labels),
            num_relevant=num_relevant,
            fitted_on=fitted_on,
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file that `save` wrote.

        Raises:
            CalibrationError: it is missing or holds something else.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise CalibrationError(
                f"The calibration in {path} cannot be read: {error}. Set "
                "RETRIEVAL_RERANKER_CALIBRATION to a file that `Calibration.save` wrote."
            ) from error

    def save(self, path: Path) -> None:
        """Write to a JSON file."""
        path.write_text(self.model_dump_json(indent=2) + "\n", "utf-8")

    def probabilities(self, scores: Sequence[float]) -> list[float]:
        """Return for each score the probability, in [0, 1], that its passage is relevant.

        What is no finite number has none: NaN.
        """
        values = np.asarray(scores, np.float64)
        probabilities = expit(self.slope * values + self.intercept)
        return [float(one) for one in np.where(np.isfinite(values), probabilities, np.nan)]


class CalibratedReranker:
    """A `Reranker` whose scores are probabilities."""

    def __init__(self, reranker: Reranker, calibration: Calibration) -> None:
        """Set up.

        Raises:
            CalibrationError: the calibration was fitted to another reranker.
        """
        if calibration.reranker != reranker.name:
            raise CalibrationError(
                f"The calibration was fitted to {calibration.reranker!r}, but the reranker is "
                f"{reranker.name!r}. Set RETRIEVAL_RERANKER_CALIBRATION to one of its own, or "
                "leave it unset."
            )
        self.name = reranker.name
        self._reranker = reranker
        self._calibration = calibration

    def score(self, query: str, passages: Sequence[str], deadline: float) -> Iterator[list[float]]:
        """Yield probabilities, see `Reranker`."""
        for batch in self._reranker.score(query, passages, deadline):
            yield self._calibration.probabilities(batch)


def _minimize(scores: Vector, targets: Vector) -> tuple[float, float]:
    """Return slope and intercept of the lowest cross-entropy; it is convex."""
    features = np.column_stack([scores, np.ones_like(scores)])
    parameters = np.zeros(2)
    for _ in range(MAX_STEPS):
        predicted = expit(features @ parameters)
        gradient = features.T @ (predicted - targets)
        if np.abs(gradient).max() <= GRADIENT_TOLERANCE * len(scores):
            break
        hessian = (features.T * (predicted * (1 - predicted))) @ features
        direction = np.linalg.lstsq(hessian, -gradient)[0]
        step = _step_length(features, targets, parameters, direction, float(gradient @ direction))
        parameters = parameters + step * direction
    return float(parameters[0]), float(parameters[1])


def _step_length(
    features: Vector, targets: Vector, parameters: Vector, direction: Vector, slope: float
) -> float:
    """Halve the step until it lowers the loss enough; 0 when none does."""
    loss = _cross_entropy(features @ parameters, targets)
    step = 1.0
    while step > SHORTEST_STEP:
        next_loss = _cross_entropy(features @ (parameters + step * direction), targets)
        if next_loss <= loss + SUFFICIENT_DECREASE * step * slope:
            return step
        step /= 2
    return 0.0


def _cross_entropy(logits: Vector, targets: Vector) -> float:
    return float(np.sum(np.logaddexp(0, logits) - targets * logits))
