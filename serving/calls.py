"""Calls of models: each within the time that is left, and in the account, however it ends."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from time import perf_counter
from typing import Any

from serving.account import Account
from serving.drafts import Desk, Draft
from serving.errors import BudgetTooSmallError, ModelSaidNothingError, ModelSilentError
from serving.generation import (
    Delta,
    Finish,
    Generator,
    Message,
    Sampling,
    Task,
    Thinking,
    about_tokens,
)
from serving.planning import SPARE_TOKENS
from serving.preparation import Prepared
from serving.tokens import Usage

# Longest reply to a prompt of ours, such as a rewritten question.
REPLY_TOKENS = 128
# A server that counts less than this share of what was sent cuts prompts.
TRUNCATED_SHARE = 0.98


class Calls:
    """The calls for one question."""

    def __init__(self, account: Account, warnings: list[str]) -> None:
        """Set up.

        Args:
            account: that they are entered in.
            warnings: that are added to.
        """
        self._account = account
        self._warnings = warnings

    async def write(
        self, prepared: Prepared, purpose: str
    ) -> AsyncGenerator[Delta | list[Draft], None]:
        """Yield the answers in pieces that may be shown, then as drafts.

        Raises:
            BudgetTooSmallError: the time was over before there was a piece.
            ServingError: see `Account.set_aside`.
        """
        plan, task = prepared.plan, prepared.task
        self._account.set_aside(plan.generator, prepared.prompt_tokens, plan.completion_tokens)
        desk = Desk(
            task.context,
            prepared.nonce,
            uses_tags=prepared.plan.generator.uses_tags,
            is_json=task.sampling.is_json,
        )
        writers = [desk.writer() for _ in range(task.sampling.num_choices)]
        thinkers = [desk.writer() for _ in writers]  # thoughts name tags, too
        reasons = tuple("length" for _ in writers)
        watch = _Watch(prepared.plan.generator, purpose, prepared.prompt_tokens)
        try:
            async with aclosing(self._events(task, watch)) as events:
                async for event in events:
                    if isinstance(event, Finish):
                        reasons = event.reasons
                        continue
                    text = writers[event.choice].feed(event.text)
                    thought = thinkers[event.choice].feed(event.thought)
                    if text or thought or event.logprobs:
                        yield replace(event, text=text, thought=thought)
        except TimeoutError:
            limit = self._account.budget.max_latency_ms
            if not watch.has_begun:
                raise BudgetTooSmallError(
                    f"max_latency_ms is {limit:g}, and the model wrote nothing in that time. Raise "
                    "it, or lower max_prompt_tokens."
                ) from None
            self._warnings.append(f"The answer was cut after max_latency_ms ({limit:g}).")
        for choice, (writer, thinker) in enumerate(zip(writers, thinkers, strict=True)):
            rest = Delta(writer.finish(), choice, thinker.finish())
            if rest.text or rest.thought:
                yield rest
        self._compare_counts(prepared, watch)
        yield [
            writer.draft(reason, thinker.text)
            for writer, thinker, reason in zip(writers, thinkers, reasons, strict=True)
        ]

    async def complete(
        self,
        generator: Generator,
        purpose: str,
        messages: Sequence[Message],
        schema: Mapping[str, Any],
    ) -> str:
        """Return the model's reply to a prompt of ours.

        Raises:
            BudgetTooSmallError: another call does not fit the budget.
            ServingError: see `Account.set_aside`.
        """
        async with self._account.time_limit():
            prompt_tokens = await asyncio.to_thread(_count, generator, messages)
        if not self._account.allows(generator, prompt_tokens, REPLY_TOKENS):
            raise BudgetTooSmallError("the budget has no room for another call of a model")
        self._account.set_aside(generator, prompt_tokens, REPLY_TOKENS)
        shape = {"name": purpose, "schema": schema, "strict": True}
        sampling = Sampling(
            REPLY_TOKENS,
            temperature=0.0,
            response_format={"type": "json_schema", "json_schema": shape},
        )
        thinking = Thinking(is_on=False) if generator.can_think else None
        task = Task("", (), messages, sampling, None, thinking)
        watch = _Watch(generator, purpose, prompt_tokens)
        pieces: list[str] = []
        try:
            async with aclosing(self._events(task, watch)) as events:
                async for event in events:
                    if isinstance(event, Delta):
                        pieces.append(event.text)
        except TimeoutError:
            raise BudgetTooSmallError("max_latency_ms passed meanwhile") from None
        return "".join(pieces)

    async def _events(self, task: Task, watch: "_Watch") -> AsyncGenerator[Delta | Finish, None]:
        """Pass on what the model writes; raises TimeoutError when the time is over."""
        generator = watch.generator
        seconds = self._account.seconds_left()
        deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
        async with asyncio.timeout_at(deadline):
            watch.model = await generator.model_name()
        try:
            async with aclosing(generator.generate(task)) as events:
                while True:
                    try:
                        async with asyncio.timeout_at(deadline):
                            event = await anext(events)
                    except StopAsyncIteration:
                        return
                    if not watch.has_begun:  # by then another one may have been found there
                        watch.model = await generator.model_name()
                    watch.see(event)
                    if isinstance(event, Finish) and event.is_too_long:
                        self._warn_of_length(task)
                    yield event
        except (TimeoutError, ModelSilentError, asyncio.CancelledError):
            watch.was_read = True
            raise
        except ModelSaidNothingError as error:  # it thought, maybe where nobody sees, and is paid
            watch.take_down(error.usage)
            watch.was_read = True
            raise
        finally:
            watch.enter(self._account)

    def _warn_of_length(self, task: Task) -> None:
        """Warn, once, that the server wrote more than it was asked for."""
        warning = (
            f"The model server does not stop at max_tokens ({task.answer_room:,}): what it writes "
            "is cut there, as far as its pieces tell how many tokens they have."
        )
        if warning not in self._warnings:
            self._warnings.append(warning)

    def _compare_counts(self, prepared: Prepared, watch: "_Watch") -> None:
        """Warn when the server read less than was sent."""
        counter, sent = prepared.plan.generator.counter, prepared.prompt_tokens
        if counter is None or not counter.is_exact or watch.usage is None:
            return
        read = watch.usage.prompt_tokens
        if read < min(TRUNCATED_SHARE * sent, sent - SPARE_TOKENS):
            self._warnings.append(
                f"The model server read {read:,} of {sent:,} tokens: it cuts prompts without "
                "saying so. The answer does not rest on the whole context."
            )


class _Watch:
    """Notes what a call takes, even if it ends in an error or is broken off.

    Attributes:
        generator: that is called.
        model: that it asks.
        usage: as the server told it; None: it did not.
        was_read: whether the prompt was read, or is, though there may be no piece.
    """

    def __init__(self, generator: Generator, purpose: str, prompt_tokens: int) -> None:
        self.generator = generator
        self.model = generator.name
        self.usage: Usage | None = None
        self.was_read = False
        self._purpose = purpose
        self._prompt_tokens = prompt_tokens
        self._written_tokens = 0
        self._started = perf_counter()
        self._first: float | None = None

    @property
    def has_begun(self) -> bool:
        """Whether there was a piece."""
        return self._first is not None

    def see(self, event: Delta | Finish) -> None:
        """Take note of an event."""
        if isinstance(event, Finish):
            self.take_down(event.usage)
            return
        self._written_tokens += about_tokens(event)
        if self._first is None:
            self._first = perf_counter() - self._started

    def take_down(self, usage: Usage) -> None:
        """Take note of what the server says that it took, if it says so."""
        self.usage = usage if usage.prompt_tokens else None

    def enter(self, account: Account) -> None:
        """Enter the call; where the server told no usage, by our count.

        One that failed before there was a piece is not entered. One that was cut by then is, or had
        nothing to say: its prompt was sent, and is read.
        """
        if not (self.usage or self.has_begun or self.was_read):
            return
        account.add(
            self._purpose,
            self.generator,
            self.model,
            self.usage or Usage(self._prompt_tokens, self._written_tokens),
            perf_counter() - self._started,
            self._first,
            is_estimated=self.usage is None,
        )


def _count(generator: Generator, messages: Sequence[Message]) -> int:
    return generator.counter.count_messages(messages, None) if generator.counter else 0
