"""What the catalog knows of a document, a collection and a reindexing."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from ingest.errors import InvalidRequestError
from ingest.titles import make_title
from retrieval.attributes import Attributes, to_attributes

# Begins the keys under which filters find what the catalog knows of a document.
RESERVED_PREFIX = "document."
# Between the name of a collection and the number of its index.
GENERATION_MARK = "~"
_COLLECTION_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_NAMESPACE = uuid.UUID("5f0c8d0e-6a2b-5d43-9d0f-0f5a7c1e2b90")
# Turns from this one on come behind those of all uploads; priorities of DBOS end at twice as many.
LAST_TURNS = 1 << 30


class Status(StrEnum):
    """Where a document stands on its way to being searchable."""

    QUEUED = "queued"
    PARSING = "parsing"
    EMBEDDING = "embedding"
    SEARCHABLE = "searchable"
    PARTIAL = "partial"  # searchable, but some pages could not be read
    FAILED = "failed"

    @property
    def is_searchable(self) -> bool:
        """Whether the latest revision answers."""
        return self in {Status.SEARCHABLE, Status.PARTIAL}

    @property
    def is_final(self) -> bool:
        """Whether no job is under way or waiting."""
        return self.is_searchable or self is Status.FAILED


@dataclass(frozen=True, slots=True)
class Document:
    """One row of the catalog.

    Attributes:
        id: stable for (collection, external_id).
        revision: SHA-256 of the bytes uploaded last.
        searchable_revision: the revision that answers now; an older one while a new one is on its
            way or has failed.
        num_pages: pages of the revision, None for formats without pages.
        num_chunks: chunks of the revision, None until it is cut.
        num_embedded: chunks embedded so far.
        error_code: why the status is failed or partial, or why the job waits to be tried again.
        error_reason: the same in words.
        attempt: how often this document was queued; makes each job's id unique.
        num_retries: how often its job was tried again by itself since it was uploaded or retried.
        searchable_chunks: chunks of the revision that answers now.
        searchable_parser: version of the parser whose text the answering chunks were cut from.
        turn: place in the queue; see `Catalog.next_turn`.
        password: of an encrypted file; forgotten as soon as its job has ended.
    """

    id: str
    collection: str
    external_id: str
    filename: str
    media_type: str
    revision: str
    num_bytes: int
    status: Status
    searchable_revision: str | None
    num_pages: int | None
    num_chunks: int | None
    num_embedded: int
    error_code: str | None
    error_reason: str | None
    metadata: Mapping[str, Any]
    attempt: int
    created_at: datetime
    updated_at: datetime
    num_retries: int = 0
    searchable_chunks: int = 0
    searchable_parser: int = 0
    turn: int = 1
    password: str | None = field(default=None, repr=False)

    @property
    def job_id(self) -> str:
        """Id of the job that ingests this revision."""
        # The time tells a document from one that was deleted, whose job may not have ended yet.
        return f"{self.id}/{self.revision[:16]}/{self.created_at:%Y%m%d%H%M%S%f}-{self.attempt}"

    @property
    def title(self) -> str:
        """What users call it, see `make_title`."""
        return make_title(self.filename, self.external_id)

    @property
    def attributes(self) -> Attributes:
        """What filters see: the metadata, and what the catalog knows."""
        known = {
            "id": self.id,
            "external_id": self.external_id,
            "filename": self.filename,
            "media_type": self.media_type,
            # As calls show it, because `eq` compares text.
            "created_at": self.created_at.isoformat().replace("+00:00", "Z"),
        }
        reserved = {f"{RESERVED_PREFIX}{name}": value for name, value in known.items()}
        return to_attributes({**self.metadata, **reserved})


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection with the fingerprints its chunks were made with.

    Attributes:
        analyzer: language of the lexical index.
        is_filterable: whether all chunks carry the attributes of their documents.
        index_name: what its index is called in the index store.
    """

    name: str
    embedder: str
    embedder_fingerprint: str
    analyzer: str
    chunker_fingerprint: str
    index_name: str
    is_filterable: bool = True
    num_documents: int = 0

    @property
    def next_index_name(self) -> str:
        """Name of the index that takes the place of this one; no collection can be called so."""
        name, _, generation = self.index_name.partition(GENERATION_MARK)
        return f"{name}{GENERATION_MARK}{int(generation or 1) + 1}"


class ReindexingStatus(StrEnum):
    """Where a reindexing stands."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHING = "finishing"  # the new index answers, the old one is about to be removed
    FAILED = "failed"

    @property
    def is_open(self) -> bool:
        """Whether its job is waiting or under way."""
        return self is not ReindexingStatus.FAILED


@dataclass(frozen=True, slots=True)
class Reindexing:
    """A collection on its way to a new index.

    Attributes:
        target: what the collection will be; its `index_name` is that of the new index.
        spare_index: the index that does not answer: the new one while it is filled, then the old
            one until it is removed; None when there is none.
        started_at: when it was asked for; makes its job's id unique.
        error_reason: why it failed, in words.
        num_done: documents that are in the new index.
        num_chunks: their chunks.
    """

    target: Collection
    status: ReindexingStatus
    spare_index: str | None
    started_at: datetime
    error_reason: str | None = None
    num_done: int = 0
    num_chunks: int = 0

    @property
    def job_id(self) -> str:
        """Id of the job that does it."""
        return f"reindex/{self.target.name}/{self.started_at:%Y%m%d%H%M%S%f}"


def make_document_id(collection: str, external_id: str) -> str:
    """Return the id a document always has: UUIDv5 of collection and external id."""
    return str(uuid.uuid5(_NAMESPACE, f"{collection}\n{external_id}"))


def check_collection_name(name: str) -> None:
    """Make sure that a collection can have this name.

    Raises:
        InvalidRequestError: it cannot.
    """
    if not _COLLECTION_NAME.fullmatch(name):
        raise InvalidRequestError(
            f"{name[:80]!r} is no collection name: use 1 to 64 of a-z, 0-9, - and _, beginning "
            "with a letter or digit."
        )
