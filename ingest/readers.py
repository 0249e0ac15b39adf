"""Who is reading an index now, so that none is dropped under a search."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Readers:
    """A grace period, as in read-copy-update (McKenney and Slingwine, 1998).

    Who reads looks up the index inside `reading`. So once another index is recorded, the old one is
    free as soon as all who read at that moment have ended; who comes later reads the new one.
    """

    def __init__(self) -> None:
        self._active: set[object] = set()
        self._left = Condition()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Count as a reader for as long as the context lasts."""
        reader = object()
        with self._left:
            self._active.add(reader)
        try:
            yield
        finally:
            with self._left:
                self._active.remove(reader)
                self._left.notify_all()

    def present(self) -> frozenset[object]:
        """Return those who read now."""
        with self._left:
            return frozenset(self._active)

    def wait_until_gone(self, readers: frozenset[object], timeout_seconds: float) -> bool:
        """Wait for some readers to end; return whether all have."""
        with self._left:
            return self._left.wait_for(lambda: not readers & self._active, timeout_seconds)
