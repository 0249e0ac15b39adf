"""A judge that is corrected by people is unbiased, and saves labels."""

from math import sqrt

import numpy as np
import pytest

from benchmarks.decisions import prediction_powered
from eval.decisions.prediction_powered import prediction_powered_mean, tuned_weight

LABELS = np.array([1.0, 0.0, 1.0, 0.0])
PREDICTIONS = np.array([1.0, 1.0, 1.0, 0.0])
UNLABELLED = np.array([1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0])
T_975_WITH_5_DEGREES = 2.570581835636314


def test_values_are_the_formulas() -> None:
    result = prediction_powered_mean(LABELS, PREDICTIONS, UNLABELLED)
    # The judge says 3/4, and errs by 0, -1, 0, 0; for the standard error 1 and -1 are added.
    reach = T_975_WITH_5_DEGREES * sqrt(8 / 7 * 3 / 4 * 1 / 4 / 8 + 17 / 80)
    assert (result.mean, result.low, result.high) == pytest.approx(
        (3 / 4 - 1 / 4, 1 / 2 - reach, 1 / 2 + reach)
    )
    assert result.weight == 1


def test_with_weight_0_only_people_count() -> None:
    result = prediction_powered_mean(LABELS, PREDICTIONS, UNLABELLED, weight=0)
    assert result.mean == LABELS.mean()  # 1 and 0 are added
    assert result.high - result.mean == pytest.approx(T_975_WITH_5_DEGREES * sqrt(9 / 80))


def test_the_tuned_weight_gives_the_shortest_interval() -> None:
    random = np.random.default_rng(1)
    labels = random.random(1200)
    predictions = 0.5 * labels + 0.5 * random.random(1200)
    unlabelled = random.choice(predictions, 10_000)
    tuned = prediction_powered_mean(labels, predictions, unlabelled)
    assert tuned.weight == tuned_weight(labels, predictions, 10_000)
    for weight in (tuned.weight - 0.2, tuned.weight + 0.2, 0.0, 1.0):
        other = prediction_powered_mean(labels, predictions, unlabelled, weight=weight)
        assert tuned.high - tuned.low < other.high - other.low


def test_a_judge_that_always_says_the_same_has_no_weight() -> None:
    assert tuned_weight(LABELS, np.ones(4), 8) == 0


@pytest.mark.parametrize(
    ("labels", "predictions", "unlabelled"),
    [
        (LABELS[:1], PREDICTIONS[:1], UNLABELLED),
        (LABELS, PREDICTIONS[:3], UNLABELLED),
        (LABELS, PREDICTIONS, UNLABELLED[:1]),
    ],
)
def test_too_few_or_unpaired_are_refused(
    labels: np.ndarray[tuple[int], np.dtype[np.float64]],
    predictions: np.ndarray[tuple[int], np.dtype[np.float64]],
    unlabelled: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> None:
    with pytest.raises(ValueError, match="there must be two or more"):
        prediction_powered_mean(labels, predictions, unlabelled)


def test_a_confidence_in_percent_is_refused() -> None:
    with pytest.raises(ValueError, match="confidence is 95"):
        prediction_powered_mean(LABELS, PREDICTIONS, UNLABELLED, confidence=95)


def test_intervals_hold_the_truth_where_the_judge_alone_does_not() -> None:
    figures = {
        (figure.case, figure.method, figure.items): figure
        for figure in prediction_powered(np.random.default_rng(1), 300, sizes=(20, 100))
    }
    for (_, method, _), figure in figures.items():
        if method != "people alone":
            assert figure.kept == (method != "judge alone"), figure
    width, of_people = (
        figures["good judge", method, 100].also["width"] for method in ("default", "people alone")
    )
    assert width < 0.65 * of_people
