"""Comparing what the catalog says with the files and the embedded index."""

from collections.abc import Iterator

from ingest.catalog import Catalog
from ingest.documents import Document
from ingest.files import FileStore, TextStore
from ingest.home import Home
from retrieval.edge import open_existing

LISTED_DOCUMENTS = 1_000_000


def inspect(home: Home, database_url: str | None, *, has_index: bool) -> list[str]:
    """Return what does not agree, in words; an empty list means that all is well.

    Args:
        home: owned by the caller, so that no service is using it.
        database_url: of the catalog; None is the one in the home folder.
        has_index: whether the index is in the home folder and not on a Qdrant server.
    """
    catalog = Catalog(database_url or home.database_url("catalog"))
    try:
        documents = catalog.list_documents(limit=LISTED_DOCUMENTS)
        problems = list(_check_files(home, documents))
        return [*problems, *_check_index(home, documents)] if has_index else problems
    finally:
        catalog.close()


def _check_files(home: Home, documents: list[Document]) -> Iterator[str]:
    files, texts = FileStore(home.files, home.work), TextStore(home.texts, home.work)
    for document in documents:
        name = f"{document.filename} ({document.id})"
        if not files.path(document.revision).exists():
            yield f"The original of {name} is missing: upload it again."
        if document.searchable_revision and texts.load(document.searchable_revision) is None:
            yield f"The text of {name} is missing: upload it again."


def _check_index(home: Home, documents: list[Document]) -> Iterator[str]:
    for collection in sorted({document.collection for document in documents}):
        index = open_existing(home.index / collection)
        for document in documents:
            if document.collection == collection and document.status.is_searchable:
                found = index.count(document.id, document.searchable_revision) if index else 0
                if found != document.num_chunks:
                    yield (
                        f"The index holds {found} of {document.num_chunks} chunks of "
                        f"{document.filename} ({document.id}): delete it and upload it again."
                    )
        if index:
            index.close()
