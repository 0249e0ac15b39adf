"""LlamaIndex: QueryFusionRetriever over its vector index and BM25Retriever (bm25s)."""

from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import TextNode
from llama_index.retrievers.bm25 import BM25Retriever

from benchmarks.systems.worker import TOP_K, Given, Matrix, Search


def ingest(texts: list[str], embed: Given) -> Search:
    """Make nodes with vectors, and both indexes."""

    class GivenEmbedding(MockEmbedding):  # type: ignore[misc]
        def _get_query_embedding(self, query: str) -> list[float]:
            vector: list[float] = embed(query).tolist()
            return vector

    nodes = [
        TextNode(id_=str(n), text=text, embedding=embed(text).tolist())
        for n, text in enumerate(texts)
    ]
    index = VectorStoreIndex(nodes, embed_model=GivenEmbedding(embed_dim=embed.dimension))
    lexical = BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=TOP_K)
    retriever = QueryFusionRetriever(
        [index.as_retriever(similarity_top_k=TOP_K), lexical],
        llm=MockLLM(),
        num_queries=1,  # more of them a language model would write
        mode="reciprocal_rerank",
        similarity_top_k=TOP_K,
        use_async=False,
    )

    def search(query: str, _vector: Matrix) -> list[int]:
        return [int(found.node.node_id) for found in retriever.retrieve(query)]

    return search
