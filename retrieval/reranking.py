"""Reranking: the best hits of a search are judged once more, by a slower and better judge."""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from time import monotonic
from typing import Protocol

from retrieval.chunks import Hit
from retrieval.errors import RerankerFailedError

logger = logging.getLogger(__name__)


class Reranker(Protocol):
    """Judges how well passages answer a query. Safe to call from several threads.

    Attributes:
        name: of the model; a calibration belongs to it.
    """

    name: str

    def score(self, query: str, passages: Sequence[str], deadline: float) -> Iterator[list[float]]:
        """Yield the scores of the passages in their order, batch by batch.

        A batch takes a fraction of a second: between two of them the caller looks at the clock.

        Args:
            query: the user's words.
            passages: n passages of any length.
            deadline: on the clock of `time.monotonic`, when the caller stops waiting.

        Yields:
            n finite numbers in all, higher is better; fewer only when the deadline has passed.

        Raises:
            RerankerFailedError: there will be no scores.
        """


class Outcome(StrEnum):
    """How reranking ended; unless it is done, the order stands as it was."""

    DONE = "done"
    OUT_OF_TIME = "out_of_time"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Reranked:
    """What a reranking made of hits.

    Attributes:
        hits: each of them once, best first.
        outcome: how it ended.
        reason: why the order stands as it was, or None.
    """

    hits: list[Hit]
    outcome: Outcome
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Reranking:
    """The second stage of a search.

    Attributes:
        reranker: judges the passages.
        depth: how many of the best hits it judges, unless more are asked for.
        max_seconds: how long a search waits for it; above 0.
    """

    reranker: Reranker
    depth: int
    max_seconds: float

    @property
    def fingerprint(self) -> str:
        """What decides the order, if there is time enough."""
        return f"{self.reranker.name}, first {self.depth}"

    def rerank(self, query: str, hits: Sequence[Hit]) -> Reranked:
        """Order hits by the reranker's scores; equal ones stay in their order.

        All or nothing: scores of two methods do not compare, so without a score for each of them
        in time no hit moves.
        """
        outcome, reason, scores = self._score(query, [hit.chunk.passage for hit in hits])
        if outcome is not Outcome.DONE:
            return Reranked(list(hits), outcome, reason)
        scored = [
            replace(hit, score=score, scores={**hit.scores, "rerank": score})
            for hit, score in zip(hits, scores, strict=True)
        ]
        return Reranked(sorted(scored, key=lambda hit: -hit.score), outcome)

    def _score(
        self, query: str, passages: Sequence[str]
    ) -> tuple[Outcome, str | None, list[float]]:
        deadline = monotonic() + self.max_seconds
        scores: list[float] = []
        outcome, reason, details = Outcome.DONE, None, None
        try:
            for batch in self.reranker.score(query, passages, deadline) if passages else ():
                scores += batch
                if monotonic() > deadline:
                    break
            if len(scores) < len(passages) and monotonic() > deadline:
                outcome = Outcome.OUT_OF_TIME
                num_scored = f"{len(scores)} of {len(passages)} passages"
                reason = f"{self.max_seconds:g} s were enough for {num_scored}."
            else:
                _check(scores, len(passages))
        except RerankerFailedError as error:
            outcome, reason, details = Outcome.FAILED, error.public, error.details
        if outcome is not Outcome.DONE:
            # Not the reason: it may quote the query.
            told = {"reranker": self.reranker.name, "outcome": str(outcome), "details": details}
            logger.warning("not reranked", extra=told)
        return outcome, reason, scores


def _check(scores: Sequence[float], num_passages: int) -> None:
    if len(scores) != num_passages:
        raise RerankerFailedError(f"It gave {len(scores)} scores for {num_passages} passages.")
    if not all(math.isfinite(score) for score in scores):
        raise RerankerFailedError("It gave a score that is no finite number.")
