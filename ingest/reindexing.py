"""Reindexing: a collection gets an index made with the settings of today, while the old answers.

Its language is its own, unless another one is asked for.

The new index is filled document by document from the canonical texts, and the catalog notes what is
in it. Uploads, replacements and deletions go on meanwhile. When the new index holds exactly what
answers, one transaction of the catalog lets it answer, and the old one is removed as soon as no
search reads it any more. What was broken off goes on where it was.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from ingest.catalog import Catalog
from ingest.documents import (
    GENERATION_MARK,
    Collection,
    Document,
    Reindexing,
    ReindexingStatus,
)
from ingest.errors import UnreadableFileError
from ingest.files import PARSER_VERSION
from ingest.parsers.media_types import detect_media_type
from ingest.pipeline import EMBED_SLICE, Pipeline, ServiceStopping, SupersededError, check_complete
from ingest.recipes import Recipe
from ingest.texts import CanonicalText
from retrieval.chunks import Chunk
from retrieval.embedding import Matrix
from retrieval.index import ChunkIndex, IndexStore

# Chunks that may be made at the very end, while uploads and deletions wait. Doubled in each round,
# so that there is an end for a collection that grows as fast as it is reindexed, too.
FIRST_ALLOWANCE = 16
PAGE_SIZE = 100
GRACE_PERIOD_SECONDS = 0.5
logger = logging.getLogger(__name__)


def begin(pipeline: Pipeline, collection: Collection, language: str) -> Reindexing:
    """Record that a collection is to be made anew in a language, with the settings of today."""
    index_name = collection.next_index_name
    pipeline.store.drop(index_name)
    reindexing = Reindexing(
        target=pipeline.recipes.in_language(language).describe(collection.name, index_name),
        status=ReindexingStatus.QUEUED,
        spare_index=index_name,
        started_at=datetime.now(UTC),
    )
    pipeline.catalog.put_reindexing(reindexing)
    return reindexing


def orphaned_indexes(catalog: Catalog, store: IndexStore) -> set[str]:
    """Return the names of the indexes that are no collection's, but not those of others."""
    collections = catalog.list_collections()
    wanted = {collection.index_name for collection in collections}
    wanted |= {str(reindexing.spare_index) for reindexing in catalog.list_reindexings()}
    orphans = store.names() - wanted
    if not store.is_shared:
        return orphans
    ours = {collection.name for collection in collections}
    return {name for name in orphans if name.partition(GENERATION_MARK)[0] in ours}


def settle(pipeline: Pipeline) -> list[Reindexing]:
    """Return what a new start goes on with.

    What was meant for other settings is dropped, but begun anew where a language was asked for.
    """
    going_on = []
    for reindexing in pipeline.catalog.list_reindexings():
        is_new = reindexing.status in {ReindexingStatus.QUEUED, ReindexingStatus.RUNNING}
        if is_new and pipeline.recipes.outdated(reindexing.target):
            going_on += _begin_anew(pipeline, reindexing)
        elif reindexing.status.is_open:
            going_on.append(reindexing)
    for name in orphaned_indexes(pipeline.catalog, pipeline.store):
        pipeline.store.drop(name)
    return going_on


def _begin_anew(pipeline: Pipeline, reindexing: Reindexing) -> list[Reindexing]:
    target = reindexing.target
    collection = pipeline.catalog.get_collection(target.name)
    if collection is not None and collection.analyzer != target.analyzer:
        return [begin(pipeline, collection, target.analyzer)]
    pipeline.store.drop(target.index_name)
    pipeline.catalog.delete_reindexing(target.name)
    return []


def fail(pipeline: Pipeline, name: str, job_id: str, reason: str) -> bool:
    """Remove the new index and record why; the old one goes on answering.

    Returns:
        Whether the job has ended: not when the new index answers, and the old one could not be
        removed.
    """
    with pipeline.change:
        reindexing = pipeline.catalog.get_reindexing(name)
        if reindexing is None or reindexing.job_id != job_id:
            return True
        if reindexing.status is ReindexingStatus.FINISHING:
            return False
        pipeline.store.drop(reindexing.target.index_name)
        failed = replace(
            reindexing,
            status=ReindexingStatus.FAILED,
            spare_index=None,
            error_reason=f"{reason} The collection goes on answering as it was.",
        )
        pipeline.catalog.put_reindexing(failed)
    return True


def reindex(pipeline: Pipeline, name: str, job_id: str) -> None:
    """Fill the new index of a collection, let it answer, and remove the old one.

    Raises:
        SupersededError: the collection was deleted, or is reindexed by another job.
        UnreadableFileError: a document has no text, and none can be made any more.
        ServiceStopping: there is no time for it.
    """
    going = _Going(pipeline, name, job_id)
    if going.now().status is not ReindexingStatus.FINISHING:
        pipeline.catalog.set_reindexing_status(name, ReindexingStatus.RUNNING)
        going.fill()
    going.retire()


@dataclass(frozen=True, slots=True)
class _Going:
    """A reindexing under way."""

    pipeline: Pipeline
    name: str
    job_id: str

    def now(self) -> Reindexing:
        """Return the catalog's record of it."""
        if self.pipeline.stopping.is_set():
            raise ServiceStopping
        reindexing = self.pipeline.catalog.get_reindexing(self.name)
        if reindexing is None or reindexing.job_id != self.job_id:
            raise SupersededError(f"The reindexing of {self.name} was ended.")
        return reindexing

    def fill(self) -> None:
        """Put documents into the new index until all are there, then let it answer."""
        allowance = FIRST_ALLOWANCE
        while True:
            for page in self._missing():
                for document in page:
                    self._add(document)
            with self.pipeline.change:
                index = self._index()
            index.compact()
            with self.pipeline.change:
                left = [document for page in self._missing() for document in page]
                if sum(max(1, document.searchable_chunks) for document in left) <= allowance:
                    for document in left:
                        self._add(document)
                    self._swap()
                    return
            allowance *= 2

    def retire(self) -> None:
        """Remove the old index once no search reads it."""
        readers = self.pipeline.readers.present()
        while not self.pipeline.readers.wait_until_gone(readers, GRACE_PERIOD_SECONDS):
            self.now()
        with self.pipeline.change:
            if (old := self.now().spare_index) is not None:
                self.pipeline.store.drop(old)
            self.pipeline.catalog.delete_reindexing(self.name)
        logger.info("reindexed", extra={"collection": self.name})

    def _missing(self) -> Iterator[list[Document]]:
        """Yield what answers and is not in the new index, page by page, each document once."""
        after = None
        while page := self.pipeline.catalog.list_to_reindex(self.name, after, PAGE_SIZE):
            yield page
            after = page[-1].id

    def _index(self) -> ChunkIndex:
        """Return the new index; called while `change` is held, so that it is not made again."""
        recipe = self._recipe
        return self.pipeline.store.open(
            self.now().target.index_name,
            dimension=recipe.embedder.dimension,
            language=recipe.language,
        )

    @property
    def _recipe(self) -> Recipe:
        # The target's, for `settle` drops what was meant for other settings.
        return self.pipeline.recipes.in_language(self.now().target.analyzer)

    def _add(self, document: Document) -> None:
        """Put the answering revision of a document in, unless it is replaced or deleted."""
        self.pipeline.check_disk()
        try:
            chunks = self._cut(document)
            with self.pipeline.change:
                self._check(document)
                self._index().delete(document.id)  # what was broken off, or is replaced
            for start in range(0, len(chunks), EMBED_SLICE):
                self._add_slice(document, chunks[start : start + EMBED_SLICE])
            with self.pipeline.change:
                self._check(document)
                check_complete(self._index().count(document.id), len(chunks))
                self.pipeline.catalog.add_reindexed(document, len(chunks))
        except _ReplacedError:
            with self.pipeline.change:
                self._index().delete(document.id)

    def _add_slice(self, document: Document, chunks: Sequence[Chunk]) -> None:
        vectors = self._known_vectors(chunks)
        if vectors is None:
            vectors = self._recipe.embedder.embed_passages([chunk.passage for chunk in chunks])
        with self.pipeline.change:  # what was deleted meanwhile must not come back
            current = self._check(document)
            self._index().upsert(chunks, vectors, current.attributes)

    def _known_vectors(self, chunks: Sequence[Chunk]) -> Matrix | None:
        """Return the vectors of the old index if only the language changes, and all are sound."""
        with self.pipeline.change:
            target, collection = self.now().target, self.pipeline.catalog.get_collection(self.name)
            if collection is None or collection.analyzer == target.analyzer:
                return None
            if collection.embedder_fingerprint != target.embedder_fingerprint:
                return None
            old = self.pipeline.open_index(collection)
            wanted = {chunk.chunk_id: chunk for chunk in chunks}
            if old.fetch(wanted) != wanted:  # another parser or chunker made them
                return None
            vectors = old.vectors(wanted)
            if vectors.keys() != wanted.keys():
                return None
        return np.stack([vectors[chunk_id] for chunk_id in wanted])

    def _check(self, document: Document) -> Document:
        """Return a document as it is now, if it still answers and did not come again meanwhile."""
        self.now()
        current = self.pipeline.catalog.get(document.id)
        # The attempt: the same bytes may come under another name, or be read anew.
        if current is None or (current.searchable_revision, current.attempt) != (
            document.searchable_revision,
            document.attempt,
        ):
            raise _ReplacedError
        return current

    def _cut(self, document: Document) -> list[Chunk]:
        revision = str(document.searchable_revision)
        try:
            text = self._text(document, revision)
        except FileNotFoundError as error:
            reason = "Its original and its text are gone."
            raise self._unreadable(document, "missing", reason) from error
        except UnreadableFileError as error:
            raise self._unreadable(document, error.code, str(error)) from error
        return self._recipe.chunker.split(document.id, revision, text, document.title)

    def _unreadable(self, document: Document, code: str, reason: str) -> UnreadableFileError:
        """Return the error that ends the reindexing, if the document still answers."""
        self._check(document)
        return UnreadableFileError(
            code,
            f"{document.filename} ({document.id}) cannot be read any more: {reason} Upload it "
            f"again or delete it, then run `suffice reindex {self.name} --language "
            f"{self.now().target.analyzer}` again.",
        )

    def _text(self, document: Document, revision: str) -> CanonicalText:
        """Return the text that answers, read again if it is not there."""
        media_type = document.media_type
        if revision != document.revision:  # of an older one nobody wrote down the type
            if (text := self.pipeline.texts.load(revision)) is not None:
                return text
            with self.pipeline.files.path(revision).open("rb") as file:
                media_type = detect_media_type(file, document.filename)
        return self.pipeline.read(
            revision, media_type, document.password, lambda: self._check(document)
        )

    def _swap(self) -> None:
        """Let the new index answer; nothing changes meanwhile."""
        catalog, index = self.pipeline.catalog, self._index()
        for document_id in catalog.list_replaced(self.name):
            index.delete(document_id)
            catalog.forget_reindexed(document_id)
        reindexing, collection = self.now(), catalog.get_collection(self.name)
        if collection is None:
            raise SupersededError(f"{self.name} was deleted.")
        known = catalog.list_reindexed(self.name)
        if index.count() != sum(known.values()):
            self._mend(index, known)
        check_complete(index.count(), sum(known.values()))
        catalog.swap_index(reindexing, collection.index_name, PARSER_VERSION)

    def _mend(self, index: ChunkIndex, known: Mapping[tuple[str, str], int]) -> None:
        """Take out what the catalog does not know of, or knows otherwise."""
        found = index.contents()
        for document_id, revision in known.keys() | found.keys():
            if known.get((document_id, revision)) != found.get((document_id, revision)):
                index.delete(document_id)
                self.pipeline.catalog.forget_reindexed(document_id)


class _ReplacedError(Exception):
    """The document was deleted, or came again, while it was put into the new index."""
