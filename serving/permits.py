"""How much is done at a time, and who may wait for it."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from serving.errors import RateLimitedError
from serving.keys import Key

# Weight of the latest time that a permit was held, in the mean of all.
SMOOTHING = 0.1


@dataclass(eq=False, frozen=True, slots=True)
class _Waiter:
    key: Key
    turn: asyncio.Future[None]


class Permits:
    """At most a number of things at a time, of which a key may have its `max_concurrent`.

    Some more may wait a short while, first come, first served, except that nobody waits for those
    whose own key holds them back. For use in one event loop.

    Attributes:
        max_running: things at a time.
        num_running: that are under way.
    """

    def __init__(
        self,
        max_running: int,
        max_waiting: int,
        max_wait_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_running = max_running
        self._max_waiting = max_waiting
        self._max_wait_seconds = max_wait_seconds
        self._clock = clock
        self.num_running = 0
        self._running: Counter[str] = Counter()  # by key
        self._waiting: list[_Waiter] = []
        self._mean_seconds = 0.0

    @property
    def num_waiting(self) -> int:
        """How many wait for a permit."""
        return len(self._waiting)

    @property
    def is_busy(self) -> bool:
        """Whether more than half of the permits are taken."""
        return 2 * self.num_running > self.max_running

    @asynccontextmanager
    async def hold(self, key: Key) -> AsyncIterator[None]:
        """Have a permit for as long as the context lasts.

        Raises:
            RateLimitedError: there is none now, and none soon enough.
        """
        # Whoever waits has no room either, so nobody is overtaken.
        if self._has_room(key):
            self._enter(key)
        else:
            await self._wait(key)
        started = self._clock()
        try:
            yield
        finally:
            seconds = self._clock() - started
            weight = SMOOTHING if self._mean_seconds else 1.0
            self._mean_seconds += weight * (seconds - self._mean_seconds)
            self._leave(key)

    async def _wait(self, key: Key) -> None:
        expected = self._expected_seconds(key)
        own, own_limit = self._num_waiting_of(key), key.limits.max_concurrent
        is_full = len(self._waiting) >= self._max_waiting
        # A key has no more places to wait than to run, so that one alone cannot fill them all.
        if is_full or own == own_limit or expected > self._max_wait_seconds:
            raise self._refusal(key, expected)
        waiter = _Waiter(key, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        is_admitted = False
        try:
            async with asyncio.timeout(self._max_wait_seconds):
                await waiter.turn
            is_admitted = True
        except TimeoutError:
            raise self._refusal(key, expected) from None
        finally:
            if not is_admitted:
                self._withdraw(waiter)

    def _withdraw(self, waiter: _Waiter) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        else:  # its turn came in the very moment it gave up
            self._leave(waiter.key)

    def _has_room(self, key: Key) -> bool:
        own_limit = key.limits.max_concurrent
        return self.num_running < self.max_running and (
            own_limit is None or self._running[key.id] < own_limit
        )

    def _enter(self, key: Key) -> None:
        self.num_running += 1
        self._running[key.id] += 1

    def _leave(self, key: Key) -> None:
        self.num_running -= 1
        self._running[key.id] -= 1
        if not self._running[key.id]:
            del self._running[key.id]
        for waiter in list(self._waiting):
            if self._has_room(waiter.key) and not waiter.turn.done():
                self._waiting.remove(waiter)
                self._enter(waiter.key)
                waiter.turn.set_result(None)

    def _num_waiting_of(self, key: Key) -> int:
        return sum(waiter.key.id == key.id for waiter in self._waiting)

    def _expected_seconds(self, key: Key) -> float:
        """Return how long one more would wait: permits come back at an even pace."""
        pace = (len(self._waiting) + 1) / self.max_running
        if own_limit := key.limits.max_concurrent:
            pace = max(pace, (self._num_waiting_of(key) + 1) / own_limit)
        return pace * self._mean_seconds

    def _refusal(self, key: Key, expected: float) -> RateLimitedError:
        own_limit = key.limits.max_concurrent
        if own_limit is not None and self._running[key.id] >= own_limit:
            what = f"The key {key.name!r} may have {own_limit:,} requests under way at a time"
        else:
            what = f"The service has {self.max_running:,} requests under way, and no room for more"
        seconds = max(1, math.ceil(expected))
        return RateLimitedError(f"{what}. Ask again in {seconds:,} s.", seconds)
