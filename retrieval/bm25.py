"""Lexical search by rank-bm25 instead of the engine, for small collections.

The reference implementation in Python gives the scores of the engine, from the same tokens. It
keeps all tokens of a collection in memory and counts them anew after each change.
"""

import heapq
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from threading import Lock

from rank_bm25 import BM25Okapi

from retrieval.analyzer import Analyzer
from retrieval.attributes import Attributes, Kind
from retrieval.chunks import Chunk
from retrieval.embedding import Matrix
from retrieval.errors import CollectionTooLargeError
from retrieval.filters import Filter
from retrieval.index import (
    NO_ATTRIBUTES,
    ChunkIndex,
    IndexStore,
    Ranking,
    ShouldStop,
    never,
)
from retrieval.migration import Point

# A query takes 0.1 s and counting anew 4 s for so many.
MAX_CHUNKS = 10_000
K1, B = 1.2, 0.75


class RankBM25Store:
    """Another store, whose indexes rank by rank-bm25."""

    def __init__(self, store: IndexStore) -> None:
        self.is_shared = store.is_shared
        self._store = store
        self._indexes: dict[str, RankBM25Index] = {}
        self._lock = Lock()

    def open(
        self, name: str, *, dimension: int | None = None, language: str | None = None
    ) -> ChunkIndex:
        """Return an index, see `IndexStore`."""
        return self._wrap(name, self._store.open(name, dimension=dimension, language=language))

    def find(self, name: str) -> ChunkIndex | None:
        """Return an index if there is one, see `IndexStore`."""
        index = self._store.find(name)
        return None if index is None else self._wrap(name, index)

    def names(self) -> set[str]:
        """Return the names of all indexes, see `IndexStore`."""
        return self._store.names()

    def drop(self, name: str) -> None:
        """Remove an index, see `IndexStore`."""
        with self._lock:
            self._indexes.pop(name, None)
            self._store.drop(name)

    def release(self, name: str) -> None:
        """Close an index, see `IndexStore`."""
        with self._lock:
            self._indexes.pop(name, None)
            self._store.release(name)

    def to_compact(self) -> set[str]:
        """Return the names of some indexes, see `IndexStore`."""
        return self._store.to_compact()

    def check(self) -> None:
        """Make sure that the other store answers, see `IndexStore`."""
        self._store.check()

    def close(self) -> None:
        """Close the other store."""
        self._store.close()

    def _wrap(self, name: str, index: ChunkIndex) -> "RankBM25Index":
        with self._lock:
            return self._indexes.setdefault(name, RankBM25Index(index))


class RankBM25Index:
    """Another index, whose lexical search is replaced."""

    def __init__(self, index: ChunkIndex) -> None:
        self.is_remote = index.is_remote
        self._index = index
        self._corpus: Corpus | None = None
        self._num_changes = 0
        self._change = Lock()
        self._counting = Lock()

    @property
    def analyzer(self) -> Analyzer:
        """What makes the tokens, see `ChunkIndex`."""
        return self._index.analyzer

    def upsert(
        self, chunks: Sequence[Chunk], vectors: Matrix, attributes: Attributes = NO_ATTRIBUTES
    ) -> None:
        """Add chunks, see `ChunkIndex`."""
        try:
            self._index.upsert(chunks, vectors, attributes)
        finally:
            self._forget()

    def delete(self, document_id: str, *, keep_revision: str | None = None) -> None:
        """Remove the chunks of a document, see `ChunkIndex`."""
        try:
            self._index.delete(document_id, keep_revision=keep_revision)
        finally:
            self._forget()

    def set_attributes(self, document_id: str, attributes: Attributes) -> None:
        """Replace what filters see of a document, see `ChunkIndex`."""
        self._index.set_attributes(document_id, attributes)

    def attribute_kinds(self) -> Mapping[str, Collection[Kind]]:
        """Return the keys that filters know, see `ChunkIndex`."""
        return self._index.attribute_kinds()

    def rank_dense(
        self,
        vector: Matrix,
        limit: int,
        *,
        also: Collection[str] = (),
        where: Filter | None = None,
    ) -> Ranking:
        """Search by similarity, see `ChunkIndex`."""
        return self._index.rank_dense(vector, limit, also=also, where=where)

    def rank_lexical(self, query: str, limit: int, *, where: Filter | None = None) -> Ranking:
        """Search by words, see `ChunkIndex`.

        Raises:
            CollectionTooLargeError: there are more than `MAX_CHUNKS` chunks.
        """
        scores = self._count().score(self.analyzer.query_tokens(query))
        # The engine finds the same chunks, and knows filters.
        meant = None if where is None else self._index.rank_lexical(query, MAX_CHUNKS, where=where)
        found = (
            (chunk_id, score)
            for chunk_id, score in scores
            if score > 0 and (meant is None or chunk_id in meant)
        )
        return dict(heapq.nsmallest(limit, found, key=lambda pair: (-pair[1], pair[0])))

    def fetch(self, chunk_ids: Iterable[str]) -> dict[str, Chunk]:
        """Return chunks by id, see `ChunkIndex`."""
        return self._index.fetch(chunk_ids)

    def count(
        self,
        document_id: str | None = None,
        revision: str | None = None,
        *,
        where: Filter | None = None,
    ) -> int:
        """Count chunks, see `ChunkIndex`."""
        return self._index.count(document_id, revision, where=where)

    def contents(self) -> dict[tuple[str, str], int]:
        """Count chunks by document and revision, see `ChunkIndex`."""
        return self._index.contents()

    def vectors(self, chunk_ids: Iterable[str]) -> dict[str, Matrix]:
        """Return vectors by id, see `ChunkIndex`."""
        return self._index.vectors(chunk_ids)

    def points(self) -> Iterator[list[Point]]:
        """Yield all points, see `ChunkIndex`."""
        return self._index.points()

    def tokens(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the tokens of all chunks, see `ChunkIndex`."""
        return self._index.tokens()

    def compact(self, should_stop: ShouldStop = never) -> None:
        """Erase what was deleted, see `ChunkIndex`."""
        self._index.compact(should_stop)

    def _forget(self) -> None:
        with self._change:
            self._num_changes += 1
            self._corpus = None

    def _count(self) -> "Corpus":
        with self._counting:
            if (corpus := self._corpus) is not None:
                return corpus
            num_changes = self._num_changes
            if (num_chunks := self._index.count()) > MAX_CHUNKS:
                raise CollectionTooLargeError(
                    f"The collection has {num_chunks:,} chunks, and RETRIEVAL_LEXICAL=rank_bm25 is "
                    f"for {MAX_CHUNKS:,} at most. Set RETRIEVAL_LEXICAL=engine, which ranks alike."
                )
            corpus = Corpus(self._index.tokens())
            with self._change:
                # What changed meanwhile may be in it or not: it serves this query only.
                if num_changes == self._num_changes:
                    self._corpus = corpus
            return corpus


class Corpus:
    """Counts the tokens of a corpus, for BM25."""

    def __init__(self, tokens: Iterable[tuple[str, list[str]]]) -> None:
        # A chunk without tokens cannot be found, nor does the engine count it.
        found = {chunk_id: words for chunk_id, words in tokens if words}
        self._chunk_ids = list(found)
        # rank-bm25 divides by the number of chunks.
        self._model = _LuceneBM25(list(found.values()), k1=K1, b=B) if found else None

    def score(self, query: Iterable[str]) -> Iterator[tuple[str, float]]:
        """Yield id and score of every chunk; a repeated word counts once, as in the engine."""
        if self._model is None:
            return iter(())
        scores = self._model.get_scores(sorted(set(query)))
        return zip(self._chunk_ids, map(float, scores), strict=True)


class _LuceneBM25(BM25Okapi):  # type: ignore[misc]
    """rank-bm25 with Lucene's idf, which is never negative: ln(1 + (N - df + 0.5) / (df + 0.5))."""

    def _calc_idf(self, nd: dict[str, int]) -> None:
        for word, df in nd.items():
            self.idf[word] = math.log(1 + (self.corpus_size - df + 0.5) / (df + 0.5))
