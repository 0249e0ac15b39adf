"""Hang-ups: work for a caller stops at once when the caller is gone."""

import asyncio
from types import TracebackType

from fastapi import Request

# nginx's status for a caller who hung up; nobody reads it.
CLIENT_CLOSED_REQUEST = 499


class UntilHangUp:
    """A context that is left, without an error, when the caller of a request hangs up.

    Like `asyncio.timeout`, it cancels the task that entered it; whatever this waits for, such as a
    model that writes, is told. Use it once the body of the request was read.

    Attributes:
        has_left: whether the caller hung up.
    """

    def __init__(self, request: Request) -> None:
        self.has_left = False
        self._request = request

    async def __aenter__(self) -> "UntilHangUp":
        """Begin to listen."""
        self._task = asyncio.current_task()
        self._ear = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        """Stop listening; swallow the cancellation that was our own."""
        self._ear.cancel()
        if not self.has_left or self._task is None:
            return False
        return self._task.uncancel() == 0 and kind is asyncio.CancelledError

    async def _listen(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.has_left = True
        if self._task is not None:
            self._task.cancel()
