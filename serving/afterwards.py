"""Afterwards: what is done about an answer that its caller need not wait for."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from threading import BoundedSemaphore

logger = logging.getLogger(__name__)
# A database that is away holds things up; beyond this they are left undone.
MAX_WAITING = 1000


class Afterwards:
    """Does one thing after the other, in a thread of its own. Thread-safe."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="afterwards")
        self._room = BoundedSemaphore(max_waiting)

    def do(self, work: Callable[[], object]) -> None:
        """Do something soon; what it raises is logged. With too much to do it is left undone."""
        if not self._room.acquire(blocking=False):
            logger.warning("left undone: too much to do after answers")
            return
        self._thread.submit(self._do, work)

    def wait(self) -> None:
        """Return when all is done that was asked for."""
        wait([self._thread.submit(lambda: None)])

    def close(self) -> None:
        """Do what is left, and nothing after that."""
        self._thread.shutdown()

    def _do(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception:  # the worker's loop: the answer was given, nobody else is told
            logger.exception("not done after an answer")
        finally:
            self._room.release()
