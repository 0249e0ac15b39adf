"""The index on a Qdrant server, 1.20 or newer: one Qdrant collection per Suffice collection."""

from collections.abc import Callable, Collection, Iterable, Sequence
from threading import Lock
from typing import Any, TypeVar

from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException

from retrieval.chunks import Chunk
from retrieval.embedding import Matrix
from retrieval.errors import IndexUnavailableError
from retrieval.index import BATCH_SIZE, ChunkIndex, Ranking, make_ranking
from retrieval.payload import PASSAGE, VECTOR, from_payload, to_payload

MINIMUM_VERSION = (1, 20)
Answer = TypeVar("Answer")


class QdrantStore:
    """Collections on a Qdrant server."""

    def __init__(self, client: QdrantClient, dimension: int, language: str) -> None:
        self._client = client
        self._dimension = dimension
        self._language = language
        self._prepared: set[str] = set()
        self._lock = Lock()

    def open(self, collection: str) -> ChunkIndex:
        """Return a collection's index, see `IndexStore`."""
        with self._lock:
            if collection not in self._prepared:
                self._prepare(collection)
                self._prepared.add(collection)
        return QdrantIndex(self._client, collection)

    def drop(self, collection: str) -> None:
        """Remove a collection, see `IndexStore`."""
        with self._lock:
            self._prepared.discard(collection)
            _answer(lambda: self._client.delete_collection(collection))

    def recover(self) -> None:
        """Leave it to the server, see `IndexStore`."""

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _prepare(self, collection: str) -> None:
        """Create what is missing of a collection; a process may have died in the middle of it."""
        vectors = models.VectorParams(size=self._dimension, distance=models.Distance.DOT)
        if not _answer(lambda: self._client.collection_exists(collection)):
            _answer(
                lambda: self._client.create_collection(collection, vectors_config={VECTOR: vectors})
            )
        # Filter fields are indexed before the first point: a graph built earlier ignores them.
        schemas: dict[str, Any] = {
            "document_id": models.PayloadSchemaType.KEYWORD,
            "revision": models.PayloadSchemaType.KEYWORD,
            PASSAGE: _text_index(self._language),
        }
        for field, schema in schemas.items():
            self._create_payload_index(collection, field, schema)

    def _create_payload_index(self, collection: str, field: str, schema: Any) -> None:
        _answer(lambda: self._client.create_payload_index(collection, field, schema, wait=True))


class QdrantIndex:
    """One collection on the server."""

    def __init__(self, client: QdrantClient, collection: str) -> None:
        self._client = client
        self._collection = collection

    def upsert(self, chunks: Sequence[Chunk], vectors: Matrix) -> None:
        """Add chunks, see `ChunkIndex`."""
        for start in range(0, len(chunks), BATCH_SIZE):
            rows = vectors[start : start + BATCH_SIZE].tolist()
            points = [
                models.PointStruct(
                    id=chunk.chunk_id, vector={VECTOR: row}, payload=to_payload(chunk)
                )
                for chunk, row in zip(chunks[start : start + BATCH_SIZE], rows, strict=True)
            ]
            self._upsert(points)

    def delete(self, document_id: str, *, keep_revision: str | None = None) -> None:
        """Remove the chunks of a document, see `ChunkIndex`."""
        keep: list[models.Condition] = []
        if keep_revision is not None:
            keep.append(_equals("revision", keep_revision))
        doomed = models.Filter(must=[_equals("document_id", document_id)], must_not=keep)
        _answer(lambda: self._client.delete(self._collection, doomed, wait=True))

    def rank_dense(
        self, vector: Matrix, limit: int, *, within: Collection[str] | None = None
    ) -> Ranking:
        """Search by similarity, see `ChunkIndex`."""
        return self._query(vector.tolist(), VECTOR, limit, within)

    def rank_lexical(
        self, query: str, limit: int, *, within: Collection[str] | None = None
    ) -> Ranking:
        """Search by words, see `ChunkIndex`."""
        return self._query(models.TextQuery(text=query), PASSAGE, limit, within)

    def fetch(self, chunk_ids: Iterable[str]) -> dict[str, Chunk]:
        """Return chunks by id, see `ChunkIndex`."""
        ids = list(chunk_ids)
        records = _answer(lambda: self._client.retrieve(self._collection, ids, with_payload=True))
        return {str(r.id): from_payload(str(r.id), r.payload or {}) for r in records}

    def count(self, document_id: str | None = None, revision: str | None = None) -> int:
        """Count chunks, see `ChunkIndex`."""
        wanted = {"document_id": document_id, "revision": revision}
        conditions: list[models.Condition] = [
            _equals(key, value) for key, value in wanted.items() if value is not None
        ]
        counted = models.Filter(must=conditions)
        return _answer(
            lambda: self._client.count(self._collection, count_filter=counted, exact=True)
        ).count

    def compact(self) -> None:
        """Leave it to the server, whose own optimiser drops deleted points."""

    def _upsert(self, points: list[models.PointStruct]) -> None:
        _answer(lambda: self._client.upsert(self._collection, points, wait=True))

    def _query(self, query: Any, using: str, limit: int, within: Collection[str] | None) -> Ranking:
        only = None
        if within is not None:
            only = models.Filter(must=[models.HasIdCondition(has_id=sorted(within))])
        points = _answer(
            lambda: self._client.query_points(
                self._collection,
                query=query,
                using=using,
                query_filter=only,
                limit=limit,
                with_payload=False,
            )
        ).points
        return make_ranking((str(point.id), point.score) for point in points)


def connect(url: str, api_key: str | None) -> QdrantClient:
    """Connect to a server.

    Raises:
        IndexUnavailableError: it does not answer, or is older than 1.20 and has no BM25 index.
    """
    client = QdrantClient(url=url, api_key=api_key, check_compatibility=False)
    version = _answer(client.info).version
    if tuple(int(part) for part in version.split(".")[:2]) < MINIMUM_VERSION:
        raise IndexUnavailableError(
            f"Qdrant at {url} is version {version}; 1.20 or newer is needed for its BM25 index."
        )
    return client


def _answer(call: Callable[[], Answer]) -> Answer:
    try:
        return call()
    except (ApiException, QdrantException, OSError) as error:
        raise IndexUnavailableError(
            f"Qdrant did not answer: {error}. Check RETRIEVAL_QDRANT_URL and that it runs."
        ) from error


def _equals(key: str, value: str) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def _text_index(language: str) -> models.TextIndexParams:
    params = models.TextIndexParams(
        type=models.TextIndexType.TEXT,
        tokenizer=models.TokenizerType.WORD,
        lowercase=True,
        ascii_folding=True,
        scoring=True,
    )
    if language != "none":
        params.stemmer = models.SnowballParams(
            type=models.Snowball.SNOWBALL, language=models.SnowballLanguage(language)
        )
        params.stopwords = models.StopwordsSet(languages=[models.Language(language)])
    return params
