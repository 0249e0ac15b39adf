"""A circuit breaker: a server that keeps failing is left alone for a while.

Without one, every request waits for a dead server until its time is over, and a server that comes
up again is met by all of them at once (Nygard, Release It!, 2nd edition, section 5.2).
"""

import time
from collections.abc import Callable
from threading import Lock

FAILURES_TO_OPEN = 5
FIRST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 60.0


class CircuitBreaker:
    """Counts failures in a row; after enough of them it is open, and calls should not be made.

    When the pause is over one call may try. If that fails, too, the next pause is twice as long.
    """

    def __init__(
        self, num_failures: int = FAILURES_TO_OPEN, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Set up.

        Args:
            num_failures: in a row, after which it is open.
            clock: seconds from any beginning.
        """
        self._num_failures = num_failures
        self._clock = clock
        self._lock = Lock()
        self._failures = 0
        self._pause = FIRST_PAUSE_SECONDS
        self._open_until: float | None = None
        self._is_trying = False

    def seconds_to_wait(self) -> float:
        """Return 0 if a call may be made now, otherwise how long none should.

        After a pause the first caller gets 0; the others wait for what becomes of it, at most
        another pause.
        """
        with self._lock:
            if self._open_until is None:
                return 0.0
            left = self._open_until - self._clock()
            if left > 0:
                return left
            self._open_until = self._clock() + self._pause
            self._is_trying = True
            return 0.0

    def succeeded(self) -> None:
        """Take note that the server answered."""
        with self._lock:
            self._failures = 0
            self._pause = FIRST_PAUSE_SECONDS
            self._open_until = None
            self._is_trying = False

    def failed(self) -> None:
        """Take note that it did not."""
        with self._lock:
            if self._is_trying:
                self._is_trying = False
                self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
                self._open_until = self._clock() + self._pause
            elif self._open_until is None:
                self._failures += 1
                if self._failures >= self._num_failures:
                    self._open_until = self._clock() + self._pause
