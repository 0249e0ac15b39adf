"""How well documents are ranked: a test collection is indexed, searched and measured."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID, uuid5

from eval.beir import Dataset, Document, Query
from eval.measures import measure_rankings
from eval.progress import Progress, silent
from eval.stopwatch import Stopwatch
from retrieval.chunks import Chunk
from retrieval.embedding import EmbeddedQuery, Embedder
from retrieval.index import BATCH_SIZE, ChunkIndex
from retrieval.profiles import Mode, RetrievalProfile
from retrieval.search import Searcher

# The deepest cut-off of the measures.
DEPTH = 100
MODES = (Mode.DENSE, Mode.LEXICAL, Mode.HYBRID)
_NAMESPACE = UUID("0f4d5c1a-8f0e-5a3b-9c55-6f1b7a2d3e90")

_Item = TypeVar("_Item")
Splitter = Callable[[str, str, str], Sequence[Chunk]]
"""(document id, title, text) -> the document's chunks."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of each step; reading, splitting and counting tokens are in none of them.

    Attributes:
        search_seconds: of all queries in all modes, without embedding.
    """

    embed_documents_seconds: float
    index_seconds: float
    embed_queries_seconds: float
    search_seconds: float


@dataclass(frozen=True, slots=True)
class RankingReport:
    """What an evaluation found.

    Attributes:
        dataset: name of the test collection.
        num_queries: judged queries, over which the means are taken.
        num_missing_queries: those of them that have no text, and count as 0.
        num_missing_documents: judgements of documents that the corpus lacks; they count as not
            found.
        num_cut: documents with a passage longer than the embedder reads; lexical search read all.
        embedder: name of the model.
        modes: mode -> measure -> mean in [0, 1].
    """

    dataset: str
    num_queries: int
    num_missing_queries: int
    num_documents: int
    num_missing_documents: int
    num_cut: int
    embedder: str
    modes: Mapping[str, Mapping[str, float]]
    timings: Timings

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON types."""
        return asdict(self)


def evaluate_dataset(
    dataset: Dataset,
    embedder: Embedder,
    profile: RetrievalProfile,
    index: ChunkIndex,
    *,
    splitter: Splitter | None = None,
    progress: Progress = silent,
) -> RankingReport:
    """Index a test collection, search with each judged query in each mode, measure the rankings.

    Args:
        dataset: the test collection.
        embedder: of documents and queries.
        profile: how to search; its mode is left out.
        index: empty, for vectors of the embedder's dimension.
        splitter: cuts documents into chunks, and a document scores as its best chunk. None follows
            BEIR: a document is one passage, of which the embedder reads what its limit allows.
        progress: told of `documents` after each batch, then of `queries` after each.

    Raises:
        DatasetError: the corpus was changed while it was read.
        RetrievalError: the index failed.
    """
    stopwatch = Stopwatch()
    indexing = _Indexing(embedder, index, splitter or whole_document(embedder), stopwatch)
    for done in indexing.run(dataset.documents()):
        progress("documents", done, dataset.num_documents)
    rankings: dict[Mode, dict[str, list[str]]] = {mode: {} for mode in MODES}
    with closing(Searcher()) as searcher:
        depth = min(DEPTH, dataset.num_documents)
        search = _Search(searcher, embedder, profile, index, depth, stopwatch)
        for done, query in enumerate(dataset.queries, start=1):
            for mode, ranking in search.run(query).items():
                rankings[mode][query.query_id] = ranking
            progress("queries", done, len(dataset.queries))
    return RankingReport(
        dataset=dataset.name,
        num_queries=len(dataset.qrels),
        num_missing_queries=dataset.num_missing_queries,
        num_documents=dataset.num_documents,
        num_missing_documents=dataset.num_missing_documents,
        num_cut=len(indexing.cut_document_ids),
        embedder=embedder.name,
        modes={str(mode): measure_rankings(dataset.qrels, rankings[mode]) for mode in MODES},
        timings=_timings(stopwatch),
    )


@dataclass(frozen=True, slots=True)
class _Indexing:
    """Documents on their way into the index, a batch in memory at a time."""

    embedder: Embedder
    index: ChunkIndex
    splitter: Splitter
    stopwatch: Stopwatch
    cut_document_ids: set[str] = field(default_factory=set)

    def run(self, documents: Iterable[Document]) -> Iterator[int]:
        """Index all, yielding how many are done after each batch."""
        done = 0
        for batch in _batches(documents):
            for chunks in _batches(self._split(batch)):
                self._add(chunks)
            done += len(batch)
            yield done

    def _split(self, documents: Iterable[Document]) -> Iterator[Chunk]:
        for document in documents:
            yield from self.splitter(document.document_id, document.title, document.text)

    def _add(self, chunks: Sequence[Chunk]) -> None:
        with self.stopwatch.measure("embed_documents"):
            vectors = self.embedder.embed_passages([chunk.passage for chunk in chunks])
        with self.stopwatch.measure("index"):
            self.index.upsert(chunks, vectors)
        self.cut_document_ids.update(
            chunk.document_id for chunk in chunks if chunk.token_count > self.embedder.max_tokens
        )


@dataclass(frozen=True, slots=True)
class _Search:
    """Queries on their way to rankings of at most `depth` distinct documents."""

    searcher: Searcher
    embedder: Embedder
    profile: RetrievalProfile
    index: ChunkIndex
    depth: int
    stopwatch: Stopwatch

    def run(self, query: Query) -> dict[Mode, list[str]]:
        with self.stopwatch.measure("embed_queries"):
            embedded = EmbeddedQuery(
                self.embedder.embed_query(query.text), self.embedder.vocabulary_coverage(query.text)
            )
        with self.stopwatch.measure("search"):
            return {mode: self._rank_documents(query, embedded, mode) for mode in MODES}

    def _rank_documents(self, query: Query, embedded: EmbeddedQuery, mode: Mode) -> list[str]:
        """Fetch more chunks until they are of enough documents, or there are no more."""
        profile = self.profile.model_copy(update={"mode": mode})
        top_k = self.depth
        while True:
            result = self.searcher.search(self.index, embedded, query.text, profile, top_k)
            hits = result.hits
            document_ids = list(dict.fromkeys(hit.chunk.document_id for hit in hits))
            if len(document_ids) >= self.depth or len(hits) < top_k:
                return document_ids[: self.depth]
            top_k *= 2


def whole_document(embedder: Embedder) -> Splitter:
    """Return the splitter that makes each document one chunk, as BEIR does."""

    def split(document_id: str, title: str, text: str) -> list[Chunk]:
        passage = Document(document_id, title, text).passage
        chunk = Chunk(
            chunk_id=str(uuid5(_NAMESPACE, document_id)),
            document_id=document_id,
            revision="",
            start=0,
            end=len(passage),
            text=passage,
            headings=(),
            page_start=None,
            page_end=None,
            token_count=embedder.count_tokens(passage),
            parent_start=0,
            parent_end=len(passage),
        )
        return [chunk]

    return split


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH_SIZE)):
        yield batch


def _timings(stopwatch: Stopwatch) -> Timings:
    return Timings(
        embed_documents_seconds=stopwatch.seconds("embed_documents"),
        index_seconds=stopwatch.seconds("index"),
        embed_queries_seconds=stopwatch.seconds("embed_queries"),
        search_seconds=stopwatch.seconds("search"),
    )
