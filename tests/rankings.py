"""Rankings of an index as hits, which tests read more easily than ids."""

from collections.abc import Collection

from retrieval.chunks import Hit
from retrieval.embedding import Matrix
from retrieval.index import ChunkIndex, Ranking


def search_dense(
    index: ChunkIndex, vector: Matrix, limit: int, *, also: Collection[str] = ()
) -> list[Hit]:
    return _to_hits(index, index.rank_dense(vector, limit, also=also))


def search_lexical(index: ChunkIndex, query: str, limit: int) -> list[Hit]:
    return _to_hits(index, index.rank_lexical(query, limit))


def _to_hits(index: ChunkIndex, ranking: Ranking) -> list[Hit]:
    chunks = index.fetch(ranking)
    # Another thread may have deleted a chunk since it was ranked.
    return [
        Hit(chunks[chunk_id], score) for chunk_id, score in ranking.items() if chunk_id in chunks
    ]
