"""Bookkeeping: what each answer took, and how it came about, is written down before it ends."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from serving.account import Account
from serving.afterwards import Afterwards
from serving.alarms import Alarms, Stream
from serving.answering import Answerer, Conclusion
from serving.generation import Delta
from serving.limits import Permit
from serving.metrics import Metrics
from serving.question import Question
from serving.traces import Rating, StoredTrace, TraceStore
from serving.tracing import Tracer
from serving.usage import Entry, UsageLedger


@dataclass(frozen=True, slots=True)
class Bookkeeper:
    """Writes down answers.

    Attributes:
        ledger: of what they took.
        tracer: writes how they came about.
        traces: keeps that; None: nobody does.
        metrics: of the service.
        alarms: about what is watched.
        afterwards: does what no caller waits for.
    """

    ledger: UsageLedger
    tracer: Tracer
    traces: TraceStore | None
    metrics: Metrics
    alarms: Alarms
    afterwards: Afterwards

    def make_trace_id(self) -> str | None:
        """Return the id that the trace of an answer will have; None: traces are not kept."""
        return None if self.traces is None else f"trace-{uuid.uuid4().hex}"

    async def follow(
        self,
        answer: AsyncGenerator[Delta | Conclusion, None],
        trace_id: str | None,
        question: Question,
        account: Account,
        settle: Callable[[int], None],
    ) -> AsyncGenerator[Delta | Conclusion, None]:
        """Pass an answer on; however it ends, what it took is entered.

        Args:
            answer: to the question.
            trace_id: of it, see `make_trace_id`.
            question: of the caller.
            account: that the answer keeps.
            settle: told how many tokens it took indeed.
        """
        is_counted = False
        try:
            async with aclosing(answer):
                async for event in answer:
                    if isinstance(event, Conclusion):
                        is_counted = True
                        self._count(trace_id, question, account)
                        await asyncio.to_thread(self._write_down, trace_id, event)
                        self.metrics.count_answer(event)
                        self._watch(event)
                    yield event
        finally:
            if account.calls and not is_counted:
                self._count(trace_id, question, account)
            # A task that is being cancelled can wait for nothing, and a thread that it waits for
            # may never begin.
            self.afterwards.do(self.ledger.write)
            self.metrics.count_calls(account)
            settle(account.num_tokens())

    async def answer_unseen(
        self, answerer: Answerer, question: Question, permit: Permit, *, is_remembered: bool
    ) -> Conclusion:
        """Answer a question that nobody asked just now; what it takes is entered, and no more.

        Args:
            answerer: that is asked.
            question: to be answered.
            permit: to do so.
            is_remembered: see `Answerer.answer`.

        Raises:
            ServingError: there is no answer.
        """
        account = Account(question.budget, permit.allow)
        conclusion = None
        try:
            async with aclosing(
                answerer.answer(question, account, is_remembered=is_remembered)
            ) as events:
                async for event in events:
                    if isinstance(event, Conclusion):
                        conclusion = event
        finally:
            if account.calls:
                self._count(None, question, account)
                self.afterwards.do(self.ledger.write)
            self.metrics.count_calls(account)
            permit.settle(account.num_tokens())
        if conclusion is None:
            raise TypeError("an answer ends with its conclusion")
        return conclusion

    def watch_rating(self, trace: StoredTrace, rating: Rating) -> None:
        """Let a rating count for the profile that gave the answer; only the first one does."""
        profile = trace.body.get("watched_profile")
        if profile is not None and not trace.feedback:
            figures = {Stream.THUMBS: float(rating is Rating.UP)}
            self.afterwards.do(partial(self.alarms.observe, trace.collection, profile, figures))

    def _count(self, trace_id: str | None, question: Question, account: Account) -> None:
        """Count what an answer took, without a trace if it has none."""
        usage = account.usage()
        self.ledger.count(
            Entry(
                key_id=question.caller,
                collection=question.collection,
                model=account.answered_by()
                or (account.calls[-1].model if account.calls else "none"),
                prompt_tokens=usage.prompt_tokens,
                cached_tokens=usage.cached_tokens,
                completion_tokens=usage.completion_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                nano_usd=account.nano_usd(),
                seconds=account.seconds(),
                trace_id=trace_id,
            )
        )

    def _watch(self, conclusion: Conclusion) -> None:
        question = conclusion.question
        if (profile := question.watched_profile) is not None:
            figures = _figures(conclusion)
            self.afterwards.do(partial(self.alarms.observe, question.collection, profile, figures))

    def _write_down(self, trace_id: str | None, conclusion: Conclusion) -> None:
        question = conclusion.question
        self.ledger.write()
        if self.traces is not None and trace_id is not None:
            body = self.tracer.trace(conclusion)
            self.traces.add(trace_id, question.caller, question.collection, body)


def _figures(conclusion: Conclusion) -> dict[Stream, float]:
    """Return what an answer tells about how well it could be given."""
    citations = conclusion.answers[0].citations
    hits = conclusion.found.result.hits
    figures = {
        Stream.ANSWERED: float(bool(citations)),
        Stream.CHUNKS: min(1.0, len(hits) / conclusion.question.top_k),
    }
    if hits:
        figures[Stream.BEST_SCORE] = hits[0].score
    if citations and conclusion.prepared is not None:
        num_cited = len({citation.marker for citation in citations})
        figures[Stream.CITED] = num_cited / len(conclusion.prepared.task.context)
    return figures
