"""Comparing the catalog with index and files, and mending what does not agree."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from ingest.catalog import Catalog
from ingest.database import find_damage
from ingest.documents import Collection, Document, Status
from ingest.files import PARSER_VERSION, FileStore, TextStore
from ingest.home import Home
from ingest.reindexing import orphaned_indexes
from retrieval.checksums import Audit, audit
from retrieval.errors import IndexUnavailableError
from retrieval.index import ChunkIndex, IndexStore

# Why a document failed whose bytes are lost.
MISSING = "missing"
REASON = "Its original was lost or damaged. Upload it again."


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that does not agree.

    Attributes:
        what: in words, as a sentence.
        remedy: what `mend` does, in words.
        mend: makes it agree; to be called before the next problem is looked for.
    """

    what: str
    remedy: str
    mend: Callable[[], object]


def inspect(
    home: Home, catalog: Catalog, store: IndexStore, unverified: Counter[str]
) -> Iterator[Problem]:
    """Yield what does not agree; nothing means that all is well.

    Args:
        home: owned by the caller, so that no service is using it.
        catalog: of the same service.
        store: of the same service.
        unverified: takes of how many a `text` or `chunk` nothing was compared with: they have no
            checksum, or are those of an older revision or of another version of the parser.

    Raises:
        IndexUnavailableError: a Qdrant server does not answer.
    """
    inspection = _Inspection(home, catalog, store, unverified)
    yield from inspection.jobs()
    yield from inspection.reindexings()
    for collection in catalog.list_collections():
        yield from inspection.index(collection)
    yield from inspection.documents()
    yield from inspection.orphans()


class _Inspection:
    """One look at everything; `contents` and `indexes` are those of the collections that open.

    Contents are how many undamaged chunks there are of each (document id, revision).
    """

    def __init__(
        self, home: Home, catalog: Catalog, store: IndexStore, unverified: Counter[str]
    ) -> None:
        self._home = home
        self._catalog = catalog
        self._store = store
        self._unverified = unverified
        self._files = FileStore(home.files, home.work)
        self._texts = TextStore(home.texts, home.work)
        self._indexes: dict[str, ChunkIndex | None] = {}
        self._contents: dict[str, Mapping[tuple[str, str], int]] = {}

    def jobs(self) -> Iterator[Problem]:
        """Check the database of the jobs, which holds nothing that the catalog cannot tell."""
        path = self._home.database("jobs")
        if path.exists() and (damage := find_damage(path)):
            aside = self._aside("jobs")
            yield Problem(
                f"{path} is damaged: {damage}.",
                f"moves it to {aside}; the next start queues anew what is unfinished.",
                partial(_move_database, path, aside),
            )

    def reindexings(self) -> Iterator[Problem]:
        """Open the indexes that reindexing works on."""
        for reindexing in self._catalog.list_reindexings():
            name, spare = reindexing.target.name, reindexing.spare_index
            if spare and (damage := self._read(spare)[1]):
                yield Problem(
                    f"The other index of collection {name!r}, which is being reindexed, is "
                    f"damaged: {damage}",
                    f"removes it; run `suffice reindex {name}` again.",
                    partial(self._give_up_reindexing, name, spare),
                )

    def index(self, collection: Collection) -> Iterator[Problem]:
        """Read the index of a collection, and look for chunks that no document has."""
        name = collection.name
        found, damage = self._read(collection.index_name)
        if damage:
            aside = self._aside(collection.index_name)
            yield Problem(
                f"The index of collection {name!r} is damaged: {damage}",
                f"moves it to {aside} and ingests its documents anew at the next start.",
                partial(self._set_aside, collection, aside),
            )
            return
        index = self._indexes[name] = self._store.find(collection.index_name)
        self._contents[name] = found.contents
        self._unverified["chunk"] += found.num_unverified
        if index and (strays := self._strays(name)):
            num_chunks = sum(self._contents[name][stray] for stray in strays)
            yield Problem(
                f"The index of collection {name!r} holds {num_chunks} chunks of no document.",
                "removes them.",
                partial(self._remove_chunks, index, strays),
            )

    def documents(self) -> Iterator[Problem]:
        """Compare each document with its files and chunks."""
        for document in self._catalog.iterate_documents():
            if problem := self._diagnose(document):
                yield problem

    def orphans(self) -> Iterator[Problem]:
        """Look for what nothing in the catalog names."""
        for name in sorted(orphaned_indexes(self._catalog, self._store)):
            remove = partial(self._store.drop, name)
            yield Problem(f"The index {name!r} is no collection's.", "removes it.", remove)
        used: set[str | None] = set()
        for document in self._catalog.iterate_documents():
            used |= {document.revision, document.searchable_revision}
        if strays := {*self._files.revisions(), *self._texts.revisions()} - used:
            yield Problem(
                f"Originals or texts of {len(strays)} revisions are no document's.",
                "removes them.",
                partial(self._remove_files, strays),
            )

    def _aside(self, name: str) -> Path:
        """Return where something damaged is put."""
        return self._home.damaged / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%S}"

    def _read(self, index_name: str) -> tuple[Audit, str | None]:
        """Return what an index holds, and why an embedded one cannot be read, or None."""
        try:
            index = self._store.find(index_name)
            return audit(index.points() if index else ()), None
        except IndexUnavailableError as error:
            if self._store.is_shared:  # then a server does not answer
                raise
            return audit(()), error.details or str(error)

    def _strays(self, name: str) -> list[tuple[str, str]]:
        """Return what an index holds of no document, or of a revision that does not answer."""
        return [stray for stray in self._contents[name] if not self._is_wanted(name, *stray)]

    def _is_wanted(self, collection: str, document_id: str, revision: str) -> bool:
        document = self._catalog.get(document_id)
        if document is None or document.collection != collection:
            return False
        # What is not final is seen to by the document's job.
        return revision == document.searchable_revision or not document.status.is_final

    def _diagnose(self, document: Document) -> Problem | None:
        """Return what is wrong with a document, with the one thing to do about all of it."""
        is_known = document.error_code == MISSING
        has_original = self._files.is_intact(document.revision) or is_known
        is_whole = self._has_all_chunks(document)
        faults = [] if has_original else ["its original is missing or damaged"]
        if not self._has_text(document):
            faults.append("its text is missing or damaged")
        if not is_whole:
            faults.append(f"the index does not hold its {document.searchable_chunks} chunks")
        if not faults:
            return None
        answers_with_latest = document.searchable_revision == document.revision
        changes: dict[str, Any] = {}
        if not has_original:
            remedy = "marks it as failed, to be uploaded again."
            changes = {"status": Status.FAILED, "error_code": MISSING, "error_reason": REASON}
        elif answers_with_latest and not is_known:
            remedy = "ingests it anew at the next start."
            changes = {"status": Status.QUEUED, "attempt": document.attempt + 1, "num_retries": 0}
        else:
            remedy = "removes the chunks of its older revision."
        if not is_whole and (changes.get("status") is not Status.QUEUED):
            changes |= {"searchable_revision": None, "searchable_chunks": 0}
        what = f"{document.filename} ({document.id}): {', '.join(faults)}."
        return Problem(what, remedy, partial(self._change, document, changes))

    def _has_text(self, document: Document) -> bool:
        """Whether the text of the latest revision is there, if it should be."""
        text = (document.revision, document.media_type)
        is_due = document.status.is_searchable and document.searchable_parser == PARSER_VERSION
        if is_due and not self._texts.has(*text):
            return False
        if document.searchable_revision and not (is_due and self._texts.has_checksum(*text)):
            self._unverified["text"] += 1
        return True

    def _has_all_chunks(self, document: Document) -> bool:
        """Whether the chunks of the answering revision are there, if they should be."""
        contents = self._contents.get(document.collection)
        revision = document.searchable_revision
        if contents is None or revision is None or not document.status.is_final:
            return True
        return contents.get((document.id, revision), 0) == document.searchable_chunks

    def _change(self, document: Document, changes: Mapping[str, Any]) -> None:
        index = self._indexes.get(document.collection)
        if "searchable_revision" in changes and index is not None:
            index.delete(document.id)
            index.compact()
        self._catalog.update(document.id, document.revision, **changes)

    def _set_aside(self, collection: Collection, aside: Path) -> None:
        aside.parent.mkdir(exist_ok=True)
        self._store.release(collection.index_name)
        (self._home.index / collection.index_name).rename(aside)
        for document in self._catalog.iterate_documents(collection.name):
            changes: dict[str, Any] = {"searchable_revision": None, "searchable_chunks": 0}
            if document.status.is_searchable:
                changes |= {"status": Status.QUEUED, "attempt": document.attempt + 1}
            self._catalog.update(document.id, document.revision, **changes)

    def _give_up_reindexing(self, name: str, spare_index: str) -> None:
        self._store.drop(spare_index)
        self._catalog.delete_reindexing(name)

    def _remove_chunks(self, index: ChunkIndex, strays: list[tuple[str, str]]) -> None:
        for document_id, _ in strays:
            document = self._catalog.get(document_id)
            answering = document.searchable_revision if document else None
            index.delete(document_id, keep_revision=answering)
        index.compact()

    def _remove_files(self, revisions: set[str]) -> None:
        for revision in revisions:
            self._files.delete(revision)
            self._texts.delete(revision)


def _move_database(path: Path, folder: Path) -> None:
    """Move a SQLite database into a new folder, with its log, which must not meet another one."""
    folder.mkdir(parents=True)
    for file in path.parent.glob(f"{path.name}*"):
        file.rename(folder / file.name)
