"""The index on a Qdrant server, 1.20 or newer: one Qdrant collection per index."""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any

import numpy as np
from qdrant_client import QdrantClient, models

from retrieval.analyzer import FINGERPRINT, Analyzer, get_analyzer
from retrieval.attributes import Attributes, Kind
from retrieval.checksums import is_undamaged, with_checksum
from retrieval.chunk_ids import to_chunk_id, to_point_id
from retrieval.chunks import Chunk
from retrieval.embedding import Matrix
from retrieval.errors import ForeignIndexError, IndexUnavailableError
from retrieval.filters import Compound, Filter
from retrieval.index import (
    BATCH_SIZE,
    MAX_KEYS,
    NO_ATTRIBUTES,
    ChunkIndex,
    Ranking,
    ShouldStop,
    make_ranking,
    never,
    rank_best,
)
from retrieval.migration import Point
from retrieval.payload import (
    ATTRIBUTES,
    KEYS,
    PASSAGE,
    TITLE,
    TOKENS,
    VALUES,
    VECTOR,
    attribute_fields,
    attributes_payload,
    from_payload,
    order_field,
    query_text,
    read_keys,
    searched_tokens,
    to_payload,
    token,
)
from retrieval.qdrant_connection import answer, connect
from retrieval.settings import Quantization, RetrievalSettings

logger = logging.getLogger(__name__)


# Twice as many candidates by compressed vectors as are then compared by the whole ones.
OVERSAMPLING = 2.0


@dataclass(frozen=True, slots=True)
class Layout:
    """How collections that are made from now on lie on the server; None leaves it to the server.

    Attributes:
        quantization: `scalar` keeps vectors compressed to a byte a number beside the whole ones,
            which the scores are computed from.
        on_disk: whether whole vectors are read from disk, not kept in memory.
        shards: parts of a collection.
        replicas: copies of each part.
        write_consistency: copies that must have taken a write before it counts.
    """

    quantization: Quantization = "none"
    on_disk: bool = False
    shards: int | None = None
    replicas: int | None = None
    write_consistency: int | None = None

    @classmethod
    def of(cls, settings: RetrievalSettings) -> "Layout":
        """Return what the settings say."""
        return cls(
            quantization=settings.qdrant_quantization,
            on_disk=settings.qdrant_on_disk,
            shards=settings.qdrant_shards,
            replicas=settings.qdrant_replicas,
            write_consistency=settings.qdrant_write_consistency,
        )

    def arguments(self, dimension: int) -> dict[str, Any]:
        """Return the arguments that create a collection."""
        quantization = None
        if self.quantization == "scalar":
            scalar = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
            quantization = models.ScalarQuantization(scalar=scalar)
        vectors = models.VectorParams(
            size=dimension, distance=models.Distance.DOT, on_disk=self.on_disk
        )
        return {
            "vectors_config": {VECTOR: vectors},
            "quantization_config": quantization,
            "shard_number": self.shards,
            "replication_factor": self.replicas,
            "write_consistency_factor": self.write_consistency,
        }

    @property
    def search_params(self) -> models.SearchParams | None:
        """What makes scores exact in spite of the quantization."""
        if self.quantization == "none":
            return None
        rescoring = models.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING)
        return models.SearchParams(quantization=rescoring)


class QdrantStore:
    """Indexes on a Qdrant server, which services may share.

    The metadata of each collection names its owner. One that has none was made before there were
    owners, and is taken over.
    """

    is_shared = True

    def __init__(
        self,
        client: QdrantClient,
        dimension: int = 0,
        language: str = "none",
        layout: Layout | None = None,
        *,
        owner: str,
        prefix: str = "",
    ) -> None:
        """Set up.

        Args:
            client: of the server.
            dimension: of the vectors of new indexes, for `open`.
            language: of the texts of new indexes, for `open`.
            layout: of new indexes.
            owner: whose indexes these are; an id.
            prefix: what their names begin with on the server.
        """
        self._client = client
        self._dimension = dimension
        self._language = language
        self._layout = layout or Layout()
        self._owner = owner
        self._prefix = prefix
        self._indexes: dict[str, QdrantIndex] = {}
        self._lock = Lock()

    def open(
        self, name: str, *, dimension: int | None = None, language: str | None = None
    ) -> "QdrantIndex":
        """Return an index, see `IndexStore`."""
        with self._lock:
            if name not in self._indexes:
                self._indexes[name] = self._prepare(
                    self._prefix + name, dimension or self._dimension, language or self._language
                )
            return self._indexes[name]

    def find(self, name: str) -> ChunkIndex | None:
        """Return an index if there is one, see `IndexStore`."""
        return self.open(name) if self._exists(self._prefix + name) else None

    def names(self) -> set[str]:
        """Return the names of all collections but those of others, see `IndexStore`."""
        found = {one.name for one in answer(self._client.get_collections).collections}
        return {
            name.removeprefix(self._prefix)
            for name in found
            if name.startswith(self._prefix) and self._is_ours(self._metadata(name))
        }

    def drop(self, name: str) -> None:
        """Remove an index, see `IndexStore`."""
        with self._lock:
            self._indexes.pop(name, None)
            collection = self._prefix + name
            if self._exists(collection) and self._is_ours(self._metadata(collection)):
                answer(lambda: self._client.delete_collection(collection))

    def release(self, name: str) -> None:
        """Do nothing, see `IndexStore`: the files are the server's."""

    def to_compact(self) -> set[str]:
        """Return none, see `IndexStore`: the server compacts by itself."""
        return set()

    def check(self) -> None:
        """Make sure that the server answers, see `IndexStore`."""
        answer(self._client.info, pauses=())

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _prepare(self, collection: str, dimension: int, language: str) -> "QdrantIndex":
        """Create what is missing of a collection; a process may have died in the middle of it."""
        if not self._exists(collection):
            self._create(collection, dimension, language)
        info = answer(lambda: self._client.get_collection(collection))
        made = info.config.metadata or {}
        self._claim(collection, made)
        # Filter fields are indexed before the first point: a graph built earlier ignores them.
        schemas: dict[str, Any] = {
            "document_id": models.PayloadSchemaType.KEYWORD,
            "revision": models.PayloadSchemaType.KEYWORD,
            KEYS: models.PayloadSchemaType.KEYWORD,
            VALUES: models.PayloadSchemaType.KEYWORD,
            TOKENS: _text_index(),
        }
        fields = set(info.payload_schema)
        for field in schemas.keys() - fields:
            _create_payload_index(self._client, collection, field, schemas[field])
        language = made.get("language", language)
        analyzer = get_analyzer(language)
        if made.get("analyzer") != FINGERPRINT:
            self._analyse(collection, analyzer)
            self._note(collection, {"language": language, "analyzer": FINGERPRINT})
        search_params = self._layout.search_params
        return QdrantIndex(
            self._client, collection, analyzer, fields | schemas.keys(), search_params
        )

    def _create(self, collection: str, dimension: int, language: str) -> None:
        arguments = self._layout.arguments(dimension)
        new = {"language": language, "analyzer": FINGERPRINT, "owner": self._owner}
        try:
            answer(lambda: self._client.create_collection(collection, metadata=new, **arguments))
        except IndexUnavailableError:
            # Another process made it, or the first of our tries did, whose answer was lost.
            if not self._exists(collection):
                raise

    def _claim(self, collection: str, metadata: Mapping[str, Any]) -> None:
        """Take a collection over that is nobody's; refuse another's."""
        if not self._is_ours(metadata):
            raise ForeignIndexError(
                f"The collection {collection!r} on the Qdrant server belongs to another Suffice "
                "service. Set RETRIEVAL_QDRANT_PREFIX to a text of your own, use another server, "
                "or delete the collection there if that service is gone."
            )
        if "owner" not in metadata:
            self._note(collection, {"owner": self._owner})

    def _exists(self, collection: str) -> bool:
        return answer(lambda: self._client.collection_exists(collection))

    def _metadata(self, collection: str) -> Mapping[str, Any]:
        info = answer(lambda: self._client.get_collection(collection))
        return info.config.metadata or {}

    def _note(self, collection: str, metadata: dict[str, Any]) -> None:
        """Write metadata; what else it says of a collection stays."""
        answer(lambda: self._client.update_collection(collection, metadata=metadata))

    def _is_ours(self, metadata: Mapping[str, Any]) -> bool:
        return bool(metadata.get("owner", self._owner) == self._owner)

    def _analyse(self, collection: str, analyzer: Analyzer) -> None:
        """Bring the tokens of all chunks up to date; where this ends early, it is done again."""
        logger.info("analysing anew", extra={"collection": collection})
        for records in _scroll(self._client, collection, TITLE, PASSAGE):
            changes = [_set_tokens(record, analyzer) for record in records]
            answer(partial(self._client.batch_update_points, collection, changes, wait=True))
        # What version 0.1 first searched.
        answer(lambda: self._client.delete_payload_index(collection, PASSAGE, wait=True))


def open_store(settings: RetrievalSettings, owner: str) -> QdrantStore:
    """Connect to the server that the settings name.

    Args:
        settings: of retrieval.
        owner: whose indexes are meant, see `QdrantStore`.

    Raises:
        IndexUnavailableError: the server does not answer, or is too old.
    """
    layout = Layout.of(settings)
    return QdrantStore(
        connect(settings), layout=layout, owner=owner, prefix=settings.qdrant_prefix or ""
    )


class QdrantIndex:
    """One collection on the server."""

    is_remote = True

    def __init__(
        self,
        client: QdrantClient,
        collection: str,
        analyzer: Analyzer,
        fields: set[str],
        search_params: models.SearchParams | None,
    ) -> None:
        """Use a collection.

        Args:
            client: connected to the server.
            collection: its name.
            analyzer: what its tokens were made with.
            fields: the indexed ones; those that are indexed later are added.
            search_params: of searches by vector.
        """
        self._client = client
        self._collection = collection
        self.analyzer = analyzer
        self._fields = fields
        self._search_params = search_params

    def upsert(
        self, chunks: Sequence[Chunk], vectors: Matrix, attributes: Attributes = NO_ATTRIBUTES
    ) -> None:
        """Add chunks, see `ChunkIndex`."""
        self.index_fields(attribute_fields(attributes))
        more = attributes_payload(attributes)
        for start in range(0, len(chunks), BATCH_SIZE):
            rows = vectors[start : start + BATCH_SIZE]
            points = [
                models.PointStruct(
                    id=to_point_id(chunk.chunk_id),
                    vector={VECTOR: row.tolist()},
                    payload=with_checksum(to_payload(chunk, self.analyzer), row) | more,
                )
                for chunk, row in zip(chunks[start : start + BATCH_SIZE], rows, strict=True)
            ]
            self._upsert(points)

    def set_attributes(self, document_id: str, attributes: Attributes) -> None:
        """Replace what filters see of a document, see `ChunkIndex`."""
        self.index_fields(attribute_fields(attributes))
        payload = attributes_payload(attributes)
        meant = models.Filter(must=[_equals("document_id", document_id)])
        answer(lambda: self._client.set_payload(self._collection, payload, meant, wait=True))

    def attribute_kinds(self) -> Mapping[str, Collection[Kind]]:
        """Return the keys that filters know, see `ChunkIndex`."""
        hits = answer(lambda: self._client.facet(self._collection, KEYS, limit=MAX_KEYS)).hits
        return read_keys(str(hit.value) for hit in hits)

    def delete(self, document_id: str, *, keep_revision: str | None = None) -> None:
        """Remove the chunks of a document, see `ChunkIndex`."""
        keep: list[models.Condition] = []
        if keep_revision is not None:
            keep.append(_equals("revision", keep_revision))
        doomed = models.Filter(must=[_equals("document_id", document_id)], must_not=keep)
        answer(lambda: self._client.delete(self._collection, doomed, wait=True))

    def rank_dense(
        self,
        vector: Matrix,
        limit: int,
        *,
        also: Collection[str] = (),
        where: Filter | None = None,
    ) -> Ranking:
        """Search by similarity, see `ChunkIndex`."""
        nearest = models.QueryRequest(
            query=vector.tolist(),
            using=VECTOR,
            limit=limit,
            filter=None if where is None else _to_filter(where),
            params=self._search_params,
        )
        scored = []
        if also:
            these = models.HasIdCondition(has_id=list(map(to_point_id, also)))
            change = {"limit": len(also), "filter": models.Filter(must=[these])}
            scored = [nearest.model_copy(update=change)]
        best, *others = rank_best(
            lambda num: self._rank(nearest.model_copy(update={"limit": num}), *scored), limit
        )
        return best | others[0] if also else best

    def rank_lexical(self, query: str, limit: int, *, where: Filter | None = None) -> Ranking:
        """Search by words, see `ChunkIndex`."""
        words = models.TextQuery(text=query_text(query, self.analyzer))
        only = None if where is None else _to_filter(where)
        request = models.QueryRequest(query=words, using=TOKENS, limit=limit, filter=only)
        [ranking] = rank_best(
            lambda num: self._rank(request.model_copy(update={"limit": num})), limit
        )
        return ranking

    def fetch(self, chunk_ids: Iterable[str]) -> dict[str, Chunk]:
        """Return chunks by id, see `ChunkIndex`."""
        ids = [to_point_id(one) for one in chunk_ids]
        shown = models.PayloadSelectorExclude(exclude=[TOKENS])
        records = answer(lambda: self._client.retrieve(self._collection, ids, with_payload=shown))
        chunks = (from_payload(to_chunk_id(record.id), record.payload or {}) for record in records)
        return {chunk.chunk_id: chunk for chunk in chunks}

    def count(
        self,
        document_id: str | None = None,
        revision: str | None = None,
        *,
        where: Filter | None = None,
    ) -> int:
        """Count chunks, see `ChunkIndex`."""
        wanted = {"document_id": document_id, "revision": revision}
        conditions: list[models.Condition] = [
            _equals(key, value) for key, value in wanted.items() if value is not None
        ]
        if where is not None:
            conditions.append(_to_filter(where))
        counted = models.Filter(must=conditions)
        return answer(
            lambda: self._client.count(self._collection, count_filter=counted, exact=True)
        ).count

    def contents(self) -> dict[tuple[str, str], int]:
        """Count chunks by document and revision, see `ChunkIndex`."""
        pages = _scroll(self._client, self._collection, "document_id", "revision")
        payloads = (record.payload or {} for records in pages for record in records)
        return dict(Counter((one["document_id"], one["revision"]) for one in payloads))

    def tokens(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the tokens of all chunks, see `ChunkIndex`."""
        for records in _scroll(self._client, self._collection, TOKENS):
            yield from ((to_chunk_id(r.id), (r.payload or {})[TOKENS].split()) for r in records)

    def vectors(self, chunk_ids: Iterable[str]) -> dict[str, Matrix]:
        """Return vectors by id, see `ChunkIndex`."""
        ids = [to_point_id(one) for one in chunk_ids]
        records = answer(
            lambda: self._client.retrieve(
                self._collection, ids, with_payload=True, with_vectors=True
            )
        )
        points = map(_to_point, records)
        return {point.id: point.vector for point in points if is_undamaged(point)}

    def points(self) -> Iterator[list[Point]]:
        """Yield all points, see `ChunkIndex`."""
        for records in _scroll(self._client, self._collection, with_vectors=True):
            yield [_to_point(record) for record in records]

    def indexed_fields(self) -> set[str]:
        """Return the payload fields that are indexed, see `retrieval.migration`."""
        return set(self._fields)

    def put(self, points: list[Point]) -> None:
        """Add points as another index gave them, see `retrieval.migration`."""
        self._upsert(
            [
                models.PointStruct(
                    id=to_point_id(point.id),
                    vector={VECTOR: point.vector.tolist()},
                    payload=point.payload,
                )
                for point in points
            ]
        )

    def index_fields(self, fields: set[str]) -> None:
        """Index the fields of attributes among some, see `retrieval.migration`."""
        wanted = {field for field in fields if field.startswith(f"{ATTRIBUTES}.")}
        for field in sorted(wanted - self._fields):
            # The others are there since the collection was opened.
            schema = models.PayloadSchemaType.FLOAT
            _create_payload_index(self._client, self._collection, field, schema)
            self._fields.add(field)

    def compact(self, should_stop: ShouldStop = never) -> None:
        """Leave it to the server, whose own optimiser drops deleted points."""

    def _upsert(self, points: list[models.PointStruct]) -> None:
        answer(lambda: self._client.upsert(self._collection, points, wait=True))

    def _rank(self, *requests: models.QueryRequest) -> list[Ranking]:
        responses = answer(lambda: self._client.query_batch_points(self._collection, requests))
        return [
            make_ranking(
                [to_chunk_id(point.id) for point in response.points],
                [point.score for point in response.points],
            )
            for response in responses
        ]


def _scroll(
    client: QdrantClient, collection: str, *fields: str, with_vectors: bool = False
) -> Iterator[list[models.Record]]:
    """Yield all points in batches, with some fields of their payload, or all if none is named."""
    offset: Any = None
    while True:
        page = partial(
            client.scroll,
            collection,
            limit=BATCH_SIZE,
            offset=offset,
            with_payload=list(fields) or True,
            with_vectors=with_vectors,
        )
        records, offset = answer(page)
        if records:
            yield records
        if offset is None:
            break


def _create_payload_index(client: QdrantClient, collection: str, field: str, schema: Any) -> None:
    answer(lambda: client.create_payload_index(collection, field, schema, wait=True))


def _to_point(record: models.Record) -> Point:
    return Point(to_chunk_id(record.id), _vector(record), record.payload or {})


def _vector(record: models.Record) -> Matrix:
    vectors: Any = record.vector
    return np.asarray(vectors[VECTOR], np.float32)


def _to_filter(where: Filter) -> models.Filter:
    if isinstance(where, Compound):
        parts: list[models.Condition] = [_to_filter(part) for part in where.filters]
        is_all = where.operator == "and"
        return models.Filter(must=parts) if is_all else models.Filter(should=parts)
    if where.is_order:
        kind, bound = where.bound
        order = models.Range(**{where.operator: bound})
        field = order_field(where.key, kind)
        return models.Filter(must=[models.FieldCondition(key=field, range=order)])
    tokens = [token(where.key, value) for value in where.values]
    equal = models.FieldCondition(key=VALUES, match=models.MatchAny(any=tokens))
    return models.Filter(must_not=[equal]) if where.is_negated else models.Filter(must=[equal])


def _equals(key: str, value: str) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def _set_tokens(record: models.Record, analyzer: Analyzer) -> models.SetPayloadOperation:
    tokens = searched_tokens(record.payload or {}, analyzer)
    change = models.SetPayload(payload={TOKENS: tokens}, points=[record.id])
    return models.SetPayloadOperation(set_payload=change)


def _text_index() -> models.TextIndexParams:
    return models.TextIndexParams(
        type=models.TextIndexType.TEXT,
        tokenizer=models.TokenizerType.WHITESPACE,
        lowercase=False,
        ascii_folding=False,
        scoring=True,
    )
