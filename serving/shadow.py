"""Shadow: a share of the questions is answered once more, by another profile, for nobody to see.

What the two answers took and how well they stand in the documents is kept in pairs, without a word
of question or answer, so that the profiles can be compared on what people really ask.
"""

import asyncio
import hashlib
import logging
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from ingest.database import Database, in_utc
from ingest.errors import IngestError
from retrieval.errors import ProfileError, ProfileNotFoundError, RetrievalError
from retrieval.profiles import ProfileStore
from serving.access import Caller
from serving.answering import Answerer, Conclusion
from serving.bookkeeping import Bookkeeper
from serving.citations import words_of
from serving.database import shadow_pairs
from serving.errors import ServingError
from serving.generation import Delta
from serving.grounding import Grounded
from serving.keys import Key, KeyLimits, Scope
from serving.limits import Limiter
from serving.money import to_nano_usd
from serving.profiles import AnsweringProfile
from serving.question import Question
from serving.settings import ServingSettings

logger = logging.getLogger(__name__)
# What shadow answers took stands in the ledger under this key.
KEY = "shadow"
_SHARES = {Grounded.YES: 1.0, Grounded.PARTLY: 0.5, Grounded.NO: 0.0}


@dataclass(frozen=True, slots=True)
class Measures:
    """What one answer took, and how well it stands in the documents.

    Attributes:
        prompt_tokens: of all calls.
        completion_tokens: likewise.
        usd: cost; None: nothing is known of the price.
        seconds: of its stages.
        grounded: 1 if all statements stand in what they cite, 0.5 if some do, 0 if none.
        citations: markers with a citation.
    """

    prompt_tokens: int
    completion_tokens: int
    usd: float | None
    seconds: float
    grounded: float
    citations: int

    @classmethod
    def of(cls, conclusion: Conclusion) -> "Measures":
        """Return those of a complete answer."""
        usage = conclusion.account.usage()
        return cls(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            usd=conclusion.account.known_usd(),
            seconds=sum(conclusion.timings.values()),
            grounded=_SHARES[conclusion.grounded],
            citations=len(conclusion.answers[0].citations),
        )


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one question.

    Attributes:
        collection: that was asked.
        question: digest of it; equal questions have the same.
        profile: name of the one whose answer was given.
        profile_digest: of what it said then.
        candidate: name of the other one.
        candidate_digest: of what it said then.
        is_same: whether the answers have the same words, markers aside.
        served: about the answer that was given.
        shadow: about the other one.
    """

    collection: str
    question: str
    profile: str
    profile_digest: str
    candidate: str
    candidate_digest: str
    is_same: bool
    served: Measures
    shadow: Measures


class PairStore:
    """The pairs in the database. Thread-safe.

    Every method raises `DatabaseUnavailableError` when the database does not answer.
    """

    def __init__(
        self, database: Database, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Set up.

        Args:
            database: with the tables of serving.
            now: the time of day, in UTC.
        """
        self._database = database
        self._now = now

    def add(self, pair: Pair) -> None:
        """Keep a pair."""
        with self._database.writing(is_durable=False) as connection:
            connection.execute(sa.insert(shadow_pairs).values(**asdict(pair), time=self._now()))

    def list_pairs(self, after: int = 0, limit: int = 100) -> list[Mapping[str, Any]]:
        """Return pairs in order of their ids, with `id` and `time`.

        Args:
            after: beginning after this id.
            limit: most to return.
        """
        query = sa.select(shadow_pairs).where(shadow_pairs.c.id > after)
        with self._database.reading() as connection:
            ordered = query.order_by(shadow_pairs.c.id).limit(limit)
            rows = connection.execute(ordered).mappings().all()
        return [{**row, "time": in_utc(row["time"])} for row in rows]

    def forget_old(self, num_days: int) -> None:
        """Delete what is older than a number of days."""
        limit = self._now() - timedelta(days=num_days)
        with self._database.writing() as connection:
            connection.execute(sa.delete(shadow_pairs).where(shadow_pairs.c.time < limit))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A profile that is tried, and its name."""

    name: str
    profile: AnsweringProfile


def find_candidate(name: str, profiles: ProfileStore[AnsweringProfile]) -> Candidate:
    """Return the profile that the settings name.

    Raises:
        ProfileNotFoundError: there is none.
        ProfileError: its file is damaged, or no name is like that.
    """
    try:
        return Candidate(name, profiles.get(name))
    except (ProfileError, ProfileNotFoundError) as error:
        raise type(error)(f"SERVING_SHADOW_PROFILE: {error}") from None


class Shadow:
    """Answers questions once more. For use in one event loop.

    One answer at a time, and none while more than half of the service's permits are taken: whoever
    asks is never kept waiting for it. A question that finds no room is not answered later.
    """

    def __init__(
        self,
        settings: ServingSettings,
        answerer: Answerer,
        bookkeeper: Bookkeeper,
        limits: Limiter,
        profiles: ProfileStore[AnsweringProfile],
        pairs: PairStore,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """Set up.

        Args:
            settings: of the service.
            answerer: with a memory of conversations of its own.
            bookkeeper: enters what the answers took.
            limits: of the service.
            profiles: one of which is tried.
            pairs: that are kept.
            draw: a number from 0 to 1; the question is taken where it is below the share.
        """
        self._settings = settings
        self._answerer = answerer
        self._bookkeeper = bookkeeper
        self._limits = limits
        self._profiles = profiles
        self._pairs = pairs
        self._draw = draw
        budget = settings.shadow_usd_per_day
        key_limits = KeyLimits(nano_usd_per_day=None if budget is None else to_nano_usd(budget))
        beginning = datetime.min.replace(tzinfo=UTC)
        self._caller = Caller(Key(KEY, KEY, frozenset({Scope.READ}), beginning, limits=key_limits))
        self._task: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no answer is under way."""
        return self._task is None or self._task.done()

    async def follow(
        self, answer: AsyncGenerator[Delta | Conclusion, None]
    ) -> AsyncGenerator[Delta | Conclusion, None]:
        """Pass an answer on; when it is complete the question may be answered once more."""
        async with aclosing(answer):
            async for event in answer:
                if isinstance(event, Conclusion) and self._takes(event.question):
                    self._task = asyncio.create_task(self._compare(event))
                yield event

    async def close(self) -> None:
        """Break off what is under way."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _takes(self, question: Question) -> bool:
        """Tell whether a question is drawn, and there is room to answer it once more.

        Later turns of a conversation are left out: they depend on what was answered before.
        """
        name = self._settings.shadow_profile
        if name in {None, question.profile_name} or not question.is_as_served:
            return False
        if question.history or self._draw() >= self._settings.shadow_share:
            return False
        return self.is_idle and not self._limits.is_busy

    async def _compare(self, conclusion: Conclusion) -> None:
        """Answer a question by the candidate, and keep the pair; a failure is logged."""
        served = Measures.of(conclusion)
        try:
            name = self._settings.shadow_profile or ""
            candidate = await asyncio.to_thread(find_candidate, name, self._profiles)
            question = self._ask_by(candidate, conclusion.question)
            async with self._limits.admit(self._caller, 0, to_nano_usd(served.usd or 0)) as permit:
                other = await self._bookkeeper.answer_unseen(
                    self._answerer, question, permit, is_remembered=True
                )
            pair = _pair(conclusion, served, other, candidate)
            await asyncio.to_thread(self._pairs.add, pair)
        except (ServingError, RetrievalError, IngestError) as error:
            logger.warning("no shadow answer", extra={"reason": type(error).__name__})
        except Exception:  # the worker's loop: nobody waits for this answer
            logger.exception("no shadow answer")

    def _ask_by(self, candidate: Candidate, question: Question) -> Question:
        profile = candidate.profile
        max_tokens = profile.packing.max_tokens or self._settings.max_context_tokens
        return replace(
            question,
            profile=profile,
            profile_name=candidate.name,
            profile_digest=profile.settings_digest,
            top_k=profile.most_hits(None, self._settings.top_k),
            packing=profile.packing.model_copy(update={"max_tokens": max_tokens}),
            caller=KEY,
            standing=None,
            is_as_served=False,
        )


def _pair(
    conclusion: Conclusion, served: Measures, other: Conclusion, candidate: Candidate
) -> Pair:
    question = conclusion.question
    return Pair(
        collection=question.collection,
        question=hashlib.sha256(question.text.encode()).hexdigest(),
        profile=question.profile_name or "",
        profile_digest=question.profile.digest,
        candidate=candidate.name,
        candidate_digest=candidate.profile.digest,
        is_same=words_of(conclusion.answers[0].text) == words_of(other.answers[0].text),
        served=served,
        shadow=Measures.of(other),
    )
