"""Asking a served model during an evaluation: within an amount of money, and never twice."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

from eval.errors import EvalError, MoneySpentError
from eval.reply_cache import ReplyCache
from serving.errors import ModelFailedError
from serving.generation import (
    Delta,
    Finish,
    Generator,
    Message,
    Sampling,
    Task,
    Thinking,
    Usage,
)
from serving.pricing import NANO_PER_USD


class Asker:
    """Asks one model, greedily and without thinking.

    Attributes:
        num_calls: that were made; replies from the cache are none.
    """

    def __init__(
        self, generator: Generator, cache: ReplyCache, max_usd: float | None = None
    ) -> None:
        """Set up.

        Args:
            generator: the model.
            cache: of its replies.
            max_usd: no call is made that might cost more together with those before; None: any.

        Raises:
            EvalError: the limit cannot be held because nothing is known of the model's price.
        """
        if max_usd is not None and generator.price is None:
            raise EvalError(
                f"Nothing is known of what {generator.name!r} costs, so --max-usd cannot be held. "
                "Give it a `price` in SERVING_BACKENDS_FILE, or what its GPU costs and run "
                "`suffice cost calibrate`; or leave --max-usd out."
            )
        self.num_calls = 0
        self._generator = generator
        self._cache = cache
        self._max_nano_usd = None if max_usd is None else round(max_usd * NANO_PER_USD)
        self._nano_usd = 0
        self._reserved = 0

    @property
    def spent_usd(self) -> float | None:
        """Dollars that the calls cost; None: nothing is known of the price."""
        return None if self._generator.price is None else self._nano_usd / NANO_PER_USD

    async def check(self) -> None:
        """Return if the model can be reached.

        Raises:
            ModelUnavailableError, ModelFailedError: it cannot.
        """
        await self._generator.check()

    async def ask(
        self, messages: Sequence[Message], max_tokens: int, schema: Mapping[str, Any]
    ) -> str:
        """Return the reply, from the cache if there is one; empty if the model wrote none.

        Args:
            messages: the prompt.
            max_tokens: longest reply.
            schema: JSON schema for servers that hold the model to one.

        Raises:
            MoneySpentError: the call might exceed the limit.
            ModelUnavailableError, ModelFailedError: the model cannot be reached.
            InvalidRequestError: the server refuses the request.
        """
        sampling = Sampling(max_tokens, temperature=0.0, response_format=_response_format(schema))
        request = {
            "model": await self._generator.model_name(),
            "messages": [dict(message) for message in messages],
            "sampling": asdict(sampling),
        }
        reply = self._cache.get(request)
        if reply is None:
            reply = await self._call(messages, sampling)
            self._cache.add(request, reply)
        return reply

    async def _call(self, messages: Sequence[Message], sampling: Sampling) -> str:
        generator = self._generator
        expected = await asyncio.to_thread(self._count, messages)
        most = self._cost(Usage(expected, sampling.max_tokens))
        if (
            self._max_nano_usd is not None
            and self._nano_usd + self._reserved + most > self._max_nano_usd
        ):
            raise MoneySpentError(
                f"${self._nano_usd / NANO_PER_USD:.4f} were spent, and another call might exceed "
                f"the limit of ${self._max_nano_usd / NANO_PER_USD:g}."
            )
        thinking = Thinking(is_on=False) if generator.can_think else None
        task = Task("", (), messages, sampling, None, thinking)
        pieces: list[str] = []
        usage = Usage(0, 0)
        self._reserved += most
        try:
            async with aclosing(generator.generate(task)) as events:
                async for event in events:
                    match event:
                        case Delta():
                            pieces.append(event.text)
                        case Finish():
                            usage = event.usage
        except ModelFailedError as error:
            if error.is_fault_of_server:
                raise
            # It ended without an answer: so it would again.
        finally:
            self._reserved -= most
            if pieces or usage.prompt_tokens:
                self.num_calls += 1
                told = usage if usage.prompt_tokens else Usage(expected, len(pieces))
                self._nano_usd += self._cost(told)
        return "".join(pieces)

    def _count(self, messages: Sequence[Message]) -> int:
        counter = self._generator.counter
        return counter.count_messages(messages, None) if counter else 0

    def _cost(self, usage: Usage) -> int:
        price = self._generator.price
        if price is None:
            return 0
        return price.nano_usd(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens)


def _response_format(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    shape = {"name": "reply", "schema": schema, "strict": True}
    return {"type": "json_schema", "json_schema": shape}
