"""Admission: every question and search passes here before anything is done for it.

Who comes too often, has spent too much, or comes when there is no room is told at once when to come
again; nobody waits in an unbounded queue.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from serving.access import Caller
from serving.account import Allow
from serving.budgets import Budgets
from serving.errors import PermissionDeniedError
from serving.keys import Key
from serving.permits import Permits
from serving.usage import Spent
from serving.windows import KeyWindows


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to give one answer.

    Attributes:
        headers: OpenAI's `x-ratelimit-*`, with what is left to the key after this request.
        allow: set aside so many tokens and nano-dollars (None: nobody knows) for the answer in all;
            raises what `Limiter.admit` does.
        settle: say how many tokens the answer took indeed; without this its estimate counts.
    """

    headers: Mapping[str, str]
    allow: Allow
    settle: Callable[[int], None]


class Limiter:
    """Lets requests in. For use in one event loop.

    What a key has taken in the last minute, and what is under way, is known to the process alone; a
    restart begins anew. What it has spent today is in the ledger.
    """

    def __init__(
        self,
        budgets: Budgets,
        answers: Permits,
        searches: Permits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set up.

        Args:
            budgets: of a day.
            answers: permits to answer.
            searches: permits to search.
            clock: seconds, for what is taken in a minute.
        """
        self._budgets = budgets
        self._answers = answers
        self._searches = searches
        self._clock = clock
        self._windows: dict[str, KeyWindows] = {}

    @property
    def permits(self) -> dict[str, Permits]:
        """The permits, by what they are for."""
        return {"answer": self._answers, "search": self._searches}

    @property
    def is_busy(self) -> bool:
        """Whether more than half of the answers that are given at a time are under way."""
        return self._answers.is_busy

    @asynccontextmanager
    async def admit(
        self, caller: Caller, num_tokens: int, nano_usd: int | None = 0
    ) -> AsyncIterator[Permit]:
        """Let a question in; the context lasts until its answer has ended.

        What the answer may take at most is set aside from the budgets for as long, so the ledger
        must know what it took before the context ends.

        Args:
            caller: who asks.
            num_tokens: most tokens that prompt and answer will have.
            nano_usd: most that they will cost; None: nobody knows.

        Raises:
            InvalidRequestError: more tokens than the key may ever have in a minute.
            PermissionDeniedError: nobody knows what it costs, and the key has a budget in dollars.
            BudgetSpentError: the rest of a budget of the day does not suffice.
            RateLimitedError: too many at a time or in the last minute.
        """
        key, asked = caller.key, _to_spent(caller.key, num_tokens, nano_usd)
        windows = self._windows_of(key)
        await self._budgets.prepare(key)

        def check() -> None:
            self._budgets.check(key, asked)
            windows.check(num_tokens)

        check()
        async with self._answers.hold(key):
            check()  # again: others came in while this one waited
            with self._budgets.reserve(key, asked) as reserve:
                taken = windows.take(num_tokens)

                def allow(num_tokens: int, nano_usd: int | None) -> None:
                    reserve(_to_spent(key, num_tokens, nano_usd))
                    taken.raise_to(num_tokens)

                yield Permit(windows.headers, allow, taken.settle)

    @asynccontextmanager
    async def admit_search(self, caller: Caller) -> AsyncIterator[None]:
        """Let a search in, which takes no tokens; the context lasts until it has ended.

        Raises:
            RateLimitedError: too many at a time or in the last minute.
        """
        windows = self._windows_of(caller.key)
        windows.check(0)
        async with self._searches.hold(caller.key):
            windows.check(0)
            windows.take(0)
            yield

    def _windows_of(self, key: Key) -> KeyWindows:
        if key.id not in self._windows:
            self._windows[key.id] = KeyWindows(key, self._clock)
        return self._windows[key.id]


def _to_spent(key: Key, num_tokens: int, nano_usd: int | None) -> Spent:
    if nano_usd is None and key.limits.nano_usd_per_day is not None:
        raise PermissionDeniedError(
            f"The key {key.name!r} has a budget in dollars, and the model has no price. Give it "
            "one in SERVING_BACKENDS_FILE, or set SERVING_LLM_GPU_USD_PER_HOUR and run "
            "`suffice cost calibrate`.",
            "model",
        )
    return Spent(num_tokens, nano_usd or 0)
