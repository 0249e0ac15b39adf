"""Whether the index answers: asked by one call at a time, and not waited for long."""

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from time import monotonic

from retrieval.errors import IndexUnavailableError
from retrieval.index import IndexStore

MAX_SECONDS = 1.0
# Anybody may ask, without a key: many who do cost one call.
KEEP_SECONDS = 1.0


class IndexProbe:
    """Asks an index store whether it answers; what it said holds for a moment."""

    def __init__(self, store: IndexStore) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="probe")
        self._lock = Lock()
        self._call: Future[None] | None = None
        self._called_at = 0.0

    async def check(self) -> None:
        """Make sure that the index answers.

        Raises:
            IndexUnavailableError: it does not, or takes more than `MAX_SECONDS`.
        """
        try:
            async with asyncio.timeout(MAX_SECONDS):
                await asyncio.shield(asyncio.wrap_future(self._latest()))
        except TimeoutError as error:
            raise IndexUnavailableError(
                f"Qdrant did not answer within {MAX_SECONDS:g} s. See whether it runs, and what "
                "keeps it busy."
            ) from error

    def close(self) -> None:
        """Ask no more; a call under way ends by itself."""
        self._thread.shutdown(wait=False)

    def _latest(self) -> Future[None]:
        with self._lock:
            is_old = monotonic() - self._called_at > KEEP_SECONDS
            if self._call is None or (self._call.done() and is_old):
                self._called_at = monotonic()
                self._call = self._thread.submit(self._store.check)
            return self._call
