"""Retention: what is kept for some days goes when they are over, also while the service runs."""

import logging
from collections.abc import Callable
from threading import Event, Thread

logger = logging.getLogger(__name__)


class Retention:
    """Forgets what is too old: at once, and then again and again, in a thread of its own."""

    def __init__(self, forget: Callable[[], None], seconds: float) -> None:
        """Forget, and start.

        Args:
            forget: deletes what is too old; what it raises later than now is logged.
            seconds: from one time to the next.
        """
        forget()
        self._forget = forget
        self._seconds = seconds
        self._closed = Event()
        self._thread = Thread(target=self._run, name="retention", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Return when nothing is being deleted any more."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(self._seconds):
            try:
                self._forget()
            except Exception:  # the worker's loop: the next time may do better
                logger.exception("what is too old was not deleted")
