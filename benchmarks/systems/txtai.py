"""txtai: Embeddings with hybrid=True, which are Faiss and its own BM25, half and half."""

import numpy as np
from txtai import Embeddings

from benchmarks.systems.worker import TOP_K, Given, Matrix, Search


def ingest(texts: list[str], embed: Given) -> Search:
    """Index the texts."""

    def transform(texts: list[str]) -> Matrix:
        return np.stack([embed(text) for text in texts])

    embeddings = Embeddings({"method": "external", "transform": transform, "hybrid": True})
    embeddings.index(enumerate(texts))

    def search(query: str, _vector: Matrix) -> list[int]:
        return [int(n) for n, _ in embeddings.search(query, TOP_K)]

    return search
