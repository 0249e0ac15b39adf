"""Repeating calls to a service that is away for a moment or has no room."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from suffice.errors import ServiceError

T = TypeVar("T")
TOO_MANY_REQUESTS = 429
# Nothing answered, or something in between did.
AWAY = {None, 502, 503, 504}
# A service that is started again loads models first.
PATIENCE_SECONDS = 120.0
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 15.0
MAX_RETRY_AFTER_SECONDS = 60.0


class StoppedError(Exception):
    """The wait was broken off with `stop`; meant for the caller, never for the user."""


class Patience:
    """Repeats calls, in any number of threads, until they succeed or cannot.

    A service that has no room (429) is asked again for as long as it says so; one that is away,
    for `PATIENCE_SECONDS` after the first failure.
    """

    def __init__(self, on_obstacle: Callable[[], None] = lambda: None) -> None:
        """Set up.

        Args:
            on_obstacle: called whenever a call begins to wait.
        """
        self._on_obstacle = on_obstacle
        self._stopped = threading.Event()
        self._obstacles: dict[int, str] = {}  # by thread

    @property
    def obstacle(self) -> str | None:
        """What a call waits for at the moment, in words; None when none waits."""
        return next(iter(self._obstacles.copy().values()), None)

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """End all waits."""
        self._stopped.set()

    def wait(self, seconds: float) -> None:
        """Wait.

        Raises:
            StoppedError: `stop` was called.
        """
        if self._stopped.wait(seconds):
            raise StoppedError

    def call(self, action: Callable[[], T]) -> T:
        """Return the result of an action, repeating it while the service is away or full.

        Raises:
            ServiceError: the service refused for good, or was away for too long.
            StoppedError: `stop` was called during a wait.
        """
        thread = threading.get_ident()
        pause = MIN_PAUSE_SECONDS
        first_failure: float | None = None
        try:
            while True:
                try:
                    return action()
                except ServiceError as error:
                    if error.status == TOO_MANY_REQUESTS:
                        first_failure = None
                    elif error.status in AWAY:
                        first_failure = first_failure or time.monotonic()
                        if time.monotonic() - first_failure > PATIENCE_SECONDS:
                            raise
                    else:
                        raise
                    answers = error.status is not None
                    self._obstacles[thread] = str(error) if answers else "no service answers"
                    self._on_obstacle()
                    asked = min(error.retry_after_seconds or 0, MAX_RETRY_AFTER_SECONDS)
                    self.wait(max(pause, asked))
                    pause = min(2 * pause, MAX_PAUSE_SECONDS)
        finally:
            self._obstacles.pop(thread, None)
