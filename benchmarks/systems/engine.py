"""The engine's two queries alone, by vector and by words: what we add to them is our own share."""

import qdrant_edge as edge

from benchmarks.systems.shard import Shard
from benchmarks.systems.worker import Given, Matrix, Search
from retrieval.payload import PASSAGE, VECTOR
from retrieval.settings import RetrievalSettings


def ingest(texts: list[str], embed: Given) -> Search:
    """Write and optimise the shard, and open it without us."""
    shard = Shard(texts, embed)
    shard.store.close()
    generation = max(path for path in shard.folder.iterdir() if path.is_dir())
    engine = edge.EdgeShard.load(str(generation))
    limit = RetrievalSettings().num_candidates

    def search(query: str, vector: Matrix) -> list[int]:
        for one in (
            edge.Query.Nearest(vector.tolist(), using=VECTOR),
            edge.TextQuery(PASSAGE, query),
        ):
            engine.query(edge.QueryRequest(query=one, limit=limit, with_payload=False))
        return []

    return search
