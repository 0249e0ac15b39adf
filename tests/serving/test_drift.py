"""An alarm is rarely false, and comes soon when the mean has fallen."""

import json
from collections.abc import Iterable
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.decisions import delays, false_alarms, watch
from serving.drift import STAKES, Direction, DriftDetector, Watch


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


BOTH = (Direction.FALL, Direction.RISE)


def watch_all(watch: Watch, values: Iterable[float]) -> Watch:
    """Let a watch observe values until it raises an alarm."""
    for value in values:
        watch = watch.observe(value)
        if watch.alarm:
            break
    return watch


def test_a_watch_promises_less_than_the_mean_of_the_first_values() -> None:
    watch = watch_all(Watch(BOTH, 1000, num_first=5), [0.0, 1.0, 1.0, 1.0])
    assert watch.detectors is None
    watch = watch.observe(1.0)
    assert watch.detectors is not None
    # With a 0 in addition: 4 of 6, standard deviation sqrt(6 / 5 * 4 / 6 * 2 / 6).
    deviation = (6 / 5 * 4 / 6 * 2 / 6) ** 0.5
    assert watch.detectors[Direction.FALL].expected == pytest.approx(
        4 / 6 - 2.5758 * deviation / 6**0.5, abs=1e-4
    )
    assert watch.detectors[Direction.RISE].expected == 0  # 1 of 6 is within the error of 0


@pytest.mark.parametrize(("mean", "way"), [(0.5, Direction.FALL), (0.95, Direction.RISE)])
def test_a_watch_tells_which_way_the_mean_has_moved(mean: float, way: Direction) -> None:
    random = np.random.default_rng(1)
    first = (random.random(200) < 0.75).astype(float)
    later = (random.random(400) < mean).astype(float)
    watch = watch_all(Watch(BOTH, 350_000), [*first, *later])
    assert watch.alarm is way
    other = Direction.RISE if way is Direction.FALL else Direction.FALL
    assert watch_all(Watch((other,), 350_000), [*first, *later]).alarm is None


@given(scale=st.floats(0.01, 1000), shift=st.floats(-1000, 1000), seed=st.integers(0, 5))
@settings(max_examples=20)
def test_the_unit_of_values_without_bounds_does_not_matter(
    scale: float, shift: float, seed: int
) -> None:
    values = np.random.default_rng(seed).normal(0, 1, 60)
    watch = Watch((Direction.FALL,), 1000, is_bounded=False, num_first=40)
    plain = watch_all(watch, values).detectors
    other = watch_all(watch, values * scale + shift).detectors
    assert plain is not None
    assert other is not None
    evidence = other[Direction.FALL].evidence
    assert evidence == pytest.approx(plain[Direction.FALL].evidence, rel=1e-6)


def test_a_fall_of_scores_is_seen() -> None:
    random = np.random.default_rng(1)
    scores = [*random.normal(12, 3, 400), *random.normal(9, 3, 200)]
    watch = watch_all(Watch((Direction.FALL,), 350_000, is_bounded=False), scores)
    assert watch.alarm is Direction.FALL
    assert watch.detectors is not None
    assert 200 < watch.detectors[Direction.FALL].num_events < 400


def test_first_values_that_are_all_the_same() -> None:
    watch = watch_all(Watch(BOTH, 1000, is_bounded=False, num_first=30), [7.0] * 500)
    assert watch.alarm is None
    assert watch_all(watch, [6.9] * 100).alarm is Direction.FALL
    assert watch_all(watch, [7.1] * 100).alarm is Direction.RISE


def test_a_watch_resumes_from_plain_numbers() -> None:
    new = Watch(BOTH, 1000, is_bounded=False, num_first=30)
    whole = resumed = new
    for value in np.random.default_rng(1).random(60):
        whole = whole.observe(float(value))
        state = json.loads(json.dumps(resumed.state()))
        resumed = new.resume(state).observe(float(value))
    assert resumed.state() == whole.state()


def test_a_learned_mean_raises_no_more_false_alarms_than_a_promised_one() -> None:
    random = np.random.default_rng(1)
    num_alarms = 0
    for _ in range(60):
        values = (random.random(700) < random.uniform(0.5, 1)).astype(float)
        num_alarms += watch_all(Watch((Direction.FALL,), 2_000), values).alarm is not None
    assert num_alarms / 60 <= 500 / 2_000  # after the first 200
