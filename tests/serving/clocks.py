"""Clocks that tests move on themselves."""

from datetime import UTC, datetime, timedelta


class Clock:
    """Seconds, and a time of day that goes with them."""

    def __init__(self, start: datetime = datetime(2026, 11, 26, 20, 0, tzinfo=UTC)) -> None:
        self.seconds = 0.0
        self._start = start

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.seconds)
