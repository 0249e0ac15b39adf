"""The engine's two queries alone, as our search asks them: what we add to them is our own share."""

import qdrant_edge as edge

from benchmarks.systems.shard import Shard
from benchmarks.systems.worker import Given, Matrix, Search
from retrieval.payload import TOKENS, VECTOR, query_text
from retrieval.search import LEXICAL_DEPTH
from retrieval.settings import RetrievalSettings
from retrieval.shard import dense_search


def ingest(texts: list[str], embed: Given) -> Search:
    """Write and optimise the shard, and open it without us."""
    shard = Shard(texts, embed)
    shard.store.close()
    generation = max(path for path in shard.folder.iterdir() if path.is_dir())
    engine = edge.EdgeShard.load(str(generation))
    limit, analyzer = RetrievalSettings().num_candidates, shard.index.analyzer

    def search(query: str, vector: Matrix) -> list[int]:
        ask_engine(engine, query_text(query, analyzer), vector, limit)
        return []

    return search


def ask_engine(engine: edge.EdgeShard, words: str, vector: Matrix, limit: int) -> None:
    """Ask what a hybrid search with so many candidates asks."""
    nearest = edge.Query.Nearest(vector.tolist(), using=VECTOR)
    engine.query(edge.QueryRequest(query=nearest, limit=limit, params=dense_search(limit)))
    lexical = edge.TextQuery(TOKENS, words)
    engine.query(edge.QueryRequest(query=lexical, limit=LEXICAL_DEPTH))
