"""The account of one answer: which models were called for what, and what that took."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter

from serving.errors import BudgetTooSmallError
from serving.generation import Generator
from serving.money import NANO_PER_USD, to_usd
from serving.planning import Budget
from serving.pricing import Basis
from serving.tokens import Usage

# Purposes of calls that write answers.
ANSWERS = ("answer", "escalate")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model.

    Attributes:
        purpose: `rewrite`, `answer`, `escalate` or `verify`.
        name: of the generator.
        model: that it asked.
        usage: tokens.
        nano_usd: cost in nano-dollars.
        basis: what the cost rests on.
        seconds: it took.
        first_token_seconds: until its first piece; None: there was none.
        is_estimated: whether the tokens are our count, because the server told none.
    """

    purpose: str
    name: str
    model: str
    usage: Usage
    nano_usd: int
    basis: Basis
    seconds: float
    first_token_seconds: float | None = None
    is_estimated: bool = False


Allow = Callable[[int, int | None], None]
"""Sets aside tokens and nano-dollars (None: nobody knows) for all of an answer, or raises."""


class Account:
    """Adds up the calls, and says what is left of the budget."""

    def __init__(
        self,
        budget: Budget,
        allow: Allow = lambda _num_tokens, _nano_usd: None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        """Set up.

        Args:
            budget: of the request.
            allow: of the permit to answer.
            clock: seconds.
        """
        self.budget = budget
        self.calls: list[Call] = []
        self._allow = allow
        self._clock = clock
        self._started = clock()

    def seconds(self) -> float:
        """Return the time since the question came."""
        return self._clock() - self._started

    def seconds_left(self) -> float | None:
        """Return the time that the budget leaves; None: any."""
        limit = self.budget.max_latency_ms
        return None if limit is None else limit / 1000 - self.seconds()

    def is_late(self) -> bool:
        """Tell whether the time is over that the budget leaves."""
        left = self.seconds_left()
        return left is not None and left <= 0

    @asynccontextmanager
    async def time_limit(self) -> AsyncIterator[None]:
        """Wait for what is awaited within no longer than the budget leaves time.

        What runs in a thread goes on there, for nobody.

        Raises:
            BudgetTooSmallError: the time is over.
        """
        limit = asyncio.timeout(self.seconds_left())
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            raise BudgetTooSmallError(
                f"max_latency_ms is {self.budget.max_latency_ms:g}, and there was no answer in "
                "that time. Raise it."
            ) from None

    def usd(self) -> float:
        """Return the dollars spent."""
        return to_usd(self.nano_usd())

    def known_usd(self) -> float | None:
        """Return the dollars spent; None: of a call nothing is known of the price."""
        is_known = all(call.basis is not Basis.UNKNOWN for call in self.calls)
        return self.usd() if is_known else None

    def nano_usd(self) -> int:
        """Return the nano-dollars spent."""
        return sum(call.nano_usd for call in self.calls)

    def usage(self) -> Usage:
        """Return the tokens of all calls."""
        return sum((call.usage for call in self.calls), Usage(0, 0))

    def answered_by(self, name: str | None = None) -> str | None:
        """Return the model that wrote an answer last; None: none did.

        Args:
            name: of its generator; None: whichever it was.
        """
        written = [
            call.model
            for call in self.calls
            if call.purpose in ANSWERS and name in {None, call.name}
        ]
        return written[-1] if written else None

    def num_tokens(self) -> int:
        """Return how many tokens all calls read and wrote."""
        usage = self.usage()
        return usage.prompt_tokens + usage.completion_tokens

    def add(
        self,
        purpose: str,
        generator: Generator,
        model: str,
        usage: Usage,
        seconds: float,
        first_token_seconds: float | None = None,
        *,
        is_estimated: bool = False,
    ) -> None:
        """Enter a call."""
        price = generator.price
        if price is not None:
            basis = price.basis
            nano_usd = price.nano_usd(
                usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens
            )
        else:
            basis = Basis.FREE if generator.counter is None else Basis.UNKNOWN
            nano_usd = 0
        self.calls.append(
            Call(
                purpose,
                generator.name,
                model,
                usage,
                nano_usd,
                basis,
                seconds,
                first_token_seconds,
                is_estimated,
            )
        )

    def allows(self, generator: Generator, prompt_tokens: int, completion_tokens: int) -> bool:
        """Tell whether another call fits the budget, at the most it can take."""
        budget = self.budget
        if budget.max_steps is not None and len(self.calls) + 1 > budget.max_steps:
            return False
        if self.is_late():
            return False
        if budget.max_cost_usd is None:
            return True
        more = most_nano_usd(generator, prompt_tokens, completion_tokens)
        return more is not None and self.nano_usd() + more <= budget.max_cost_usd * NANO_PER_USD

    def set_aside(self, generator: Generator, prompt_tokens: int, completion_tokens: int) -> None:
        """Set aside what another call can take at most, from what the key may spend.

        Raises:
            BudgetSpentError, RateLimitedError: the key has not so much left.
            InvalidRequestError: it never has.
            PermissionDeniedError: it has a budget in dollars, and the model no price.
        """
        more = most_nano_usd(generator, prompt_tokens, completion_tokens)
        self._allow(
            self.num_tokens() + prompt_tokens + completion_tokens,
            None if more is None else self.nano_usd() + more,
        )


def most_nano_usd(generator: Generator, prompt_tokens: int, completion_tokens: int) -> int | None:
    """Return the nano-dollars that a call can take at most; None: its model has no price."""
    if generator.price is not None:
        return generator.price.nano_usd(prompt_tokens, completion_tokens)
    return 0 if generator.counter is None else None
