"""Drift: alarms for streams of figures whose mean changes, however long they are watched."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from math import sqrt
from typing import Any

# Shares of the capital that are bet: large ones see a large fall at once, small ones a small one.
STAKES = (0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class DriftDetector:
    """A Shiryaev-Roberts e-detector (Shin, Ramdas and Rinaldo, arXiv:2203.03532).

    As long as the mean of the next value, given those before, is at least `expected`, the evidence
    grows by at most 1 with an event on average. So the mean number of events until a false alarm
    is `run_length` or more, and a false alarm within t events has a probability of at most
    t / run_length. For s streams give each s times the run length that is wanted of all.

    `dataclasses.asdict` gives its state as plain numbers, and `DriftDetector(**state)` goes on.

    Attributes:
        expected: the mean that is promised, in [0, 1]; the lower bound where it was estimated.
        run_length: events between false alarms, on average, 1 or more.
        evidence: for each of `STAKES`, 0 at first.
        num_events: values observed so far.
    """

    expected: float
    run_length: float = 50_000
    evidence: Sequence[float] = (0.0,) * len(STAKES)
    num_events: int = 0

    def __post_init__(self) -> None:
        """Refuse what is out of range with ValueError."""
        if not 0 <= self.expected <= 1:
            raise ValueError(f"expected is {self.expected}, but must be in [0, 1]")
        if self.run_length < 1:
            raise ValueError(f"run_length is {self.run_length}, but must be 1 or more")
        if len(self.evidence) != len(STAKES):
            raise ValueError(f"{len(self.evidence)} numbers of evidence instead of {len(STAKES)}")

    @property
    def alarm(self) -> bool:
        """Whether the mean has fallen; to be acted on when it is first true."""
        return sum(self.evidence) / len(STAKES) >= self.run_length

    def observe(self, value: float) -> "DriftDetector":
        """Return the detector after one more value.

        Args:
            value: in [0, 1], higher is better; give 1 - x of a stream that must not rise.

        Raises:
            ValueError: the value is out of its range.
        """
        if not 0 <= value <= 1:
            raise ValueError(f"value is {value}, but must be in [0, 1]")
        surprise = self.expected - value
        evidence = tuple(
            (before + 1) * (1 + stake * surprise)
            for before, stake in zip(self.evidence, STAKES, strict=True)
        )
        return replace(self, evidence=evidence, num_events=self.num_events + 1)


class Direction(StrEnum):
    """Which way a mean has moved."""

    FALL = "fall"
    RISE = "rise"


# Values that a watch learns the mean from.
NUM_FIRST = 200
# The mean is promised one-sidedly with an error rate of 0.5 %: a promise that is too high would
# raise alarms by itself.
_Z = statistics.NormalDist().inv_cdf(0.995)
# Of values without bounds, the share at each end that is cut to the same figure.
_TAIL = 20


@dataclass(frozen=True, slots=True)
class Watch:
    """Watches a stream whose mean nobody promised: it is learned from the first values.

    Attributes:
        directions: moves of the mean that matter; each has a detector.
        run_length: of each detector.
        is_bounded: whether values are in [0, 1]; if not, they are put there, by what nine in ten of
            the first ones lie between.
        num_first: values to learn from, 2 or more.
        first: what was learned from so far; nothing when the detectors are there.
        low: becomes 0, as does what is less.
        high: becomes 1, as does what is more.
        detectors: none while the mean is being learned.
    """

    directions: Sequence[Direction]
    run_length: float
    is_bounded: bool = True
    num_first: int = NUM_FIRST
    first: Sequence[float] = ()
    low: float = 0.0
    high: float = 1.0
    detectors: Mapping[Direction, DriftDetector] | None = None

    @property
    def alarm(self) -> Direction | None:
        """Which way the mean has moved; None: it has not."""
        detectors = self.detectors or {}
        return next((way for way, detector in detectors.items() if detector.alarm), None)

    def observe(self, value: float) -> "Watch":
        """Return the watch after one more value; a bounded one is in [0, 1]."""
        if self.detectors is None:
            learning = replace(self, first=(*self.first, value))
            return learning if len(learning.first) < self.num_first else learning._begin()
        share = self._scale(value)
        detectors = {
            way: detector.observe(_toward(way, share)) for way, detector in self.detectors.items()
        }
        return replace(self, detectors=detectors)

    def state(self) -> dict[str, Any]:
        """Return what was learned and seen, as JSON."""
        if self.detectors is None:
            return {"first": list(self.first)}
        detectors = {way.value: asdict(one) for way, one in self.detectors.items()}
        return {"low": self.low, "high": self.high, "detectors": detectors}

    def resume(self, state: Mapping[str, Any]) -> "Watch":
        """Return the watch that goes on where a state was taken."""
        if "detectors" not in state:
            return replace(self, first=tuple(state["first"]))
        detectors = {
            Direction(way): DriftDetector(**one) for way, one in state["detectors"].items()
        }
        return replace(self, low=state["low"], high=state["high"], detectors=detectors)

    def _begin(self) -> "Watch":
        """Learn the range and the mean, and forget the first values."""
        watch = self
        if not self.is_bounded:
            low, *_, high = statistics.quantiles(self.first, n=_TAIL, method="inclusive")
            watch = replace(self, low=low, high=high)
        shares = [watch._scale(value) for value in self.first]
        detectors = {
            way: DriftDetector(_lower_bound([_toward(way, one) for one in shares]), self.run_length)
            for way in self.directions
        }
        return replace(watch, first=(), detectors=detectors)

    def _scale(self, value: float) -> float:
        if self.low == self.high:  # the first ones were all the same
            return 0.5 + 0.5 * ((value > self.high) - (value < self.low))
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


def _toward(way: Direction, share: float) -> float:
    """Return what is to be watched for a fall."""
    return share if way is Direction.FALL else 1 - share


def _lower_bound(values: Sequence[float]) -> float:
    """Return what the mean is at least, by one more value that is as low as can be.

    Without that, values that are all the same would promise the same of all that come.
    """
    values = [*values, 0.0]
    bound = statistics.fmean(values) - _Z * statistics.stdev(values) / sqrt(len(values))
    return max(0.0, bound)
