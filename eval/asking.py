"""Asking a served model during an evaluation: within an amount of money, and never twice."""

import asyncio
import json
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from time import perf_counter
from typing import Any, TypeVar

from eval.errors import EvalError, ModelLostError, MoneySpentError
from eval.reply_cache import ReplyCache, request_key
from serving.context import Context
from serving.errors import ModelFailedError, ModelSaidNothingError, ModelUnavailableError
from serving.generation import (
    Delta,
    Finish,
    Generator,
    Message,
    Sampling,
    Task,
    Thinking,
    TokenCounter,
    thinking_room,
)
from serving.money import NANO_PER_USD, to_usd
from serving.tokens import Usage

# Asked at a time.
CONCURRENCY = 8
# Of prompts of ours, for servers that can repeat themselves.
SEED = 0
_KEPT = "What was answered is kept: the same command goes on from there."

Fields = Mapping[str, Any]
"""A JSON object that a model wrote."""
_Item = TypeVar("_Item")
_Outcome = TypeVar("_Outcome")


class Spending:
    """What calls of models in one run cost together, and may cost at most.

    Attributes:
        max_usd: no call is made that might cost more together with those before; None: any.
    """

    def __init__(self, max_usd: float | None = None) -> None:
        self.max_usd = max_usd
        self._nano_usd = 0
        self._reserved = 0

    @property
    def usd(self) -> float:
        """Dollars that were spent."""
        return to_usd(self._nano_usd)

    @contextmanager
    def reserve(self, nano_usd: int) -> Iterator[None]:
        """Set aside what a call may cost, for as long as the context lasts.

        Raises:
            MoneySpentError: the call might exceed the limit.
        """
        most = self._nano_usd + self._reserved + nano_usd
        if self.max_usd is not None and most > self.max_usd * NANO_PER_USD:
            raise MoneySpentError(
                lambda: (
                    f"${self.usd:.4f} were spent in this run, and another call might exceed "
                    f"its limit of ${self.max_usd:g}. {_KEPT}"
                )
            )
        self._reserved += nano_usd
        try:
            yield
        finally:
            self._reserved -= nano_usd

    def add(self, nano_usd: int) -> None:
        """Enter what a call cost."""
        self._nano_usd += nano_usd


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model wrote to one prompt.

    Attributes:
        texts: of each choice; empty where it wrote none.
        thoughts: likewise.
        reasons: why each ended.
        usage: as the server told it; zeros: it did not.
        milliseconds: that it took; 0: not known.
    """

    texts: tuple[str, ...]
    thoughts: tuple[str, ...]
    reasons: tuple[str, ...]
    usage: Usage
    milliseconds: int = 0

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Reply":
        """Return the reply that `dataclasses.asdict` made these fields of."""
        texts, thoughts, reasons = (
            tuple(fields[name]) for name in ("texts", "thoughts", "reasons")
        )
        milliseconds = fields.get("milliseconds", 0)
        return cls(texts, thoughts, reasons, Usage(**fields["usage"]), milliseconds)


class Asker:
    """A generator that hands prompts on to another one, but none twice.

    Attributes:
        num_calls: that were made; replies from the cache are none.
        milliseconds: that the replies took, those from the cache when they were made.
        spending: what they cost.
    """

    def __init__(
        self,
        generator: Generator,
        cache: ReplyCache,
        spending: Spending | None = None,
        turn: int = 0,
    ) -> None:
        """Set up.

        Args:
            generator: the model.
            cache: of its replies.
            spending: what its calls may cost, perhaps together with others'; None: anything.
            turn: another one asks anew what was asked in this one, and keeps that apart.

        Raises:
            EvalError: a limit cannot be held because nothing is known of the model's price.
        """
        self.spending = spending or Spending()
        # What has no counter is no model.
        self._is_priced = generator.price is not None or generator.counter is None
        if self.spending.max_usd is not None and not self._is_priced:
            raise EvalError(
                f"Nothing is known of what {generator.name!r} costs, so --max-usd cannot be held. "
                "Give it a `price` in SERVING_BACKENDS_FILE, or what its GPU costs and run "
                "`suffice cost calibrate`; or leave --max-usd out."
            )
        self.name = generator.name
        counter = generator.counter
        self.counter: TokenCounter | None = None if counter is None else _Counter(counter)
        self.can_think = generator.can_think
        self.uses_tags = generator.uses_tags
        self.price = generator.price
        self.rates = generator.rates
        self.max_answer_tokens = generator.max_answer_tokens
        self.num_calls = 0
        self.milliseconds = 0
        self._generator = generator
        self._cache = cache
        self._turn = turn
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def spent_usd(self) -> float | None:
        """Dollars that were spent; None: nothing is known of the price."""
        return self.spending.usd if self._is_priced else None

    async def model_name(self) -> str:
        """Return the name of the model that answers.

        Raises:
            ModelLostError: see `generate`.
        """
        with _is_lost():
            return await self._generator.model_name()

    async def check(self) -> None:
        """Return if the model can be reached.

        Raises:
            ModelUnavailableError, ModelFailedError: it cannot.
        """
        await self._generator.check()

    async def close(self) -> None:
        """Give up what is held to reach the model."""
        await self._generator.close()

    async def generate(self, task: Task) -> AsyncGenerator[Delta | Finish, None]:
        """Yield each answer in one piece, from the cache if it is there, then one Finish.

        An answer that the model ended without writing anything is empty.

        Raises:
            MoneySpentError: the call might exceed the limit.
            ModelLostError: the model cannot be reached any more.
            PromptTooLongError: the prompt and the room for the answer exceed its window.
            InvalidRequestError: it refuses the request.
        """
        reply = await self._reply(task)
        for choice, (text, thought) in enumerate(zip(reply.texts, reply.thoughts, strict=True)):
            if text or thought:
                yield Delta(text, choice, thought)
        yield Finish(reply.reasons, reply.usage)

    async def ask(
        self,
        messages: Sequence[Message],
        max_tokens: int,
        schema: Mapping[str, Any],
        *,
        anew: bool = False,
    ) -> str:
        """Return the greedy reply to a prompt of ours; empty if the model wrote none.

        Args:
            messages: the prompt.
            max_tokens: longest reply.
            schema: JSON schema for servers that hold the model to one.
            anew: ask even if there is a reply, and keep none.

        Raises:
            MoneySpentError, ModelLostError, InvalidRequestError: see `generate`.
        """
        sampling = Sampling(
            max_tokens, temperature=0.0, seed=SEED, response_format=_response_format(schema)
        )
        thinking = Thinking(is_on=False) if self.can_think else None
        task = Task("", (), messages, sampling, None, thinking)
        reply = await (self._call(task) if anew else self._reply(task))
        return reply.texts[0]

    async def _reply(self, task: Task) -> Reply:
        request = await self._request(task)
        async with self._lock(request_key(request)):
            known = self._cache.get(request)
            if known is not None:
                reply = Reply.from_json(known)
            else:
                reply = await self._call(task)
                self._cache.add(request, asdict(reply))
        self.milliseconds += reply.milliseconds
        return reply

    async def _request(self, task: Task) -> dict[str, Any]:
        """Return all that the reply depends on, as JSON types."""
        request: dict[str, Any] = {
            # Two servers may have other weights under the same name.
            "backend": self.name,
            "model": await self.model_name(),
            "messages": [dict(message) for message in task.messages],
            "sampling": asdict(task.sampling),
            "thinking": asdict(task.thinking) if task.thinking else None,
        }
        if self._turn:
            request["turn"] = self._turn
        if task.embedder is not None and not self.uses_tags:  # it reads chunks, not the prompt
            request["embedder"] = task.embedder.fingerprint
            request["hits"] = _hits(task.context)
        return request

    @asynccontextmanager
    async def _lock(self, key: str) -> AsyncIterator[None]:
        """Keep those who ask the same at a time waiting for the first one's reply."""
        async with self._locks.setdefault(key, asyncio.Lock()):
            yield
        self._locks.pop(key, None)

    async def _call(self, task: Task) -> Reply:
        num_choices = task.sampling.num_choices
        room = num_choices * (task.sampling.max_tokens + thinking_room(task.thinking))
        most = Usage(await asyncio.to_thread(self._count, task), room)
        with self.spending.reserve(self._cost(most)):
            call = _Call(num_choices)
            started = perf_counter()
            try:
                with _is_lost():
                    async with aclosing(self._generator.generate(task)) as events:
                        async for event in events:
                            call.see(event)
            except ModelSaidNothingError as error:  # it read and wrote all the same
                used = error.usage if error.usage.prompt_tokens else most
                call.see(Finish(("length",) * num_choices, used))
            finally:
                if call.has_begun:
                    self.num_calls += 1
                    self.spending.add(self._cost(call.usage(most.prompt_tokens)))
        return call.reply(round(1000 * (perf_counter() - started)))

    def _count(self, task: Task) -> int:
        counter = self.counter
        return counter.count_messages(task.messages, task.thinking) if counter else 0

    def _cost(self, usage: Usage) -> int:
        if self.price is None:
            return 0
        return self.price.nano_usd(
            usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens
        )


@contextmanager
def _is_lost() -> Iterator[None]:
    """Make what fails of a model's server an end of the evaluation.

    An answer that lacks a part, because its server is away, is no answer of the service.
    """
    try:
        yield
    except ModelSaidNothingError:
        raise
    except (ModelUnavailableError, ModelFailedError) as error:
        raise ModelLostError(f"{error} {_KEPT}") from error


class _Counter:
    """A `TokenCounter` whose server may be lost."""

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter

    @property
    def is_exact(self) -> bool:
        return self._counter.is_exact

    def window(self) -> int | None:
        with _is_lost():
            return self._counter.window()

    def count_text(self, text: str) -> int:
        with _is_lost():
            return self._counter.count_text(text)

    def count_messages(
        self, messages: Sequence[Message], thinking: Thinking | None, *, exactly: bool = False
    ) -> int:
        with _is_lost():
            return self._counter.count_messages(messages, thinking, exactly=exactly)

    def forget(self) -> None:
        self._counter.forget()

    def close(self) -> None:
        self._counter.close()


class _Call:
    """One call of a model on its way."""

    def __init__(self, num_choices: int) -> None:
        self._texts: list[list[str]] = [[] for _ in range(num_choices)]
        self._thoughts: list[list[str]] = [[] for _ in range(num_choices)]
        self._num_pieces = 0
        self._finish = Finish(("length",) * num_choices, Usage(0, 0))

    @property
    def has_begun(self) -> bool:
        """Whether the model has read the prompt, as far as one can tell."""
        return bool(self._num_pieces or self._finish.usage.prompt_tokens)

    def see(self, event: Delta | Finish) -> None:
        """Take what the model wrote."""
        if isinstance(event, Finish):
            self._finish = event
            return
        self._num_pieces += 1
        self._texts[event.choice].append(event.text)
        self._thoughts[event.choice].append(event.thought)

    def usage(self, expected: int) -> Usage:
        """Return what was used; where the server does not tell, by our count."""
        told = self._finish.usage
        return told if told.prompt_tokens else Usage(expected, self._num_pieces)

    def reply(self, milliseconds: int) -> Reply:
        """Return what there is, and how long it took."""
        texts, thoughts = (
            tuple("".join(pieces) for pieces in choices)
            for choices in (self._texts, self._thoughts)
        )
        return Reply(texts, thoughts, self._finish.reasons, self._finish.usage, milliseconds)


def read_json(reply: str) -> Fields | None:
    """Return the JSON object in a reply, which may stand in a fence or between words."""
    start, end = reply.find("{"), reply.rfind("}") + 1
    try:
        value = json.loads(reply[start:end]) if 0 <= start < end else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


async def each(
    items: Iterable[_Item], ask: Callable[[_Item], Awaitable[_Outcome]]
) -> AsyncIterator[tuple[_Item, _Outcome]]:
    """Ask about several items at a time; yield what came of each, in order.

    When one fails, what came of those before it in the order is yielded first.
    """
    iterator = iter(items)
    while batch := list(islice(iterator, CONCURRENCY)):
        outcomes = await asyncio.gather(*map(ask, batch), return_exceptions=True)
        for item, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                raise outcome
            yield item, outcome


async def ask_all(
    items: Iterable[_Item], ask: Callable[[_Item], Awaitable[_Outcome]]
) -> list[_Outcome]:
    """Ask about all items, several at a time; return what came of each, in order.

    When one fails, no further are begun, and those on their way are waited for: they are paid for.
    """
    outcomes: dict[int, _Outcome] = {}
    queue = iter(enumerate(items))

    async def work() -> None:
        for place, item in queue:
            outcomes[place] = await ask(item)

    workers = [asyncio.create_task(work()) for _ in range(CONCURRENCY)]
    try:
        await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
    except asyncio.CancelledError:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        raise
    for _ in queue:
        pass
    for end in await asyncio.gather(*workers, return_exceptions=True):
        if isinstance(end, BaseException):
            raise end
    return [outcomes[place] for place in range(len(outcomes))]


def _hits(context: Context) -> list[Any]:
    return [
        [
            item.number,
            item.passage.start,
            item.passage.end,
            [[hit.chunk.chunk_id, hit.score, dict(hit.scores)] for hit in item.passage.hits],
        ]
        for item in context
    ]


def _response_format(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    shape = {"name": "reply", "schema": schema, "strict": True}
    return {"type": "json_schema", "json_schema": shape}
