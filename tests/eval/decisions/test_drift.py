"""An alarm is rarely false, and comes soon when the mean has fallen."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from benchmarks.decisions import delays, false_alarms, watch
from eval.decisions.drift import STAKES, DriftDetector


def test_evidence_is_the_recursion_for_each_stake() -> None:
    detector = DriftDetector(expected=0.8).observe(0.0).observe(1.0)
    assert detector.evidence == pytest.approx(
        tuple(((0 + 1) * (1 + stake * 0.8) + 1) * (1 - stake * 0.2) for stake in STAKES)
    )
    assert detector.num_events == 2


def test_alarm_when_the_mean_evidence_reaches_the_run_length() -> None:
    assert DriftDetector(0.8, 100, evidence=(0, 0, 0, 400)).alarm
    assert not DriftDetector(0.8, 100, evidence=(0, 0, 0, 399)).alarm


def test_resumes_from_plain_numbers() -> None:
    values = np.random.default_rng(1).random(40)
    whole = DriftDetector(0.8)
    for value in values:
        whole = whole.observe(value)
    resumed = DriftDetector(0.8)
    for value in values:
        resumed = DriftDetector(**json.loads(json.dumps(asdict(resumed)))).observe(value)
    assert resumed == whole


@pytest.mark.parametrize(
    "call",
    [
        lambda: DriftDetector(1.1),
        lambda: DriftDetector(0.5, run_length=0.5),
        lambda: DriftDetector(0.5).observe(-0.1),
        lambda: DriftDetector(0.5).observe(float("nan")),
    ],
)
def test_out_of_range_is_refused(call: object) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match="must be"):
        call()


def test_a_state_of_other_stakes_is_refused() -> None:
    with pytest.raises(ValueError, match="1 numbers of evidence instead of 4"):
        DriftDetector(0.5, evidence=(0.0,))


def test_false_alarms_keep_to_their_bound() -> None:
    assert all(figure.kept for figure in false_alarms(np.random.default_rng(1), 100, 500))


def test_false_alarms_are_the_run_length_apart() -> None:
    random = np.random.default_rng(1)
    ends = [watch(random, DriftDetector(0.85, 100), 0.85, 10_000) for _ in range(200)]
    assert all(end.alarm for end in ends)
    assert np.mean([end.num_events for end in ends]) >= 100


def test_larger_falls_are_seen_sooner() -> None:
    figures = delays(np.random.default_rng(1), 30)
    assert all(figure.error == 0 for figure in figures)
    slow, middle, fast = (figure.also["mean_delay"] for figure in figures)
    assert fast < middle < slow
    assert fast < 150
