"""Adds up the seconds of steps that take turns."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter


class Stopwatch:
    """The seconds spent in each step so far."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        """Add the time spent in the block to a step."""
        started = perf_counter()
        try:
            yield
        finally:
            self._seconds[step] = self.seconds(step) + perf_counter() - started

    def seconds(self, step: str) -> float:
        """Return the seconds of a step; 0 when it never ran."""
        return self._seconds.get(step, 0.0)
