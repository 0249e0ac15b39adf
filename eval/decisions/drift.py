"""An alarm for a stream whose mean falls below what was promised, however long it is watched."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
