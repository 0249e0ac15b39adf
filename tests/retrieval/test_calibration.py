"""Calibration of scores, against a general optimiser and by the properties of Platt's sigmoid."""

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize  # type: ignore[import-untyped]

from retrieval.calibration import CalibratedReranker, Calibration
from retrieval.errors import CalibrationError
from retrieval.late_interaction import LateInteractionReranker
from tests.fakes import HashEmbedder

DAY = date(2026, 11, 26)
CALIBRATION = Calibration(
    reranker="model", slope=2.0, intercept=-1.0, num_pairs=10, num_relevant=3, fitted_on=DAY
)


def fit(scores: Sequence[float], relevant: Sequence[bool]) -> Calibration:
    return Calibration.fit("model", scores, relevant, DAY)


def overlapping_scores(scale: float, shift: float) -> tuple[list[float], list[bool]]:
    """Return scores of 40 relevant and 160 irrelevant passages, whose ranges overlap."""
    generator = np.random.default_rng(0)
    relevant = [True] * 40 + [False] * 160
    scores = [scale * generator.normal(1.0 if label else 0.0) + shift for label in relevant]
    return scores, relevant


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (0.02, 0.7), (5, -300)])
def test_fit_is_what_a_general_optimiser_finds(scale: float, shift: float) -> None:
    scores, relevant = overlapping_scores(scale, shift)
    targets = np.where(relevant, 41 / 42, 1 / 162)
    standard = (np.array(scores) - shift) / scale

    def loss(parameters: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        logits = parameters[0] * standard + parameters[1]
        return float(np.sum(np.logaddexp(0, logits) - targets * logits))

    slope, intercept = minimize(loss, [0.0, 0.0], tol=1e-10).x
    calibration = fit(scores, relevant)
    assert calibration.slope * scale == pytest.approx(slope, abs=1e-4)
    assert calibration.intercept + calibration.slope * shift == pytest.approx(intercept, abs=1e-4)
    assert (calibration.num_pairs, calibration.num_relevant) == (200, 40)


def test_mean_probability_is_the_share_of_relevant_passages() -> None:
    scores, relevant = overlapping_scores(1, 0)
    mean = np.mean(fit(scores, relevant).probabilities(scores))
    assert mean == pytest.approx((40 * 41 / 42 + 160 / 162) / 200)


@given(
    slope=st.floats(1e-6, 1e6),
    intercept=st.floats(-1e6, 1e6),
    scores=st.lists(st.floats(-1e6, 1e6), max_size=20),
)
def test_probabilities_keep_the_order(slope: float, intercept: float, scores: list[float]) -> None:
    calibration = CALIBRATION.model_copy(update={"slope": slope, "intercept": intercept})
    probabilities = calibration.probabilities(sorted(scores))
    assert probabilities == sorted(probabilities)
    assert all(0 <= probability <= 1 for probability in probabilities)


def test_separable_scores_have_a_finite_slope() -> None:
    calibration = fit([0.1, 0.2, 0.8, 0.9], [False, False, True, True])
    # Platt's targets with two pairs of a kind: 1/4 and 3/4.
    low, high = calibration.probabilities([0.15, 0.85])
    assert low == pytest.approx(1 / 4, abs=0.03)
    assert high == pytest.approx(3 / 4, abs=0.03)


@pytest.mark.parametrize(
    ("scores", "relevant", "says"),
    [
        pytest.param([], [], "needs relevant", id="nothing"),
        pytest.param([1.0, 2.0], [True, True], "needs relevant", id="all relevant"),
        pytest.param([1.0, 2.0], [False, False], "needs relevant", id="none relevant"),
        pytest.param([0.9, 0.1], [False, True], "score no higher", id="upside down"),
        pytest.param([0.5, 0.5], [False, True], "score no higher", id="all equal"),
    ],
)
def test_scores_that_tell_nothing_are_refused(
    scores: list[float], relevant: list[bool], says: str
) -> None:
    with pytest.raises(CalibrationError, match=says):
        fit(scores, relevant)


def test_file_gives_back_what_was_saved(tmp_path: Path) -> None:
    CALIBRATION.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == CALIBRATION
    assert json.loads((tmp_path / "calibration.json").read_text()) == {
        "reranker": "model",
        "slope": 2.0,
        "intercept": -1.0,
        "num_pairs": 10,
        "num_relevant": 3,
        "fitted_on": "2026-11-26",
    }


@pytest.mark.parametrize(
    "content",
    [None, "", "{}", "[1]", CALIBRATION.model_dump_json().replace("2.0", "-2.0")],
    ids=["missing", "empty", "nothing in it", "list", "falling"],
)
def test_broken_file_says_what_to_do(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "calibration.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CalibrationError, match="Set RETRIEVAL_RERANKER_CALIBRATION"):
        Calibration.load(path)


def test_reranker_with_its_calibration_gives_probabilities() -> None:
    plain = LateInteractionReranker(HashEmbedder())
    own = CALIBRATION.model_copy(update={"reranker": plain.name})
    calibrated = CalibratedReranker(plain, own)
    passages = ["cats chase mice", "the moon"]
    [scores] = plain.score("cats", passages, deadline=float("inf"))
    [probabilities] = calibrated.score("cats", passages, deadline=float("inf"))
    assert calibrated.name == plain.name
    assert probabilities == pytest.approx([1 / (1 + np.exp(1 - 2 * score)) for score in scores])


def test_calibration_of_another_reranker_is_refused() -> None:
    with pytest.raises(CalibrationError, match="fitted to 'model'"):
        CalibratedReranker(LateInteractionReranker(HashEmbedder()), CALIBRATION)
