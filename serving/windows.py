"""How much may be taken in a minute."""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from serving.errors import InvalidRequestError, RateLimitedError
from serving.keys import Key

WINDOW_SECONDS = 60.0


@dataclass(slots=True)
class Taken:
    """What was taken from a window, and when."""

    time: float
    amount: int


class Window:
    """At most `limit` in any 60 seconds, exactly: a sliding window log.

    A token bucket would keep a number instead of a log, but lets up to twice the limit through in
    60 seconds that begin with a full bucket.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._log: deque[Taken] = deque()
        self._used = 0

    @property
    def remaining(self) -> int:
        """What can be taken now."""
        self._forget()
        return max(0, self.limit - self._used)

    @property
    def reset_seconds(self) -> float:
        """How long until everything can be taken."""
        now = self._forget()
        return self._log[-1].time + WINDOW_SECONDS - now if self._log else 0.0

    def wait_seconds(self, amount: int) -> float:
        """Return how long until an amount, at most the limit, can be taken; 0: now."""
        now = self._forget()
        excess = self._used + amount - self.limit
        for taken in self._log:
            if excess <= 0:
                break
            excess -= taken.amount
            if excess <= 0:
                return taken.time + WINDOW_SECONDS - now
        return 0.0

    def take(self, amount: int) -> Taken:
        """Take an amount; whether there is room, `wait_seconds` tells."""
        taken = Taken(self._clock(), amount)
        self._log.append(taken)
        self._used += amount
        return taken

    def correct(self, taken: Taken, amount: int) -> None:
        """Say how much was taken indeed, of what an earlier call took."""
        if taken.time + WINDOW_SECONDS > self._forget():
            self._used += amount - taken.amount
        taken.amount = amount

    def _forget(self) -> float:
        """Drop what is 60 seconds old, and return the time."""
        now = self._clock()
        while self._log and self._log[0].time + WINDOW_SECONDS <= now:
            self._used -= self._log.popleft().amount
        return now


class KeyWindows:
    """What a key may take in a minute: requests, and tokens of prompts and answers."""

    def __init__(self, key: Key, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = key.name
        self._windows = {
            unit: Window(limit, clock)
            for unit, limit in (
                ("requests", key.limits.requests_per_minute),
                ("tokens", key.limits.tokens_per_minute),
            )
            if limit is not None
        }

    @property
    def headers(self) -> dict[str, str]:
        """OpenAI's headers about what is left."""
        headers = {}
        for unit, window in self._windows.items():
            headers[f"x-ratelimit-limit-{unit}"] = str(window.limit)
            headers[f"x-ratelimit-remaining-{unit}"] = str(window.remaining)
            headers[f"x-ratelimit-reset-{unit}"] = f"{window.reset_seconds:.3f}s"
        return headers

    def check(self, num_tokens: int) -> None:
        """Make sure that a request with some tokens can be taken now.

        Raises:
            InvalidRequestError: it never can.
            RateLimitedError: not yet.
        """
        for unit, amount in (("requests", 1), ("tokens", num_tokens)):
            self._check(unit, amount)

    def take(self, num_tokens: int) -> "TakenTokens":
        """Take a request with some tokens."""
        if (requests := self._windows.get("requests")) is not None:
            requests.take(1)
        taken = TakenTokens(self._windows.get("tokens"), partial(self._check, "tokens"))
        taken.raise_to(num_tokens)
        return taken

    def _check(self, unit: str, amount: int) -> None:
        if not amount or (window := self._windows.get(unit)) is None:
            return
        if amount > window.limit:
            raise InvalidRequestError(
                f"This question may take {amount:,} {unit}, and the key {self._name!r} has "
                f"{window.limit:,} a minute. Lower max_tokens, top_k or max_context_tokens."
            )
        if wait := window.wait_seconds(amount):
            raise RateLimitedError(
                f"The key {self._name!r} may have {window.limit:,} {unit} a minute. Ask again "
                f"in {math.ceil(wait)} s.",
                wait,
            )


class TakenTokens:
    """The tokens that one answer has taken from a window."""

    def __init__(self, window: Window | None, check: Callable[[int], None]) -> None:
        """Set up.

        Args:
            window: None: there is no limit.
            check: raises when there is no room for so many.
        """
        self._window = window
        self._check = check
        self._parts: list[Taken] = []

    def raise_to(self, num_tokens: int) -> None:
        """Take more, where the answer may take more than was taken so far.

        Raises:
            InvalidRequestError: there never is room.
            RateLimitedError: not yet.
        """
        more = num_tokens - sum(part.amount for part in self._parts)
        if self._window is not None and more > 0:
            self._check(more)
            self._parts.append(self._window.take(more))

    def settle(self, num_tokens: int) -> None:
        """Say how many tokens the answer took indeed; the difference is in what was taken last."""
        for part in self._parts:
            is_last = part is self._parts[-1]
            amount = num_tokens if is_last else min(part.amount, num_tokens)
            if self._window is not None:
                self._window.correct(part, amount)
            num_tokens -= amount
