"""Token-by-token comparison, on words whose vectors are their own axes."""

from collections.abc import Sequence

import numpy as np
import pytest

from retrieval.embedding import TokenVectors
from retrieval.late_interaction import (
    BATCH_SIZE,
    LateInteractionReranker,
    compare,
    mean_of_best_matches,
)
from retrieval.reranking import Outcome, Reranking
from tests.fakes import HashEmbedder
from tests.retrieval.test_reranking import make_hits

AXES = np.eye(4, dtype=np.float32)
QUERY = TokenVectors([(0, 5), (6, 10)], AXES[[0, 3]])
# "queen bees live": the last word is half like the second one of the query.
PASSAGE = TokenVectors(
    [(0, 5), (6, 10), (11, 15)],
    np.array([AXES[0], AXES[1], 0.6 * AXES[2] + 0.8 * AXES[3]], np.float32),
)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        pytest.param(0, 15, [1.0, 0.8], id="all"),
        pytest.param(0, 5, [1.0, 0.0], id="first word"),
        pytest.param(6, 10, [0.0, 0.0], id="word in common with none"),
        pytest.param(11, 15, [0.0, 0.8], id="last word"),
        pytest.param(4, 7, [1.0, 0.0], id="parts of two words"),
        pytest.param(10, 11, [0.0, 0.0], id="between words"),
        pytest.param(15, 99, [0.0, 0.0], id="behind the end"),
    ],
)
def test_best_matches_of_a_span(start: int, end: int, expected: list[float]) -> None:
    assert compare(QUERY, PASSAGE).best_matches(start, end) == pytest.approx(expected)


def test_nothing_matches_nothing() -> None:
    empty = TokenVectors([], np.zeros((0, 4), np.float32))
    assert list(compare(QUERY, empty).best_matches(0, 9)) == [0.0, 0.0]
    assert list(compare(empty, PASSAGE).best_matches(0, 15)) == []


def test_score_is_the_mean_of_the_best_matches() -> None:
    assert mean_of_best_matches(QUERY, PASSAGE) == pytest.approx((1.0 + 0.8) / 2)


def test_score_without_tokens_is_zero() -> None:
    empty = TokenVectors([], np.zeros((0, 4), np.float32))
    assert mean_of_best_matches(QUERY, empty) == 0.0
    assert mean_of_best_matches(empty, PASSAGE) == 0.0


def test_passages_are_scored_in_their_order_batch_by_batch() -> None:
    embedder = HashEmbedder()
    passages = [f"word{number} of the {'moon' if number == 13 else 'sea'}" for number in range(20)]
    batches = list(LateInteractionReranker(embedder).score("moon", passages, deadline=0.0))
    assert [len(batch) for batch in batches] == [BATCH_SIZE, BATCH_SIZE, 20 - 2 * BATCH_SIZE]
    scores = [score for batch in batches for score in batch]
    tokens = embedder.embed_passage_tokens(passages)
    query = embedder.embed_query_tokens("moon")
    assert scores == pytest.approx([mean_of_best_matches(query, one) for one in tokens])
    assert max(range(20), key=scores.__getitem__) == 13


def test_a_query_without_words_leaves_the_order() -> None:
    hits = make_hits(0.1, 0.9)
    reranking = Reranking(LateInteractionReranker(HashEmbedder()), 2, max_seconds=60)
    reranked = reranking.rerank("где the сыр", hits)
    assert reranked.hits == hits
    assert reranked.outcome is Outcome.FAILED
    assert reranked.reason == (
        "The embedder knows 33% of this query's letters in words: too few to compare its tokens."
    )
    assert reranking.rerank("where is the best рис", hits).outcome is Outcome.DONE  # 14 of 17


class MeltingEmbedder(HashEmbedder):
    """Fails as torch does when its memory is full."""

    def embed_passage_tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        raise RuntimeError("out of memory")


def test_failure_of_the_embedder_leaves_the_order() -> None:
    hits = make_hits(0.1, 0.9)
    reranking = Reranking(LateInteractionReranker(MeltingEmbedder()), 2, max_seconds=60)
    reranked = reranking.rerank("query", hits)
    assert reranked.hits == hits
    assert reranked.outcome is Outcome.FAILED
    assert reranked.reason == "The embedder failed: out of memory"
