"""Stopping: whoever only watches is let go at once, and answers that take too long are cut.

These end in an error that says so.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from serving.errors import ServiceStoppingError

_WHAT_TO_DO = (
    "The service is being stopped, and the answer was not complete by then. Ask again soon."
)


class Stopping:
    """Knows whether the service is being stopped, and the answers under way.

    For use in one event loop.
    """

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[Any]] = set()
        self._cut: set[asyncio.Task[Any]] = set()
        self._is_over = False
        self._begun = asyncio.Event()

    def begin(self) -> None:
        """Let go whoever watches something."""
        self._begun.set()

    async def sleep(self, seconds: float) -> bool:
        """Wait, but not beyond the beginning of the stop; tell whether it has begun."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._begun.wait()
        return self._begun.is_set()

    def cut(self) -> None:
        """End what is under way, and whatever begins from now on."""
        self._is_over = True
        for task in self._under_way:
            self._cut.add(task)
            task.cancel()

    @asynccontextmanager
    async def until_cut(self) -> AsyncIterator[None]:
        """Do something for as long as the service may; not one within another.

        Raises:
            ServiceStoppingError: it may no longer.
        """
        task = asyncio.current_task()
        if task is None:
            raise TypeError("only a task can be cut")
        if self._is_over:
            raise ServiceStoppingError(_WHAT_TO_DO)
        self._under_way.add(task)
        try:
            yield
        except asyncio.CancelledError:
            # Somebody else may have cancelled it as well, such as a caller who hung up.
            if task in self._cut and task.uncancel() == 0:
                raise ServiceStoppingError(_WHAT_TO_DO) from None
            raise
        finally:
            self._under_way.discard(task)
            self._cut.discard(task)
