"""Reranking with scripted scores: what moves, what stays, and that nothing is lost."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.chunks import Chunk, Hit
from retrieval.errors import RerankerFailedError
from retrieval.reranking import Outcome, Reranked, Reranking

PLENTY_SECONDS = 600.0


@dataclass
class ScriptedReranker:
    """A `Reranker` that gives each passage the score written in it, a batch at a time."""

    name: str = "scripted"
    batch_size: int = 2
    batch_seconds: float = 0.0
    fails_after: int | None = None

    def score(self, query: str, passages: Sequence[str], deadline: float) -> Iterator[list[float]]:
        for start in range(0, len(passages), self.batch_size):
            if start == self.fails_after:
                raise RerankerFailedError("The model melted.")
            time.sleep(self.batch_seconds)
            yield [float(passage) for passage in passages[start : start + self.batch_size]]


def make_hits(*scores: float) -> list[Hit]:
    """Return hits whose passages are their scores; their fused scores fall."""
    return [
        Hit(
            chunk=Chunk(
                chunk_id=f"chunk {number}",
                document_id="document",
                revision="r",
                start=number,
                end=number + 1,
                text=str(score),
                headings=(),
                page_start=None,
                page_end=None,
                token_count=1,
                parent_start=number,
                parent_end=number + 1,
            ),
            score=1 / (1 + number),
            scores={"fused": 1 / (1 + number), "dense": 0.5},
        )
        for number, score in enumerate(scores)
    ]


def texts(hits: Sequence[Hit]) -> list[str]:
    return [hit.chunk.text for hit in hits]


def test_best_score_comes_first() -> None:
    hits = make_hits(0.1, 0.9, -3.0, 0.5)
    reranked = Reranking(ScriptedReranker(), 4, PLENTY_SECONDS).rerank("query", hits)
    assert texts(reranked.hits) == ["0.9", "0.5", "0.1", "-3.0"]
    assert (reranked.outcome, reranked.reason) == (Outcome.DONE, None)


def test_reranked_hits_know_every_score() -> None:
    reranking = Reranking(ScriptedReranker(), 2, PLENTY_SECONDS)
    first, second = reranking.rerank("query", make_hits(0.1, 0.9)).hits
    assert first.scores == {"fused": 1 / 2, "dense": 0.5, "rerank": 0.9}
    assert second.scores == {"fused": 1.0, "dense": 0.5, "rerank": 0.1}
    assert (first.score, second.score) == (0.9, 0.1)


def test_equal_scores_keep_their_order() -> None:
    hits = make_hits(0.5, 0.7, 0.5, 0.7, 0.5)
    reranked = Reranking(ScriptedReranker(), 5, PLENTY_SECONDS).rerank("query", hits).hits
    assert [hit.chunk.start for hit in reranked] == [1, 3, 0, 2, 4]


@given(
    scores=st.lists(st.floats(-10, 10), max_size=12),
    batch_size=st.integers(1, 5),
    fails_after=st.none() | st.integers(0, 12),
)
def test_no_hit_is_lost_or_doubled(
    scores: list[float], batch_size: int, fails_after: int | None
) -> None:
    hits = make_hits(*scores)
    reranker = ScriptedReranker(batch_size=batch_size, fails_after=fails_after)
    reranked = Reranking(reranker, 12, PLENTY_SECONDS).rerank("query", hits)
    assert sorted(hit.chunk.start for hit in reranked.hits) == list(range(len(hits)))
    if reranked.outcome is Outcome.DONE:
        assert [hit.score for hit in reranked.hits] == sorted(scores, reverse=True)
    else:
        assert reranked.hits == hits


@pytest.mark.parametrize("fails_after", [0, 2], ids=["at once", "after the first batch"])
def test_failure_leaves_the_order(fails_after: int) -> None:
    hits = make_hits(0.1, 0.9, 0.5, 0.7)
    reranker = ScriptedReranker(fails_after=fails_after)
    reranked = Reranking(reranker, 4, PLENTY_SECONDS).rerank("query", hits)
    assert reranked == Reranked(hits, Outcome.FAILED, "The model melted.")


def test_slow_reranker_leaves_the_order_and_is_not_waited_for() -> None:
    hits = make_hits(*range(100))
    started = time.monotonic()
    reranked = Reranking(ScriptedReranker(batch_seconds=0.03), 100, 0.02).rerank("query", hits)
    assert time.monotonic() - started < 50 * 0.03
    reason = "0.02 s were enough for 2 of 100 passages."
    assert reranked == Reranked(hits, Outcome.OUT_OF_TIME, reason)


def test_scores_that_are_complete_count_even_if_they_are_late() -> None:
    reranker = ScriptedReranker(batch_seconds=0.02)
    reranked = Reranking(reranker, 2, 0.01).rerank("query", make_hits(0.1, 0.9))
    assert texts(reranked.hits) == ["0.9", "0.1"]


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_score_that_is_no_number_is_a_failure(score: float) -> None:
    hits = make_hits(0.1, score, 0.5)
    reranked = Reranking(ScriptedReranker(), 3, PLENTY_SECONDS).rerank("query", hits)
    assert texts(reranked.hits) == texts(hits)
    assert reranked.outcome is Outcome.FAILED
    assert "no finite number" in str(reranked.reason)


@dataclass
class MiscountingReranker:
    """Gives the same number of scores for any number of passages."""

    num_scores: int
    name: str = "miscounting"

    def score(self, query: str, passages: Sequence[str], deadline: float) -> Iterator[list[float]]:
        yield [0.5] * self.num_scores


@pytest.mark.parametrize("num_scores", [0, 2, 4])
def test_wrong_number_of_scores_is_a_failure(num_scores: int) -> None:
    hits = make_hits(0.1, 0.9, 0.5)
    reranked = Reranking(MiscountingReranker(num_scores), 3, PLENTY_SECONDS).rerank("query", hits)
    assert reranked.hits == hits
    assert reranked.reason == f"It gave {num_scores} scores for 3 passages."


def test_without_hits_the_reranker_is_not_asked() -> None:
    reranked = Reranking(MiscountingReranker(3), 3, PLENTY_SECONDS).rerank("query", [])
    assert reranked.hits == []
    assert reranked.outcome is Outcome.DONE
