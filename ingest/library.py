"""The library: what can be done with documents. The HTTP routes call this and nothing below it."""

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ingest.documents import (
    LAST_TURNS,
    RESERVED_PREFIX,
    Collection,
    Document,
    Reindexing,
    Status,
    check_collection_name,
    make_document_id,
)
from ingest.errors import (
    CollectionNotFoundError,
    DocumentNotFoundError,
    InvalidRequestError,
    LanguageMismatchError,
    QueueFullError,
    UnreadableFileError,
)
from ingest.files import PARSER_VERSION, Received, Receiving
from ingest.jobs import Jobs
from ingest.parsers.media_types import detect_media_type
from ingest.pipeline import Pipeline
from ingest.texts import CanonicalText
from retrieval.attributes import to_attributes
from retrieval.embedding import Embedder
from retrieval.index import ChunkIndex
from retrieval.languages import Language

# NUL, and lone halves of a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
MAX_NAME_CHARACTERS = 500
MAX_KEY_CHARACTERS = 128
MAX_METADATA_VALUES = 256
BEING_DELETED: Mapping[str, Any] = {
    "status": Status.FAILED,
    "error_code": "deleting",
    "error_reason": "It is being deleted; what is left of it goes at the next start.",
}
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to add.

    Attributes:
        filename: as the user calls it; decides between kinds of text, never between kinds of file.
        content: the bytes in pieces, or what has received them, see `Library.begin`.
        collection: where to.
        external_id: the user's own id; None takes the file name.
        metadata: kept and returned with the document; None keeps what it has.
        password: opens an encrypted PDF.
        language: of the collection, which gets it when this is its first file; None: whatever it
            has, or the default.
    """

    filename: str
    content: Iterable[bytes] | Receiving
    collection: str
    external_id: str | None
    metadata: Mapping[str, Any] | None
    password: str | None = field(default=None, repr=False)
    language: Language | None = None

    @property
    def name(self) -> str:
        """What tells the document from the others of its collection."""
        return self.external_id or self.filename


@dataclass(frozen=True, slots=True)
class OpenIndex:
    """The index of a collection, and what its vectors and words were made with."""

    index: ChunkIndex
    embedder: Embedder
    language: str


@dataclass(frozen=True, slots=True)
class CollectionState:
    """A collection as its users see it.

    Attributes:
        collection: with its documents counted.
        num_chunks: chunks that answer now.
        outdated: which of `embedder` and `chunker` are not those of the settings.
        reindexing: the one under way, or the last one if it failed.
    """

    collection: Collection
    num_chunks: int
    outdated: list[str]
    reindexing: Reindexing | None


class Library:
    """Documents of all collections."""

    def __init__(
        self, pipeline: Pipeline, jobs: Jobs, max_upload_bytes: int, max_queued: int
    ) -> None:
        self._pipeline = pipeline
        self._catalog = pipeline.catalog
        self._jobs = jobs
        self._max_upload_bytes = max_upload_bytes
        self._max_queued = max_queued

    def begin(self) -> Receiving:
        """Make room for the bytes of an upload that is still coming in."""
        return self._pipeline.files.begin(self._max_upload_bytes)

    def add(self, upload: Upload) -> tuple[Document, bool]:
        """Accept a file; return its document and whether there is anything to do.

        The same bytes again change only the metadata, unless the last attempt failed: then it is
        repeated; or they come under another file name: then they are ingested anew.

        Raises:
            InvalidRequestError: a malformed name, or metadata that filters cannot hold.
            LanguageMismatchError: the collection is in another language.
            EmptyUploadError, UploadTooLargeError, UnsupportedTypeError: not a file we take.
            CollectionMismatchError: the embedder of the collection is not to be had any more.
            QueueFullError, DiskFullError: there is no room for another.
            CatalogUnavailableError: the queue is locked.
        """
        _check_names(upload)
        _check_metadata(upload.metadata or {})
        self.check_room()
        self._check_collection(upload.collection, upload.language)
        content = upload.content
        receiving = content if isinstance(content, Receiving) else self.begin()
        with closing(receiving):
            if not isinstance(content, Receiving):
                for piece in content:
                    receiving.write(piece)
            received = receiving.finish()
            with received.path.open("rb") as file:
                media_type = detect_media_type(file, upload.filename)
            with self._pipeline.change:
                return self._accept(upload, received, media_type)

    def check_room(self) -> None:
        """Make sure that there is room for another document, in the queue and on the disk.

        Raises:
            QueueFullError: too many are waiting.
            DiskFullError: there is next to no room on the disk.
            CatalogUnavailableError: the queue is locked.
        """
        self._pipeline.check_disk()
        self._jobs.check()
        if (waiting := self._catalog.count_queued()) >= self._max_queued:
            raise QueueFullError(
                f"{waiting:,} documents are waiting to be ingested, and no more are taken. Upload "
                "this again in a while, or raise INGEST_MAX_QUEUED."
            )

    def count_documents(self) -> dict[str, int]:
        """Return how many documents are in each state, those without any among them."""
        return self._catalog.count_documents()

    def count_documents_of(self, collection: str, changed_since: datetime | None = None) -> int:
        """Return how many documents a collection has, in whatever state.

        Args:
            collection: which.
            changed_since: only those that came, or of which anything was changed, after this time.
        """
        return self._catalog.count_documents_of(collection, changed_since)

    def filenames(self, document_ids: Iterable[str]) -> dict[str, str]:
        """Return the names of documents by id; one that is not there is left out."""
        return self._catalog.filenames(document_ids)

    def get(self, document_id: str) -> Document:
        """Return a document.

        Raises:
            DocumentNotFoundError: there is none of this id.
        """
        document = self._catalog.get(document_id)
        if document is None:
            raise DocumentNotFoundError.of(document_id)
        return document

    def is_answering(self, document_id: str, revision: str) -> bool:
        """Tell whether a revision of a document is the one that is found now."""
        document = self._catalog.get(document_id)
        if document is None or document.error_code == BEING_DELETED["error_code"]:
            return False
        return document.searchable_revision == revision

    def forget_late_vectors(self, revisions: Iterable[tuple[str, str]]) -> None:
        """Empty the cache of vectors if a revision that something was embedded of answers no more.

        A deletion empties it before what was found earlier is embedded.

        Args:
            revisions: ids of documents with their revisions.
        """
        if not all(self.is_answering(*one) for one in revisions):
            self._pipeline.forget_vectors()

    def list_documents(
        self,
        collection: str | None,
        statuses: Iterable[Status] | None,
        after: str | None,
        limit: int,
        allowed: Iterable[str] | None = None,
    ) -> list[Document]:
        """Return documents in order of their ids, see `Catalog.list_documents`.

        Raises:
            InvalidRequestError: no collection can have this name.
        """
        if collection is not None:
            check_collection_name(collection)
        return self._catalog.list_documents(collection, statuses, after, limit, allowed)

    def collections(self) -> list[CollectionState]:
        """Return the collections that hold documents."""
        reindexings = {one.target.name: one for one in self._catalog.list_reindexings()}
        return [
            CollectionState(
                collection,
                # Asked of the catalog, so that no index is opened.
                self._catalog.count_chunks(collection.name),
                self._pipeline.recipes.outdated(collection),
                reindexings.get(collection.name),
            )
            for collection in self._catalog.list_collections()
        ]

    def collection(self, name: str) -> Collection:
        """Return a collection with what its chunks were made with.

        Raises:
            CollectionNotFoundError: no document was ever uploaded to it.
        """
        collection = self._catalog.get_collection(name)
        if collection is None:
            raise CollectionNotFoundError(
                f"There is no collection {name!r}. Upload a document to it first."
            )
        return collection

    def reindex(
        self, name: str, *, language: Language | None = None, force: bool = False
    ) -> tuple[CollectionState, bool]:
        """Make a collection anew with the settings of today, if it was made with others.

        Args:
            name: of the collection.
            language: that it gets; None: it keeps its own.
            force: also if nothing is outdated and the language stays.

        Returns:
            The collection, and whether it is being reindexed.

        Raises:
            CollectionNotFoundError: no document was ever uploaded to it.
            LanguageMismatchError: it is being reindexed in another language.
            CatalogUnavailableError: the queue is locked.
        """
        self._jobs.check()
        with self._pipeline.change:
            collection = self.collection(name)
            reindexing = self._catalog.get_reindexing(name)
            is_open = reindexing is not None and reindexing.status.is_open
            if reindexing is not None and is_open:
                _check_target(reindexing, language)
            elif (
                force
                or language not in {None, collection.analyzer}
                or self._pipeline.recipes.outdated(collection)
            ):
                self._jobs.submit_reindexing(collection, language or collection.analyzer)
                is_open = True
        return next(one for one in self.collections() if one.collection.name == name), is_open

    def retry(self, document_id: str) -> Document:
        """Queue a document again that failed, or that is read only in part; others are left.

        One that is read in part goes on answering; its text is made anew, for all documents with
        the same bytes. Where that fails, all stays as it was.

        Raises:
            DocumentNotFoundError: there is none of this id.
            CatalogUnavailableError: the queue is locked.
        """
        self._jobs.check()
        with self._pipeline.change:
            document = self.get(document_id)
            if document.status is Status.FAILED:
                self._check_collection(document.collection)
                return self._jobs.submit(replace(document, attempt=document.attempt + 1))
            if document.status is Status.PARTIAL:
                self._check_collection(document.collection)
                self._read_anew(document)
            return self.get(document_id)

    def delete(self, document_id: str) -> None:
        """Remove a document; when this returns, nothing of it answers or is on disk.

        Raises:
            DocumentNotFoundError: there is none of this id.
            CatalogUnavailableError: the queue is locked.
        """
        self._jobs.check()
        with self._pipeline.change:
            document = self.get(document_id)
            # First: what is broken off after this is deleted at the next start.
            self._catalog.update(document_id, document.revision, **BEING_DELETED)
            self._jobs.forget(document)
            for index in self._pipeline.find_indexes(document.collection):
                index.delete(document_id)
            self._pipeline.discard_work(document_id, document.revision)
            for revision in {document.revision, document.searchable_revision} - {None}:
                self._pipeline.forget_revision(str(revision), by=document_id)
            self._pipeline.forget_vectors()
            is_last = not self._catalog.has_other_documents(document.collection, document_id)
            if is_last:
                self._pipeline.drop_collection(document.collection, document_id)
            else:
                # Last: what was broken off before this can be deleted again.
                self._catalog.delete(document_id)
        if not is_last:
            self._pipeline.compact(document.collection)

    def list_doomed(self) -> list[Document]:
        """Return the documents whose deletion was broken off."""
        return self._catalog.list_failed(BEING_DELETED["error_code"])

    def add_missing_attributes(self) -> None:
        """Let filters find what was ingested before there were filters; nothing is embedded."""
        for collection in self._catalog.list_collections():
            if collection.is_filterable:
                continue
            logger.info("adding attributes", extra={"collection": collection.name})
            indexes = self._pipeline.find_indexes(collection.name)
            for document in self._catalog.iterate_documents(collection.name):
                if document.searchable_revision is not None:
                    for index in indexes:
                        index.set_attributes(document.id, document.attributes)
            self._catalog.mark_filterable(collection.name)
            self._pipeline.compact(collection.name)

    @contextmanager
    def open_index(self, name: str) -> Iterator[OpenIndex]:
        """Open the index of a collection to search in; it stays there as long as the context lasts.

        Raises:
            CollectionNotFoundError: no document was ever uploaded to it.
            CollectionMismatchError: its embedder is not to be had any more.
        """
        with self._pipeline.readers.reading():
            collection = self.collection(name)
            recipe = self._pipeline.recipes.of(collection)
            index = self._pipeline.open_index(collection)
            yield OpenIndex(index, recipe.embedder, recipe.language)

    def content(self, document: Document) -> Path:
        """Return the file with a document's original bytes.

        Raises:
            DocumentNotFoundError: it is being deleted or replaced.
        """
        path = self._pipeline.files.path(document.searchable_revision or document.revision)
        if not path.exists():
            raise DocumentNotFoundError(
                f"The file of document {document.id!r} is being replaced or deleted; ask again."
            )
        return path

    def text(self, document: Document) -> CanonicalText:
        """Return the canonical text that answers now.

        Raises:
            UnreadableFileError: the file could not be read.
            DocumentNotFoundError: it was not parsed yet.
        """
        revision = document.searchable_revision or document.revision
        text = self.revision_text(document.id, revision)
        if text is not None:
            return text
        if document.status is Status.FAILED:
            raise UnreadableFileError(str(document.error_code), str(document.error_reason))
        raise DocumentNotFoundError(f"Document {document.id!r} has no text yet; see its status.")

    def revision_text(self, document_id: str, revision: str) -> CanonicalText | None:
        """Return the canonical text that the chunks of a revision were cut from, if there is one.

        What another version of the parser made has other offsets.
        """
        document = self._catalog.get(document_id)
        parser = PARSER_VERSION
        if document is not None and document.searchable_revision == revision:
            parser = document.searchable_parser
        if document is None or document.revision != revision:
            # Of an older one nobody knows the type, which may be why there is no version.
            return self._pipeline.texts.load(revision, parser=parser or PARSER_VERSION)
        return self._pipeline.texts.load(revision, document.media_type, parser)

    def _accept(self, upload: Upload, received: Received, media_type: str) -> tuple[Document, bool]:
        document_id = make_document_id(upload.collection, upload.name)
        known = self._catalog.get(document_id)
        text = received.revision, media_type
        is_same_text = known is not None and (known.revision, known.media_type) == text
        is_unlocked = is_same_text and upload.password is not None
        is_read_anew = False
        if known and is_unlocked and known.status is Status.PARTIAL:
            self._read_anew(known, upload.password)
            known, is_read_anew = self.get(document_id), True
        is_same = known and is_same_text and known.filename == upload.filename
        if known and is_same and not self._needs_work(known):
            return self._set_metadata(known, upload.metadata), is_read_anew
        if self._check_collection(upload.collection, upload.language) is None:
            recipe = self._pipeline.recipes.in_language(upload.language)
            self._catalog.add_collection(recipe.describe(upload.collection, upload.collection))
        self._pipeline.files.keep(received)
        document, turn = _first(document_id, upload, received, media_type), None
        if known:
            document = _taking_over(document, known, upload)
            # Or what is replaced again and again would never come to its turn.
            is_waiting = known.status is Status.QUEUED and known.turn < LAST_TURNS
            turn = known.turn if is_waiting else None
        queued = self._jobs.submit(document, turn)
        if known and known.revision != known.searchable_revision:
            self._pipeline.forget_revision(known.revision)
        return queued, True

    def _read_anew(self, document: Document, password: str | None = None) -> None:
        """Queue all documents that share the text of one, to make it anew; it is kept till then."""
        sharing = self._catalog.list_reading(document.revision, document.media_type)
        self._pipeline.texts.set_aside(document.revision, document.media_type)
        for one in sharing:
            again = replace(one, attempt=one.attempt + 1, searchable_parser=0, password=password)
            self._jobs.submit(again)

    def _set_metadata(self, document: Document, metadata: Mapping[str, Any] | None) -> Document:
        """Change metadata in index and catalog; nothing is embedded anew."""
        if metadata is None or _to_json(metadata) == _to_json(document.metadata):
            return document
        changed = replace(document, metadata=metadata)
        if document.searchable_revision is not None:
            for index in self._pipeline.find_indexes(document.collection):
                index.set_attributes(document.id, changed.attributes)
        # Last: what was broken off before this is done again when the upload is repeated.
        self._catalog.update(document.id, document.revision, metadata=metadata)
        self._catalog.erase_log()
        return self.get(document.id)

    def _needs_work(self, document: Document) -> bool:
        """Whether the same bytes again should be ingested: they failed, or their text was lost."""
        if document.status is Status.FAILED:
            return True
        is_whole = self._pipeline.texts.has(document.revision, document.media_type)
        return document.status.is_searchable and not is_whole

    def _check_collection(self, name: str, language: str | None = None) -> Collection | None:
        """Return a collection if there is one, and make sure that it can be filled."""
        collection = self._catalog.get_collection(name)
        if collection is not None:
            self._pipeline.recipes.of(collection)
            if language not in {None, collection.analyzer}:
                raise LanguageMismatchError(
                    f"The language of collection {name!r} is {collection.analyzer}, not {language}."
                    " Name no language, another collection, or change this one with `suffice "
                    f"reindex {name} --language {language}`."
                )
        return collection


def _check_target(reindexing: Reindexing, language: str | None) -> None:
    """Make sure that a reindexing under way is the one that is asked for."""
    target = reindexing.target
    if language not in {None, target.analyzer}:
        raise LanguageMismatchError(
            f"Collection {target.name!r} is just being reindexed in {target.analyzer}. Ask for "
            f"{language} again when that is done."
        )


def _first(document_id: str, upload: Upload, received: Received, media_type: str) -> Document:
    """Return the document of an upload of which nothing was known."""
    now = datetime.now(UTC)
    return Document(
        id=document_id,
        collection=upload.collection,
        external_id=upload.name,
        filename=upload.filename,
        media_type=media_type,
        revision=received.revision,
        num_bytes=received.num_bytes,
        status=Status.QUEUED,
        searchable_revision=None,
        num_pages=None,
        num_chunks=None,
        num_embedded=0,
        error_code=None,
        error_reason=None,
        metadata=upload.metadata or {},
        attempt=1,
        created_at=now,
        updated_at=now,
        password=upload.password,
    )


def _taking_over(document: Document, known: Document, upload: Upload) -> Document:
    """Return a document with what it has of the one that it replaces."""
    is_same_kind = document.media_type == known.media_type
    return replace(
        document,
        searchable_revision=known.searchable_revision,
        metadata=known.metadata if upload.metadata is None else upload.metadata,
        attempt=known.attempt + 1,
        created_at=known.created_at,
        searchable_chunks=known.searchable_chunks,
        # 0: what answers was cut from the text of another kind, which is gone.
        searchable_parser=known.searchable_parser if is_same_kind else 0,
    )


def _to_json(metadata: Mapping[str, Any]) -> str:
    # Python takes True, 1 and 1.0 for equal.
    return json.dumps(metadata, sort_keys=True)


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    """Bound what every chunk carries."""
    for key in metadata:
        if not key or len(key) > MAX_KEY_CHARACTERS or key.startswith(RESERVED_PREFIX):
            raise InvalidRequestError(
                f"{key[:80]!r} is no key of metadata: use 1 to {MAX_KEY_CHARACTERS} characters, "
                f"not beginning with {RESERVED_PREFIX!r}, by which filters name what we know of "
                "the document."
            )
    number = sum(len(values) for values in to_attributes(metadata).values())
    if number > MAX_METADATA_VALUES:
        raise InvalidRequestError(
            f"The metadata has {number:,} values, the limit is {MAX_METADATA_VALUES}: each chunk "
            "carries them for filters. Put what you do not filter by into an object."
        )


def _check_names(upload: Upload) -> None:
    check_collection_name(upload.collection)
    for name in (upload.filename, upload.name):
        if (
            not name.strip()
            or len(name) > MAX_NAME_CHARACTERS
            or _UNSTORABLE.search(name) is not None
        ):
            raise InvalidRequestError(
                f"File name and external_id need 1 to {MAX_NAME_CHARACTERS} characters, "
                "all of them valid Unicode."
            )
