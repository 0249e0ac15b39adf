"""Hybrid search: dense and lexical hits of one collection, fused."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from time import perf_counter

from retrieval.chunks import Hit
from retrieval.embedding import Embedder, Matrix
from retrieval.fusion import convex_combination
from retrieval.index import ChunkIndex


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
            return _label(index.search_lexical(query, top_k), "lexical")
        if mode is Mode.DENSE:
            return _label(index.search_dense(vector, top_k), "dense")
        dense = index.search_dense(vector, depth)
        lexical = index.search_lexical(query, depth)
        # Each search also scores what only the other found, so that no chunk is fused blindly.
        dense += index.search_dense(vector, depth, within=_only_in(lexical, dense))
        lexical += index.search_lexical(query, depth, within=_only_in(dense, lexical))
        return self._fuse(dense, lexical)[:top_k]

    def _fuse(self, dense: Sequence[Hit], lexical: Sequence[Hit]) -> list[Hit]:
        scores = {
            "dense": {hit.chunk.chunk_id: hit.score for hit in dense},
            "lexical": {hit.chunk.chunk_id: hit.score for hit in lexical},
        }
        scores["fused"] = convex_combination(scores["dense"], scores["lexical"], self.dense_weight)
        chunks = {hit.chunk.chunk_id: hit.chunk for hit in (*dense, *lexical)}
        return [
            Hit(
                chunks[chunk_id],
                score,
                {method: known[chunk_id] for method, known in scores.items() if chunk_id in known},
            )
            for chunk_id, score in scores["fused"].items()
        ]


def _only_in(these: Sequence[Hit], others: Sequence[Hit]) -> set[str]:
    return {hit.chunk.chunk_id for hit in these} - {hit.chunk.chunk_id for hit in others}


def _label(hits: Sequence[Hit], method: str) -> list[Hit]:
    return [replace(hit, scores={method: hit.score}) for hit in hits]
