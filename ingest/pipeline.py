"""From stored bytes to searchable chunks: the steps of one job, each safe to repeat.

A step leaves its result on disk (text, vectors), so a job that was killed goes on where it was.
"""

import hashlib
import logging
import shutil
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path
from threading import Event, RLock
from typing import Any

import numpy as np

from ingest.ahead import computed_ahead
from ingest.catalog import Catalog
from ingest.documents import Collection, Document, Status
from ingest.errors import DiskFullError, IngestError
from ingest.faults import IncompleteIndexError
from ingest.files import PARSER_VERSION, FileStore, TextStore
from ingest.parsers.pool import ParserPool
from ingest.readers import Readers
from ingest.recipes import Recipe, Recipes
from ingest.texts import CanonicalText
from retrieval.chunks import Chunk
from retrieval.embedding import Matrix
from retrieval.index import ChunkIndex, IndexStore
from retrieval.vector_cache import VectorCache

# Chunks embedded between two looks at the catalog.
EMBED_SLICE = 128
# Of all documents together; also the most work lost in a crash. While the last batches of one are
# computed, the other one is tokenised and takes the cores that become free.
SLICES_AT_ONCE = 2
SWEEP_BATCH = 256
# Rewriting an index takes a second for a thousand chunks on one core.
COMPACT_AT_ONCE_CHUNKS = 2_000
READER_TIMEOUT_SECONDS = 10.0
# Chunker of a collection whose documents were cut in different ways.
MIXED = "mixed"
logger = logging.getLogger(__name__)


class SupersededError(IngestError):
    """The document was deleted or replaced while its job ran; there is nothing left to do."""


class ServiceStopping(BaseException):
    """The process is going down.

    DBOS records exceptions as a job's result but lets this through,
    so the job counts as interrupted and goes on at the next start.
    """


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may take: pages, seconds in the parser, languages of scanned pages.

    `min_free_bytes` of the disk are left to whatever else writes there.
    """

    max_pages: int
    parse_timeout_seconds: float
    ocr_languages: str
    min_free_bytes: int


@dataclass(frozen=True, slots=True)
class CutText:
    """The text of a revision, and its chunks by the recipe of its collection and its title."""

    recipe: Recipe
    title: str
    text: CanonicalText
    chunks: Sequence[Chunk]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The steps and what they need.

    Attributes:
        change: held while the catalog and the index change together.
        readers: who searches or rewrites an index now.
        changed: set when an index may need a compaction.
        stopping: set when jobs should break off.
        cache: vectors that the embedder remembers, if it does.
        cut: chunks of documents between embedding and activation, by id and revision.
        embedding: threads that embed slices.
    """

    catalog: Catalog
    files: FileStore
    texts: TextStore
    parsers: ParserPool
    recipes: Recipes
    cache: VectorCache | None
    store: IndexStore
    work: Path
    limits: Limits
    change: RLock = field(default_factory=RLock)
    readers: Readers = field(default_factory=Readers)
    changed: Event = field(default_factory=Event)
    stopping: Event = field(default_factory=Event)
    cut: dict[tuple[str, str], CutText] = field(default_factory=dict)
    embedding: ThreadPoolExecutor = field(
        default_factory=partial(ThreadPoolExecutor, SLICES_AT_ONCE)
    )

    def parse(self, document_id: str, revision: str) -> None:
        """Make the canonical text."""
        self._text(self._advance(document_id, revision, status=Status.PARSING))

    def embed(self, document_id: str, revision: str) -> None:
        """Cut the text and append the vectors of its chunks to a file, slice by slice."""
        document = self.current(document_id, revision)
        cut = self.cut[document_id, revision] = self._cut(document)
        counts = {"num_pages": len(cut.text.page_starts) or None, "num_chunks": len(cut.chunks)}
        self._advance(document_id, revision, status=Status.EMBEDDING, **counts)
        self._embed_chunks(document, cut)

    def activate(self, document_id: str, revision: str) -> None:
        """Put the chunks into the index, let them answer, and remove those of older revisions."""
        document = self.current(document_id, revision)
        self.check_disk()
        if not document.status.is_searchable:  # else a crash came between here and the tidying
            self._put_into_index(document)
        self.changed.set()
        # Last: a job that is killed before this finds its vectors again.
        self.discard_work(document_id, revision)

    def wait_for_retry(self, document_id: str, revision: str, code: str, reason: str) -> Document:
        """Record why a revision is not searchable yet; return it with a job of its own.

        Raises:
            SupersededError: the document was deleted or replaced.
        """
        document = self.current(document_id, revision)
        changes: dict[str, Any] = {
            "status": Status.QUEUED,
            "error_code": code,
            "error_reason": reason,
            "attempt": document.attempt + 1,
            "num_retries": document.num_retries + 1,
        }
        self.catalog.update(document_id, revision, **changes)
        return self.current(document_id, revision)

    def fail(self, document: Document, code: str, reason: str) -> None:
        """Record why the latest revision cannot be searched; an older one goes on answering.

        One that could not be read anew, such as a PDF whose password is not known any more, is left
        as it was.
        """
        changes: dict[str, Any] = {
            "status": Status.FAILED,
            "error_code": code,
            "error_reason": reason,
            "password": None,
        }
        text = None
        if document.searchable_revision == document.revision:
            text = self.texts.bring_back(
                document.revision, document.media_type, document.searchable_parser
            )
        if text is not None:
            changes = _outcome(text, document.revision, document.searchable_chunks)
            if changes["error_reason"]:
                changes["error_reason"] += f" Reading it anew failed: {reason}"
        self.catalog.update(document.id, document.revision, **changes)
        if document.password is not None:
            self.catalog.erase_log()
        self.discard_work(document.id, document.revision)

    def clean_up(self, document_id: str, revision: str) -> None:
        """Remove what the job of a deleted or replaced revision left."""
        self.cut.pop((document_id, revision), None)
        with self.change:
            document = self.catalog.get(document_id)
            if document is None or document.revision != revision:
                self.discard_work(document_id, revision)
                self.forget_revision(revision)
            if document is None:
                self.forget_vectors()

    def forget_vectors(self) -> None:
        """Empty the cache, which does not know whose passages its vectors are."""
        if self.cache is not None:
            self.cache.clear()

    def forget_revision(self, revision: str, *, by: str | None = None) -> None:
        """Remove the bytes and texts of a revision unless a document other than `by` uses it."""
        if not self.catalog.uses_revision(revision, other_than=by):
            self.files.delete(revision)
            self.texts.delete(revision)

    def discard_work(self, document_id: str, revision: str) -> None:
        """Remove vectors that were made for a revision but never reached the index."""
        for path in self.work.glob(f"{document_id}-{revision[:16]}-*"):
            path.unlink(missing_ok=True)

    def sweep_work(self, unfinished: Iterable[Document]) -> None:
        """Remove what a killed process left half-done and no unfinished document goes on with."""
        wanted = {f"{document.id}-{document.revision[:16]}" for document in unfinished}
        for path in self.work.iterdir():
            if path.name.rpartition("-")[0] not in wanted:
                path.unlink(missing_ok=True)

    def sweep_files(self) -> None:
        """Remove bytes and texts that no document uses: of killed processes, of older parsers."""
        self.texts.sweep(self.catalog.list_outdated_texts(PARSER_VERSION))
        stored = chain(self.files.revisions(), self.texts.revisions())
        while revisions := set(islice(stored, SWEEP_BATCH)):
            if self.stopping.is_set():
                return
            with self.change:
                for revision in revisions - self.catalog.used_revisions(revisions):
                    self.files.delete(revision)
                    self.texts.delete(revision)

    def current(self, document_id: str, revision: str) -> Document:
        """Return a document as long as it is at a revision.

        Raises:
            SupersededError: it was deleted or replaced.
            ServiceStopping: there is no time for it.
        """
        if self.stopping.is_set():
            raise ServiceStopping
        return self._latest(document_id, revision)

    def check_disk(self) -> None:
        """Make sure that there is room to work in.

        The embedded engine writes through mapped memory: on a full disk that ends the process.

        Raises:
            DiskFullError: there is next to none.
        """
        if shutil.disk_usage(self.work).free < self.limits.min_free_bytes:
            raise DiskFullError(
                "The disk of the service is full. Make room on it, or lower INGEST_MIN_FREE_BYTES."
            )

    def open_index(self, collection: Collection) -> ChunkIndex:
        """Return the index of a collection that answers.

        Raises:
            CollectionMismatchError: what it was made with is not to be had any more.
        """
        recipe = self.recipes.of(collection)
        return self.store.open(
            collection.index_name, dimension=recipe.embedder.dimension, language=recipe.language
        )

    def find_indexes(self, name: str) -> list[ChunkIndex]:
        """Return the index of a collection and, while it is reindexed, the other one."""
        indexes = (self.store.find(index_name) for index_name in self._index_names(name))
        return [index for index in indexes if index is not None]

    def drop_collection(self, name: str, document_id: str) -> None:
        """Remove a collection with its last document, then its indexes, once nobody reads them."""
        index_names = self._index_names(name)
        self.catalog.delete_collection(name)
        # Last in the catalog: what was broken off before this can be deleted again.
        self.catalog.delete(document_id)
        # Who came before may have an index opened anew that is dropped.
        self.readers.wait_until_gone(self.readers.present(), READER_TIMEOUT_SECONDS)
        for index_name in index_names:
            self.store.drop(index_name)

    def compact(self, name: str) -> None:
        """Rewrite the indexes of a collection so that no deleted text stays on disk.

        Large ones are left to `compact_all`: what is deleted meanwhile goes with the same effort.
        """
        with self.change:  # or one may be dropped, after a reindexing, before it is counted
            small = [
                index
                for index in self.find_indexes(name)
                if index.count() <= COMPACT_AT_ONCE_CHUNKS
            ]
        with self.readers.reading():
            for index in small:
                index.compact()
        self.changed.set()

    def open_all(self) -> None:
        """Open every index, so that no question waits for it, and all others with that one.

        The embedded engine holds Python's lock meanwhile: half a second for 100,000 chunks.
        """
        for collection in self.catalog.list_collections():
            if self.stopping.is_set():
                return
            with self.readers.reading():
                self.find_indexes(collection.name)

    def compact_all(self) -> None:
        """Rewrite every index that needs it."""
        for name in sorted(self.store.to_compact()):
            if self.stopping.is_set():
                return
            with self.readers.reading():
                index = self.store.find(name)
            if index is not None:
                index.compact(self.stopping.is_set)

    def read(
        self, revision: str, media_type: str, password: str | None, check: Callable[[], object]
    ) -> CanonicalText:
        """Return the canonical text of a revision, parsing its bytes if that was not done yet.

        Args:
            revision: which bytes.
            media_type: what they are.
            password: opens an encrypted PDF.
            check: raises when the text is not wanted any more.

        Raises:
            UnreadableFileError: the bytes are damaged, locked or gone.
        """
        text = self.texts.load(revision, media_type)
        if text is None:
            text = self.parsers.parse(
                self.files.path(revision),
                media_type,
                max_pages=self.limits.max_pages,
                timeout_seconds=self.limits.parse_timeout_seconds,
                password=password,
                ocr_languages=self.limits.ocr_languages,
            )
            with self.change:  # what was deleted meanwhile must not come back
                check()
                # Documents with the same bytes are cut from one text, whoever made it first.
                if (known := self.texts.load(revision, media_type)) is not None:
                    return known
                self.texts.save(revision, media_type, text)
        return text

    def _index_names(self, name: str) -> list[str]:
        collection, reindexing = (
            self.catalog.get_collection(name),
            self.catalog.get_reindexing(name),
        )
        names = (collection and collection.index_name, reindexing and reindexing.spare_index)
        return [index_name for index_name in names if index_name]

    def _latest(self, document_id: str, revision: str) -> Document:
        document = self.catalog.get(document_id)
        if document is None or document.revision != revision:
            raise SupersededError(f"{document_id} was deleted or replaced.")
        return document

    def _advance(self, document_id: str, revision: str, **progress: object) -> Document:
        """Record progress, which a loss of power may take back."""
        document = self.current(document_id, revision)
        self.check_disk()
        if not self.catalog.update(document_id, revision, is_durable=False, **progress):
            raise SupersededError(f"{document_id} was deleted or replaced.")
        return document

    def _text(self, document: Document) -> CanonicalText:
        is_current = partial(self.current, document.id, document.revision)
        return self.read(document.revision, document.media_type, document.password, is_current)

    def _collection(self, document: Document) -> Collection:
        collection = self.catalog.get_collection(document.collection)
        if collection is None:
            raise SupersededError(f"{document.collection} was deleted.")
        return collection

    def _cut(self, document: Document) -> CutText:
        recipe = self.recipes.of(self._collection(document))
        text = self._text(document)
        chunks = recipe.chunker.split(document.id, document.revision, text, document.title)
        return CutText(recipe, document.title, text, chunks)

    def _embed_chunks(self, document: Document, cut: CutText) -> None:
        path, dimension = self._vectors_path(document, cut.recipe), cut.recipe.embedder.dimension
        while (done := len(_read_vectors(path, dimension))) < len(cut.chunks):
            # Closed before the job goes on, so that nothing is embedded for what was deleted.
            with closing(self._embed_slices(cut, done)) as slices:
                for vectors in slices:
                    if not self._append(document, path, done, vectors):
                        break
                    done += len(vectors)
                    if done < len(cut.chunks):
                        self._advance(document.id, document.revision, num_embedded=done)

    def _embed_slices(self, cut: CutText, start: int) -> Generator[Matrix, None, None]:
        """Yield the vectors of the chunks from `start` on, slice by slice, ahead of the caller.

        Raises:
            ServiceStopping: there is no time for another slice.
        """

        def embed(first: int) -> Matrix:
            if self.stopping.is_set():
                raise ServiceStopping
            passages = [chunk.passage for chunk in cut.chunks[first : first + EMBED_SLICE]]
            return cut.recipe.embedder.embed_passages(passages)

        slices = range(start, len(cut.chunks), EMBED_SLICE)
        yield from computed_ahead(self.embedding, embed, slices)

    def _append(self, document: Document, path: Path, done: int, vectors: Matrix) -> bool:
        """Write the vectors of the chunks from `done` on, unless these have theirs by now."""
        with self.change:  # what was deleted meanwhile must not come back
            # Also while the service stops: this was the most expensive work.
            self._latest(document.id, document.revision)
            # Bytes that were deleted or replaced and came back have two jobs for a while.
            if len(_read_vectors(path, vectors.shape[1])) != done:
                return False
            with path.open("ab") as file:
                file.truncate(done * vectors.shape[1] * vectors.itemsize)
                file.write(vectors.tobytes())
        return True

    def _put_into_index(self, document: Document) -> None:
        cut = self.cut.get((document.id, document.revision)) or self._cut(document)
        while not self._try_to_put(document, cut):
            cut = self._cut(self.current(document.id, document.revision))

    def _try_to_put(self, document: Document, cut: CutText) -> bool:
        """Put chunks into the index unless there is another recipe or title by now."""
        # Nothing to do, unless a setting changed since the vectors were made or they are gone.
        self._embed_chunks(document, cut)
        with self.change:
            document = self.current(document.id, document.revision)
            collection = self._collection(document)
            # It was reindexed, or came again under another name, meanwhile.
            if (self.recipes.of(collection), document.title) != (cut.recipe, cut.title):
                return False
            path = self._vectors_path(document, cut.recipe)
            vectors = _read_vectors(path, cut.recipe.embedder.dimension)
            self._replace_chunks(self.open_index(collection), document, cut.chunks, vectors)
            if collection.chunker_fingerprint not in {cut.recipe.chunker.fingerprint, MIXED}:
                self.catalog.set_chunker(collection.name, MIXED)
            if self.catalog.get_reindexing(collection.name) is not None:
                # The same bytes may have become another text.
                self.catalog.forget_reindexed(document.id)
            if document.searchable_revision not in {None, document.revision}:
                self.forget_revision(str(document.searchable_revision), by=document.id)
            outcome = _outcome(cut.text, document.revision, len(cut.chunks))
            self.catalog.update(document.id, document.revision, **outcome)
            if document.password is not None or document.searchable_revision is not None:
                self.catalog.erase_log()
        return True

    def _replace_chunks(
        self, index: ChunkIndex, document: Document, chunks: Sequence[Chunk], vectors: Matrix
    ) -> None:
        """Put the chunks of a document's revision into an index, and take all others out."""
        document_id, revision = document.id, document.revision
        check_complete(len(vectors), len(chunks))
        index.upsert(chunks, vectors, document.attributes)
        if index.count(document_id, revision) > len(chunks):  # some were cut by other settings
            index.delete(document_id)
            index.upsert(chunks, vectors, document.attributes)
        check_complete(index.count(document_id, revision), len(chunks))
        index.delete(document_id, keep_revision=revision)

    def _vectors_path(self, document: Document, recipe: Recipe) -> Path:
        parser = f"{PARSER_VERSION} {document.media_type}"
        makers = f"{parser} {recipe.chunker.fingerprint} {recipe.embedder.fingerprint}"
        digest = hashlib.sha256(makers.encode()).hexdigest()
        name = f"{document.id}-{document.revision[:16]}-{digest[:16]}.f32"
        return self.work / name


def check_complete(found: int, expected: int) -> None:
    """Make sure that all chunks of a document are there.

    Raises:
        IncompleteIndexError: some are missing, or there are too many.
    """
    if found != expected:
        raise IncompleteIndexError(f"{found} of {expected} chunks are there; try again.")


def _read_vectors(path: Path, dimension: int) -> Matrix:
    """Return the complete rows of a vector file; a half-written last row is left out."""
    num_rows = path.stat().st_size // (dimension * 4) if path.exists() else 0
    if num_rows == 0:
        return np.zeros((0, dimension), np.float32)
    return np.memmap(path, dtype=np.float32, mode="r", shape=(num_rows, dimension))


def _outcome(text: CanonicalText, revision: str, num_chunks: int) -> dict[str, Any]:
    outcome: dict[str, Any] = {
        "status": Status.SEARCHABLE,
        "searchable_revision": revision,
        "num_pages": len(text.page_starts) or None,
        "num_chunks": num_chunks,
        "num_embedded": num_chunks,
        "searchable_chunks": num_chunks,
        "searchable_parser": PARSER_VERSION,
        "error_code": None,
        "error_reason": None,
        "password": None,
    }
    if text.unreadable_reason:
        outcome |= {
            "status": Status.PARTIAL,
            "error_code": "unreadable_pages" if text.unreadable_pages else "unreadable_parts",
            "error_reason": _unreadable(text),
        }
    return outcome


def _unreadable(text: CanonicalText) -> str:
    """Return what of a text is not searchable, and why."""
    if not text.unreadable_pages:
        return f"{text.unreadable_reason} The rest is searchable."
    return (
        f"{len(text.unreadable_pages)} of {len(text.page_starts)} pages have no readable text. "
        f"{text.unreadable_reason} The other pages are searchable."
    )
