"""Hybrid search: dense and lexical hits of one collection, fused."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter

from retrieval.chunks import Hit
from retrieval.embedding import Embedder, Matrix
from retrieval.fusion import convex_combination
from retrieval.index import ChunkIndex, Ranking


class Mode(StrEnum):
    """Which of the two searches to run."""

    HYBRID = "hybrid"
    DENSE = "dense"
    LEXICAL = "lexical"


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first, and the seconds each step took."""

    hits: list[Hit]
    timings: dict[str, float]


@dataclass(frozen=True, slots=True)
class Searcher:
    """Finds the chunks that answer a query.

    Attributes:
        embedder: for the dense search.
        num_candidates: hits taken from each search before fusion.
        dense_weight: share of the dense score in the fused score, from 0 to 1.
    """

    embedder: Embedder
    num_candidates: int
    dense_weight: float

    def search(
        self, index: ChunkIndex, query: str, top_k: int, mode: Mode = Mode.HYBRID
    ) -> SearchResult:
        """Return at most `top_k` hits, best first; `scores` of each hit tells every method's view.

        Lexical search returns only chunks that share a word with the query.
        """
        started = perf_counter()
        vector = None if mode is Mode.LEXICAL else self.embedder.embed_query(query)
        embedded = perf_counter()
        hits = self.rank(index, query, vector, top_k, mode)
        timings = {
            "embed_seconds": embedded - started,
            "search_seconds": perf_counter() - embedded,
        }
        return SearchResult(hits, timings)

    def rank(
        self, index: ChunkIndex, query: str, vector: Matrix | None, top_k: int, mode: Mode
    ) -> list[Hit]:
        """Search with a query that is already embedded; `vector` may be None in lexical mode."""
        depth = max(top_k, self.num_candidates)
        if mode is Mode.LEXICAL or vector is None:
            scores = {"lexical": index.rank_lexical(query, top_k)}
        elif mode is Mode.DENSE:
            scores = {"dense": index.rank_dense(vector, top_k)}
        else:
            dense = index.rank_dense(vector, depth)
            lexical = index.rank_lexical(query, depth)
            # Each search also scores what only the other found: no chunk is fused blindly.
            dense |= index.rank_dense(vector, depth, within=lexical.keys() - dense.keys())
            lexical |= index.rank_lexical(query, depth, within=dense.keys() - lexical.keys())
            fused = convex_combination(dense, lexical, self.dense_weight)
            scores = {"fused": fused, "dense": dense, "lexical": lexical}
        return _to_hits(index, scores, top_k)


def _to_hits(index: ChunkIndex, scores: Mapping[str, Ranking], top_k: int) -> list[Hit]:
    """Fetch the first chunks of the first ranking, with the scores of all."""
    leading = next(iter(scores.values()))
    best = list(leading)[:top_k]
    chunks = index.fetch(best)
    return [
        Hit(
            chunks[chunk_id],
            leading[chunk_id],
            {method: known[chunk_id] for method, known in scores.items() if chunk_id in known},
        )
        for chunk_id in best
        if chunk_id in chunks
    ]
