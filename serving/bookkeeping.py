"""Bookkeeping: what each answer took, and how it came about, is written down before it ends."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from ingest.library import Library
from serving.account import Account
from serving.answering import Conclusion
from serving.generation import Delta
from serving.metrics import Metrics
from serving.question import Question
from serving.traces import TraceStore
from serving.tracing import make_trace
from serving.usage import Entry, UsageLedger


@dataclass(frozen=True, slots=True)
class Bookkeeper:
    """Writes down answers.

    Attributes:
        library: that was asked.
        ledger: of what they took.
        traces: of how they came about; None: none are kept.
        metrics: of the service.
    """

    library: Library
    ledger: UsageLedger
    traces: TraceStore | None
    metrics: Metrics

    async def follow(
        self,
        answer: AsyncGenerator[Delta | Conclusion, None],
        trace_id: str,
        question: Question,
        account: Account,
        settle: Callable[[int], None],
    ) -> AsyncGenerator[Delta | Conclusion, None]:
        """Pass an answer on; however it ends, what it took is entered.

        Args:
            answer: to the question.
            trace_id: of it.
            question: of the caller.
            account: that the answer keeps.
            settle: told how many tokens it took indeed.
        """
        is_entered = False
        try:
            async with aclosing(answer):
                async for event in answer:
                    if isinstance(event, Conclusion):
                        is_entered = True
                        await asyncio.to_thread(self._enter, trace_id, question, account)
                        await asyncio.to_thread(self._keep, trace_id, event)
                        self.metrics.count_answer(event)
                    yield event
        finally:
            if not is_entered and account.calls:
                # Here because a task that is being cancelled can wait for nothing.
                self._enter(trace_id, question, account)
            self.metrics.count_calls(account)
            usage = account.usage()
            settle(usage.prompt_tokens + usage.completion_tokens)

    def _enter(self, trace_id: str, question: Question, account: Account) -> None:
        usage = account.usage()
        self.ledger.record(
            Entry(
                key_id=question.caller,
                collection=question.collection,
                model=account.calls[-1].model if account.calls else "none",
                prompt_tokens=usage.prompt_tokens,
                cached_tokens=usage.cached_tokens,
                completion_tokens=usage.completion_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                nano_usd=account.nano_usd(),
                seconds=account.seconds(),
                trace_id=trace_id,
            )
        )

    def _keep(self, trace_id: str, conclusion: Conclusion) -> None:
        if self.traces is not None:
            question = conclusion.question
            body = make_trace(conclusion, self.library)
            self.traces.add(trace_id, question.caller, question.collection, body)
