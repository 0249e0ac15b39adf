"""Late interaction: a query and a passage are compared token by token (Khattab and Zaharia, 2020).

Works with the token vectors of any bi-encoder, so it needs no model of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.embedding import Embedder, Matrix, TokenVectors
from retrieval.errors import RerankerFailedError
from retrieval.vocabulary import covered_weight

# Passages whose tokens are embedded at a time: as many as keep the cores busy, and no more,
# because between two batches the clock is looked at.
BATCH_SIZE = 8
# With less weight left to the vector of a query, those of its tokens order worse than the search.
MIN_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class TokenSimilarity:
    """How similar each token of a query is to each token of a passage.

    Attributes:
        cosines: (query tokens, passage tokens) float32.
        starts: first character of each token in the passage, ascending.
        ends: one past its last character.
    """

    cosines: Matrix
    starts: list[int]
    ends: list[int]

    def best_matches(self, start: int, end: int) -> Matrix:
        """Return, for each query token, its highest cosine in characters `start` to `end`.

        Zeros when no token lies there: (query tokens,) float32.
        """
        first = int(np.searchsorted(self.ends, start, side="right"))
        last = int(np.searchsorted(self.starts, end, side="left"))
        if first >= last:
            return np.zeros(len(self.cosines), np.float32)
        best: Matrix = self.cosines[:, first:last].max(axis=1)
        return best


def compare(query: TokenVectors, passage: TokenVectors) -> TokenSimilarity:
    """Compare the tokens of a query with those of a passage."""
    return TokenSimilarity(
        cosines=query.vectors @ passage.vectors.T,
        starts=[start for start, _ in passage.offsets],
        ends=[end for _, end in passage.offsets],
    )


class LateInteractionReranker:
    """Scores a passage by how well its tokens match those of the query, with the embedder itself.

    The score is the mean, over the tokens of the query, of the highest cosine in the passage
    (MaxSim), so it lies in [-1, 1]. What the embedder cuts off a passage is not seen.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.name = f"late_interaction/{embedder.name}"
        self._embedder = embedder

    def score(self, query: str, passages: Sequence[str], deadline: float) -> Iterator[list[float]]:
        """Yield mean cosines, see `Reranker`; the batch under way at the deadline is finished.

        It gives none for a query that the embedder has hardly any words for.
        """
        coverage = self._embedder.vocabulary_coverage(query)
        if covered_weight(1, coverage) < MIN_WEIGHT:
            raise RerankerFailedError(
                f"The embedder knows {coverage:.0%} of this query's letters in words: too few to "
                "compare its tokens."
            )
        try:
            query_tokens = self._embedder.embed_query_tokens(query)
            for start in range(0, len(passages), BATCH_SIZE):
                batch = passages[start : start + BATCH_SIZE]
                tokens = self._embedder.embed_passage_tokens(batch)
                yield [mean_of_best_matches(query_tokens, passage) for passage in tokens]
        except RuntimeError as error:  # torch's, for example when memory is full
            raise RerankerFailedError(f"The embedder failed: {error}") from error


def mean_of_best_matches(query: TokenVectors, passage: TokenVectors) -> float:
    """Return the mean of the highest cosines of the query's tokens; 0 where there are no tokens."""
    if not query.offsets or not passage.offsets:
        return 0.0
    return float((query.vectors @ passage.vectors.T).max(axis=1).mean())
