"""Mutual exclusion: two runs of one command would pay for the same work, and mix their results."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from suffice.errors import SufficeError


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a lock for as long as the context lasts; the end of the process releases it, too.

    Args:
        folder: that is written meanwhile; the lock is a file in it that stays.

    Raises:
        SufficeError: another process holds it.
    """
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise SufficeError(
            f"The same command is writing {folder} already. Wait until it has ended, or name "
            "another output."
        ) from error
    try:
        yield
    finally:
        lock.release()
