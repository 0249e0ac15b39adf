"""LangChain: EnsembleRetriever over BM25Retriever (rank_bm25) and Qdrant's local mode."""

from langchain_classic.retrievers import EnsembleRetriever
from langchain_community.retrievers import BM25Retriever
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient, models

from benchmarks.systems.worker import TOP_K, Given, Matrix, Search


class GivenEmbeddings(Embeddings):  # type: ignore[misc]
    """LangChain's interface of an embedding model."""

    def __init__(self, embed: Given) -> None:
        self._embed = embed

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Look up."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Look up."""
        vector: list[float] = self._embed(text).tolist()
        return vector


def ingest(texts: list[str], embed: Given) -> Search:
    """Add the documents to both."""
    client = QdrantClient(":memory:")
    parameters = models.VectorParams(size=embed.dimension, distance=models.Distance.COSINE)
    client.create_collection("default", vectors_config=parameters)
    # The check would embed a text that is not among the given ones.
    store = QdrantVectorStore(
        client, "default", GivenEmbeddings(embed), validate_collection_config=False
    )
    documents = [Document(page_content=text, metadata={"n": n}) for n, text in enumerate(texts)]
    store.add_documents(documents)
    lexical = BM25Retriever.from_documents(documents, k=TOP_K)
    dense = store.as_retriever(search_kwargs={"k": TOP_K})
    retriever = EnsembleRetriever(retrievers=[lexical, dense], weights=[0.5, 0.5])

    def search(query: str, _vector: Matrix) -> list[int]:
        return [document.metadata["n"] for document in retriever.invoke(query)[:TOP_K]]

    return search
