"""A whole service on a folder of its own, with a fake embedder."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from dbos import error as dbos_error

from ingest.documents import Document, Status
from ingest.library import CollectionState, Library, Upload
from ingest.recipes import LoadEmbedder
from ingest.settings import IngestSettings
from retrieval.embedding import Embedder
from retrieval.errors import EmbedderUnavailableError
from retrieval.index import ChunkIndex
from retrieval.languages import Language
from retrieval.profiles import Mode, RetrievalProfile
from retrieval.search import Searcher
from retrieval.settings import RetrievalSettings
from serving.service import Service, Settings, open_service
from serving.settings import ServingSettings
from tests.fakes import HashEmbedder
from tests.ingest.parsers.pdf_files import pdf, writer_with
from tests.rankings import search_dense, search_lexical

TIMEOUT_SECONDS = 120
_LETTERS = str.maketrans("0123456789", "bcdfghjkmp")


def thing(number: int) -> str:
    """Return a word of its own for a number; `thing7` would be found by `thing` as well."""
    return f"thing{str(number).translate(_LETTERS)}"


# More chunks than one slice of embedding.
LONG = "\n\n".join(f"Paragraph {n} tells of {thing(n)} and of nothing else." for n in range(4000))


def encrypted_pdf() -> bytes:
    writer = writer_with(["The secret page"])
    writer.encrypt("password", algorithm="AES-256")
    return pdf(writer)


LEXICAL = RetrievalProfile(mode=Mode.LEXICAL)


class Shelf:
    """A library as its users see it."""

    def __init__(self, library: Library, searcher: Searcher, home: Path) -> None:
        self.library = library
        self.home = home
        self._searcher = searcher

    def add(
        self,
        name: str,
        content: bytes | str,
        collection: str = "default",
        language: Language | None = None,
    ) -> Document:
        return self.upload(name, content, collection, language=language)[0]

    def upload(
        self,
        name: str,
        content: bytes | str,
        collection: str = "default",
        external_id: str | None = None,
        language: Language | None = None,
    ) -> tuple[Document, bool]:
        data = content.encode() if isinstance(content, str) else content
        upload = Upload(name, [data], collection, external_id, {}, language=language)
        return self.library.add(upload)

    def add_and_wait(
        self,
        name: str,
        content: bytes | str,
        collection: str = "default",
        language: Language | None = None,
    ) -> Document:
        return self.wait(self.add(name, content, collection, language))

    def wait(self, document: Document) -> Document:
        """Wait for the job to end and to tidy up."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not (found := self.library.get(document.id)).status.is_final or self.work():
            assert time.monotonic() < deadline, f"{found} {self.work()}"
            time.sleep(0.02)
        return found

    def wait_until_searchable(self, document: Document) -> None:
        self._wait_for(document, Status.SEARCHABLE)

    def wait_until_started(self, document: Document) -> None:
        self._wait_for(document, Status.PARSING, Status.EMBEDDING)

    def _wait_for(self, document: Document, *states: Status) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while (found := self.library.get(document.id)).status not in states:
            assert time.monotonic() < deadline, found
            time.sleep(0.01)

    def find(self, word: str, collection: str = "default") -> list[str]:
        """Return the names of the documents with a word, in order of their names."""
        with self.library.open_index(collection) as opened:
            hits = self._searcher.search(opened.index, opened.embedder, word, LEXICAL, 100).hits
        return sorted({self.library.get(hit.chunk.document_id).filename for hit in hits})

    def index(self, collection: str = "default") -> ChunkIndex:
        """Return the index that answers; it may be gone once the collection is reindexed."""
        with self.library.open_index(collection) as opened:
            return opened.index

    def state(self, collection: str = "default") -> CollectionState:
        return next(s for s in self.library.collections() if s.collection.name == collection)

    def work(self) -> list[str]:
        return sorted(path.name for path in (self.home / "work").iterdir())

    def files_with(self, word: str) -> list[str]:
        """Return the files of the home folder, databases and all, whose bytes contain a word."""
        return sorted(
            str(path.relative_to(self.home))
            for folder, _, names in os.walk(self.home)  # unlike rglob, folders may vanish
            for path in (Path(folder, name) for name in names)
            if path.is_file() and word.encode() in _read(path)
        )

    def wait_until_gone(self, word: str) -> None:
        """Wait for the compaction that follows a replacement."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while found := self.files_with(word):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)


OpenShelf = Callable[..., AbstractContextManager[Shelf]]


@contextmanager
def service_on(
    home: Path,
    embedder: Embedder,
    language: Language = "english",
    chunk_tokens: int = 200,
    max_queued: int = 10_000,
    load: LoadEmbedder | None = None,
) -> Iterator[Service]:
    settings = Settings(
        home,
        # Without a cache, so that each job comes to the embedder, where the tests hold it.
        RetrievalSettings(language=language, vector_cache_bytes=0),
        IngestSettings(
            chunk_tokens=chunk_tokens,
            max_pages=50,
            max_upload_bytes=1_000_000,
            max_queued=max_queued,
            database_url=None,
        ),
        ServingSettings(),
    )
    with open_service(settings, embedder, load or _no_other_models) as service:
        yield service


@pytest.fixture
def open_shelf(tmp_path: Path) -> OpenShelf:
    """Open the service of this test, again and again."""

    @contextmanager
    def open_one(embedder: Embedder | None = None, **settings: Any) -> Iterator[Shelf]:
        home = tmp_path / "home"
        with service_on(home, embedder or HashEmbedder(), **settings) as service:
            yield Shelf(service.library, service.searcher, home)

    return open_one


@pytest.fixture
def no_errors_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    worst = [r for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
    # DBOS logs that a job was deleted while it ran.
    kinds = [record.exc_info[0] if record.exc_info else None for record in worst]
    assert [kind for kind in kinds if kind is not dbos_error.DBOSNonExistentWorkflowError] == []


def assert_searchable_once(shelf: Shelf, document: Document) -> None:
    """Every chunk is there once, each with its own vector."""
    found = shelf.wait(document)
    assert found.status is Status.SEARCHABLE
    index = shelf.index(document.collection)
    assert index.count() == found.num_chunks
    embedder = HashEmbedder()
    for number in (0, 777, 1499):
        [hit] = search_lexical(index, thing(number), 5)
        [nearest] = search_dense(index, embedder.embed_query(hit.chunk.passage), 1)
        assert nearest.chunk == hit.chunk
        assert nearest.score == pytest.approx(1, abs=1e-4)


def _no_other_models(name: str) -> Embedder:
    raise EmbedderUnavailableError(f"There is no {name!r}.")


def _read(path: Path) -> bytes:
    """Return what was written to a file; those of an index are nearly all holes."""
    pieces, end = [], 0
    # The file may be a journal, gone since it was listed; behind the last byte is no more data.
    with suppress(OSError), path.open("rb") as file:
        while True:
            start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            pieces.append(os.pread(file.fileno(), end - start, start))
    return b"".join(pieces)
