"""Our embedded index and search with the default profile, on disk, as the service uses them."""

from benchmarks.systems.shard import Shard
from benchmarks.systems.worker import TOP_K, Given, Matrix, Search
from retrieval.embedding import EmbeddedQuery
from retrieval.search import Searcher
from retrieval.settings import RetrievalSettings


def ingest(texts: list[str], embed: Given) -> Search:
    """Write and optimise the shard."""
    shard = Shard(texts, embed)
    searcher = Searcher()
    profile = RetrievalSettings().profile()

    def search(query: str, vector: Matrix) -> list[int]:
        hits = searcher.search(shard.index, EmbeddedQuery(vector), query, profile, TOP_K).hits
        return [shard.positions[hit.chunk.chunk_id] for hit in hits]

    return search
