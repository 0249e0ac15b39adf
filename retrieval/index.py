"""What Suffice asks of a chunk index.

Adapters: edge.py (embedded), qdrant.py (server), and bm25.py, which replaces the lexical search of
either.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Protocol

from retrieval.analyzer import Analyzer
from retrieval.attributes import Attributes, Kind
from retrieval.chunks import Chunk
from retrieval.embedding import Matrix
from retrieval.filters import Filter
from retrieval.migration import Point

# Qdrant's recommendation is 64-256 points; larger batches stall other threads for longer.
BATCH_SIZE = 256

# Pairs of key and kind that are known of one collection; with more, unknown keys are no error.
MAX_KEYS = 10_000

# So many more hits than wanted are asked for, because few more chunks score alike where they end.
MORE_HITS = 8
# Chunks all alike, such as rows of a table, are not all looked at: that would take 0.2 s for 100k.
MAX_HITS = 10_000

NO_ATTRIBUTES: Attributes = MappingProxyType({})

# Chunk id -> score, best first, equal scores in order of ids. Most of what is ranked is never
# shown, so the chunks themselves are fetched later.
Ranking = dict[str, float]

ShouldStop = Callable[[], bool]


def never() -> bool:
    """Tell that nothing should stop."""
    return False


def make_ranking(chunk_ids: Sequence[str], scores: Sequence[float]) -> Ranking:
    """Return what an engine ranked, best first as it gives them, but equal ones by their ids."""
    in_order = list(chunk_ids)
    start = 0
    for end in range(1, len(scores) + 1):
        if end == len(scores) or scores[end] != scores[start]:
            if end - start > 1:
                in_order[start:end] = sorted(in_order[start:end])
            start = end
    return dict(zip(in_order, scores, strict=True))


def rank_best(rank: Callable[[int], list[Ranking]], limit: int) -> list[Ranking]:
    """Return rankings, of which the first has the best `limit` chunks, of equal ones those by id.

    An engine gives any of those that score alike where its hits end, after an optimisation others.
    So it is asked for more of them.

    Args:
        rank: given how many chunks the first ranking is to have, returns all rankings.
        limit: most chunks to return in the first one.
    """
    num_hits = limit + MORE_HITS
    while True:
        first, *others = rank(num_hits)
        scores = list(first.values())
        if len(scores) < num_hits or scores[-1] < scores[limit - 1] or num_hits >= MAX_HITS:
            return [dict(islice(first.items(), limit)), *others]
        num_hits = min(8 * num_hits, MAX_HITS)


class SearchableIndex(Protocol):
    """What a search asks of an index. Safe to call from several threads.

    Attributes:
        is_remote: whether calls wait for a server, which answers several at the same time.
    """

    is_remote: bool

    def attribute_kinds(self) -> Mapping[str, Collection[Kind]]:
        """Return the kinds of values that chunks have under each key, `MAX_KEYS` at most."""

    def rank_dense(
        self,
        vector: Matrix,
        limit: int,
        *,
        also: Collection[str] = (),
        where: Filter | None = None,
    ) -> Ranking:
        """Return the chunks most similar to a query vector; scores are cosines.

        Args:
            vector: (dimension,) of unit norm.
            limit: most chunks to return, besides those of `also`.
            also: ids of chunks that are returned, too, behind the others if not among them. No
                filter applies to them; one that is not there is left out.
            where: filter that the chunks must satisfy, see `matches`.
        """

    def rank_lexical(self, query: str, limit: int, *, where: Filter | None = None) -> Ranking:
        """Return the chunks with the highest BM25 scores; without a common word, none.

        Args:
            query: the user's words.
            limit: most chunks to return.
            where: filter that the chunks must satisfy, see `matches`.
        """

    def fetch(self, chunk_ids: Iterable[str]) -> dict[str, Chunk]:
        """Return chunks by id; one that was deleted meanwhile is left out."""


class ChunkIndex(SearchableIndex, Protocol):
    """The chunks of one collection with their vectors. Safe to call from several threads."""

    @property
    def analyzer(self) -> Analyzer:
        """What turns passages and queries into the tokens that BM25 counts."""

    def upsert(
        self, chunks: Sequence[Chunk], vectors: Matrix, attributes: Attributes = NO_ATTRIBUTES
    ) -> None:
        """Add chunks, replacing those of the same id.

        Args:
            chunks: n chunks.
            vectors: (n, dimension) float32 of unit norm, in the order of `chunks`.
            attributes: what all of them can be filtered by.
        """

    def set_attributes(self, document_id: str, attributes: Attributes) -> None:
        """Replace what the chunks of a document can be filtered by."""

    def delete(self, document_id: str, *, keep_revision: str | None = None) -> None:
        """Remove the chunks of a document, except those of `keep_revision`."""

    def count(
        self,
        document_id: str | None = None,
        revision: str | None = None,
        *,
        where: Filter | None = None,
    ) -> int:
        """Count the chunks of the collection, of a document, or of one of its revisions.

        Args:
            document_id: only of this one.
            revision: only of this one.
            where: filter that the chunks must satisfy, see `matches`.
        """

    def contents(self) -> dict[tuple[str, str], int]:
        """Return how many chunks there are of each (document id, revision)."""

    def vectors(self, chunk_ids: Iterable[str]) -> dict[str, Matrix]:
        """Return the vectors, (dimension,) float32, of chunks by id.

        What is gone or damaged is left out.
        """

    def points(self) -> Iterator[list[Point]]:
        """Yield all chunks as they are kept, batch by batch."""

    def tokens(self) -> Iterator[tuple[str, list[str]]]:
        """Yield id and tokens of every chunk."""

    def compact(self, should_stop: ShouldStop = never) -> None:
        """Rewrite the storage so that no deleted text stays on disk; return when that is so.

        Args:
            should_stop: asked now and then; when it says so, everything stays as it was.

        Raises:
            IndexUnavailableError: it could not be rewritten, or was to stop.
        """


class IndexStore(Protocol):
    """All indexes of one engine.

    Attributes:
        is_shared: whether others may keep indexes of theirs in the same place.
    """

    is_shared: bool

    def open(
        self, name: str, *, dimension: int | None = None, language: str | None = None
    ) -> ChunkIndex:
        """Return an index, creating an empty one when there is none.

        Args:
            name: of the index.
            dimension: length of the vectors of a new index; None: as the store was told.
            language: of the texts of a new index; None: as the store was told.

        Raises:
            ForeignIndexError: it is another service's; nothing was written.
        """

    def find(self, name: str) -> ChunkIndex | None:
        """Return an index, or None when there is none.

        Raises:
            IndexUnavailableError: it is there, but does not open.
            ForeignIndexError: it is another service's.
        """

    def names(self) -> set[str]:
        """Return the names of all indexes, but not those of other services."""

    def drop(self, name: str) -> None:
        """Remove an index with all its chunks; that of another service stays."""

    def release(self, name: str) -> None:
        """Close an index, so that its files may be moved; it is opened again when it is needed."""

    def to_compact(self) -> set[str]:
        """Return the names of the indexes that a compaction would rewrite."""

    def check(self) -> None:
        """Make sure that searches would be answered, by one call that is not repeated.

        Raises:
            IndexUnavailableError: they would not.
        """

    def close(self) -> None:
        """Release files and connections."""
