"""Haystack: both in-memory retrievers and DocumentJoiner by reciprocal rank, in one pipeline."""

from haystack import Document, Pipeline
from haystack.components.joiners import DocumentJoiner
from haystack.components.retrievers.in_memory import (
    InMemoryBM25Retriever,
    InMemoryEmbeddingRetriever,
)
from haystack.document_stores.in_memory import InMemoryDocumentStore

from benchmarks.systems.worker import TOP_K, Given, Matrix, Search


def ingest(texts: list[str], embed: Given) -> Search:
    """Write the documents, and connect the pipeline."""
    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    store.write_documents(
        [
            Document(id=str(n), content=text, embedding=embed(text).tolist())
            for n, text in enumerate(texts)
        ]
    )
    joiner = DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=TOP_K)
    pipeline = Pipeline()
    pipeline.add_component("lexical", InMemoryBM25Retriever(store, top_k=TOP_K))
    pipeline.add_component("dense", InMemoryEmbeddingRetriever(store, top_k=TOP_K))
    pipeline.add_component("joiner", joiner)
    pipeline.connect("lexical", "joiner")
    pipeline.connect("dense", "joiner")

    def search(query: str, vector: Matrix) -> list[int]:
        inputs = {"lexical": {"query": query}, "dense": {"query_embedding": vector.tolist()}}
        return [int(document.id) for document in pipeline.run(inputs)["joiner"]["documents"]]

    return search
