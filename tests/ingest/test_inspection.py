"""Damage to the home folder is found, named and mended; what is fine is left alone."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ingest.catalog import Catalog
from ingest.database import find_damage
from ingest.documents import Document, Reindexing, ReindexingStatus, Status
from ingest.errors import IngestError
from ingest.files import PARSER_VERSION, FileStore, TextStore
from ingest.home import Home
from ingest.inspection import inspect
from retrieval.edge import EdgeStore
from retrieval.index import ChunkIndex
from serving.errors import ServingError
from tests.ingest.conftest import OpenShelf, Shelf, encrypted_pdf

BEES = "Bees sleep in the hive."


@pytest.fixture
def document(open_shelf: OpenShelf) -> Document:
    """One of two searchable documents of a service that has stopped."""
    with open_shelf() as shelf:
        shelf.add_and_wait("ants.txt", "Ants never sleep.")
        return shelf.add_and_wait("bees.txt", BEES)


@pytest.fixture
def home(tmp_path: Path, document: Document) -> Path:
    assert document.num_chunks == 1
    return tmp_path / "home"


class Parts:
    """What a service keeps, opened without it."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.files = FileStore(home.files, home.work)
        self.texts = TextStore(home.texts, home.work)
        self.catalog = Catalog(home.database_url("catalog"))
        self.store = EdgeStore(home.index)

    @property
    def index(self) -> ChunkIndex:
        index = self.store.find("default")
        assert index is not None
        return index


@contextmanager
def parts_of(folder: Path) -> Iterator[Parts]:
    with Home(folder) as home:
        parts = Parts(home)
        with closing(parts.catalog), closing(parts.store):
            yield parts


def problems(folder: Path) -> list[str]:
    with parts_of(folder) as parts:
        found = inspect(parts.home, parts.catalog, parts.store, Counter())
        return [problem.what for problem in found]


def unverified(folder: Path) -> Counter[str]:
    counted = Counter[str]()
    with parts_of(folder) as parts:
        assert not list(inspect(parts.home, parts.catalog, parts.store, counted))
    return counted


def repair(folder: Path) -> list[str]:
    remedies = []
    with parts_of(folder) as parts:
        for problem in inspect(parts.home, parts.catalog, parts.store, Counter()):
            problem.mend()
            remedies.append(problem.remedy)
    return remedies


def damage(database: Path) -> None:
    database.write_bytes(b"no database at all" * 100)
    database.with_name(f"{database.name}-wal").unlink(missing_ok=True)


def lose_original(parts: Parts, document: Document) -> None:
    parts.files.delete(document.revision)


def lose_text(parts: Parts, document: Document) -> None:
    parts.texts.delete(document.revision)


def damage_text(parts: Parts, document: Document) -> None:
    [path] = parts.home.texts.glob(f"{document.revision}-*")
    path.write_bytes(path.read_bytes()[:50])


def flip_a_bit(path: Path, content: bytes) -> None:
    """Flip the lowest bit of the last of these bytes, wherever they stand in a file."""
    place = path.read_bytes().index(content) + len(content) - 1
    with path.open("r+b") as file:  # not written anew, for the engine has it mapped
        file.seek(place)
        file.write(bytes([content[-1] ^ 1]))


def flip_a_bit_of_the_text(parts: Parts, document: Document) -> None:
    [path] = parts.home.texts.glob(f"{document.revision}-*")
    flip_a_bit(path, BEES.encode())


def flip_a_bit_of_the_chunk(parts: Parts, document: Document) -> None:
    [path] = (parts.home.index / document.collection).rglob("payload_storage/page_0.dat")
    flip_a_bit(path, b'"passage":"' + BEES.encode()[:-1])


def flip_a_bit_of_the_vector(parts: Parts, document: Document) -> None:
    [path] = (parts.home.index / document.collection).rglob("vectors/chunk_0.mmap")
    points = [point for batch in parts.index.points() for point in batch]
    [vector] = [one.vector for one in points if one.payload["document_id"] == document.id]
    flip_a_bit(path, vector.tobytes())


def damage_original(parts: Parts, document: Document) -> None:
    parts.files.path(document.revision).write_bytes(b"other bytes")


def lose_chunks(parts: Parts, document: Document) -> None:
    parts.index.delete(document.id)


def lose_index(parts: Parts, document: Document) -> None:
    shutil.rmtree(parts.home.index / document.collection)


def wait_for_all(shelf: Shelf) -> None:
    for document in shelf.library.list_documents(None, None, None, 9):
        assert shelf.wait(document).status is Status.SEARCHABLE


INGESTED_ANEW = "ingests it anew at the next start."


def test_a_sound_home_is_left_alone(home: Path, open_shelf: OpenShelf) -> None:
    with open_shelf() as shelf:
        shelf.add_and_wait("old.pdf", "The older revision.")
        shelf.add_and_wait("old.pdf", encrypted_pdf())
        shelf.add_and_wait("empty.txt", " ")
    with parts_of(home) as parts:
        before = (parts.catalog.list_documents(), parts.index.contents())
    assert problems(home) == []
    assert repair(home) == []
    with parts_of(home) as parts:
        assert (parts.catalog.list_documents(), parts.index.contents()) == before


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lose_text, "its text is missing or damaged"),
        (damage_text, "its text is missing or damaged"),
        (lose_chunks, "the index does not hold its 1 chunks"),
        (flip_a_bit_of_the_text, "its text is missing or damaged"),
        (flip_a_bit_of_the_chunk, "the index does not hold its 1 chunks"),
        (flip_a_bit_of_the_vector, "the index does not hold its 1 chunks"),
    ],
)
def test_what_can_be_made_again_is_ingested_anew(
    home: Path,
    document: Document,
    open_shelf: OpenShelf,
    damage: Callable[[Parts, Document], None],
    fault: str,
) -> None:
    with parts_of(home) as parts:
        damage(parts, document)
    assert problems(home) == [f"bees.txt ({document.id}): {fault}."]
    assert repair(home) == [INGESTED_ANEW]
    assert problems(home) == []
    with open_shelf() as shelf:
        assert shelf.wait(document).status is Status.SEARCHABLE
        assert shelf.find("sleep") == ["ants.txt", "bees.txt"]
        assert shelf.library.text(document).text == BEES
    assert problems(home) == []


def test_what_has_no_checksum_is_counted(home: Path, document: Document) -> None:
    assert unverified(home) == Counter(text=0, chunk=0)
    with parts_of(home) as parts:  # as earlier versions kept them
        [path] = parts.home.texts.glob(f"{document.revision}-*")
        path.write_bytes(path.read_bytes().partition(b"\n")[0])
    assert unverified(home) == Counter(text=1, chunk=0)
    with parts_of(home) as parts:
        parts.catalog.update(document.id, document.revision, searchable_parser=PARSER_VERSION - 1)
    assert unverified(home) == Counter(text=1, chunk=0)


@pytest.mark.parametrize("damage", [lose_original, damage_original])
def test_a_lost_original_is_asked_for_while_its_chunks_answer(
    home: Path,
    document: Document,
    open_shelf: OpenShelf,
    damage: Callable[[Parts, Document], None],
) -> None:
    with parts_of(home) as parts:
        damage(parts, document)
    assert problems(home) == [f"bees.txt ({document.id}): its original is missing or damaged."]
    assert repair(home) == ["marks it as failed, to be uploaded again."]
    assert problems(home) == []
    with open_shelf() as shelf:
        failed = shelf.library.get(document.id)
        assert (failed.status, failed.error_code) == (Status.FAILED, "missing")
        assert "Upload it again" in str(failed.error_reason)
        assert shelf.find("hive") == ["bees.txt"]
        assert shelf.add_and_wait("bees.txt", BEES).status is Status.SEARCHABLE
    assert problems(home) == []


def test_chunks_that_cannot_be_completed_are_removed(
    home: Path, document: Document, open_shelf: OpenShelf
) -> None:
    with parts_of(home) as parts:
        parts.catalog.update(document.id, document.revision, searchable_chunks=2)
        lose_original(parts, document)
        lose_text(parts, document)
    [problem] = problems(home)
    assert "original is missing or damaged, its text is missing or damaged, the index" in problem
    assert "does not hold its 2 chunks" in problem
    assert repair(home) == ["marks it as failed, to be uploaded again."]
    assert problems(home) == []
    with open_shelf() as shelf:
        assert shelf.find("sleep") == ["ants.txt"]
        assert shelf.files_with("hive") == []
        assert shelf.library.get(document.id).searchable_revision is None


def test_an_older_revision_without_chunks_answers_no_more(
    home: Path, document: Document, open_shelf: OpenShelf
) -> None:
    with open_shelf() as shelf:
        failed = shelf.add_and_wait("bees.txt", " ")
        assert failed.searchable_revision == document.revision
    with parts_of(home) as parts:
        lose_chunks(parts, document)
    # Then its files are no document's, either.
    assert repair(home) == ["removes the chunks of its older revision.", "removes them."]
    assert problems(home) == []
    with parts_of(home) as parts:
        left = parts.catalog.get(document.id)
        assert left
        assert left == replace(
            failed, searchable_revision=None, searchable_chunks=0, updated_at=left.updated_at
        )


def test_an_index_that_is_gone_is_filled_anew(
    home: Path, document: Document, open_shelf: OpenShelf
) -> None:
    with parts_of(home) as parts:
        lose_index(parts, document)
    assert repair(home) == [INGESTED_ANEW, INGESTED_ANEW]
    with open_shelf() as shelf:
        wait_for_all(shelf)
        assert shelf.find("sleep") == ["ants.txt", "bees.txt"]


@pytest.mark.parametrize("part", ["state", "shard", "chunks"])
def test_an_index_that_cannot_be_read_is_set_aside(
    home: Path, open_shelf: OpenShelf, part: str
) -> None:
    index = home / "index" / "default"
    if part == "state":
        (index / "current.json").write_text("{")
    elif part == "chunks":  # it opens
        [path] = index.rglob("payload_storage/page_0.dat")
        path.write_bytes(path.read_bytes().replace(b'"revision"', b'"revision\0'))
    else:
        for path in index.rglob("*config.json"):
            path.write_text("{")
    [problem] = problems(home)
    assert problem.startswith("The index of collection 'default' is damaged: ")
    [remedy] = repair(home)
    [aside] = (home / "damaged").iterdir()
    assert f"moves it to {aside} and ingests its documents anew" in remedy
    assert (aside / "current.json").exists()
    assert problems(home) == []
    with open_shelf() as shelf:
        wait_for_all(shelf)
        assert shelf.find("sleep") == ["ants.txt", "bees.txt"]


def test_chunks_of_no_document_are_removed(home: Path, document: Document) -> None:
    with parts_of(home) as parts:
        kept = parts.index.contents()
        [chunk] = parts.index.fetch(parts.index.rank_lexical("hive", 1)).values()
        strays = [
            replace(chunk, chunk_id="00000000-0000-0000-0000-000000000001", document_id="nobody"),
            replace(chunk, chunk_id="00000000-0000-0000-0000-000000000002", revision="old"),
        ]
        vectors = [[1.0] + [0.0] * 63] * 2
        parts.index.upsert(strays, np.array(vectors, dtype=np.float32))
    assert problems(home) == ["The index of collection 'default' holds 2 chunks of no document."]
    assert repair(home) == ["removes them."]
    assert problems(home) == []
    with parts_of(home) as parts:
        assert parts.index.contents() == kept


def test_what_belongs_to_nothing_is_removed(home: Path) -> None:
    (home / "files" / "ab").mkdir()
    (home / "files" / "ab" / ("ab" * 32)).write_bytes(b"lost")
    (home / "texts" / f"{'cd' * 32}-1-text_plain.json").write_bytes(b"lost")
    with parts_of(home) as parts:
        parts.store.open("nobody", dimension=4)
    assert problems(home) == [
        "The index 'nobody' is no collection's.",
        "Originals or texts of 2 revisions are no document's.",
    ]
    assert repair(home) == ["removes it.", "removes them."]
    assert problems(home) == []
    assert not list(home.rglob("*abab*"))


def test_the_index_that_a_reindexing_fills_is_no_orphan_unless_it_is_damaged(home: Path) -> None:
    with parts_of(home) as parts:
        [collection] = parts.catalog.list_collections()
        target = replace(collection, index_name="default~2")
        status, time = ReindexingStatus.RUNNING, parts.catalog.list_documents()[0].created_at
        parts.catalog.put_reindexing(Reindexing(target, status, "default~2", time))
        parts.store.open("default~2", dimension=4)
    assert problems(home) == []
    (home / "index" / "default~2" / "current.json").write_text("{")
    [problem] = problems(home)
    assert "which is being reindexed, is damaged" in problem
    assert repair(home) == ["removes it; run `suffice reindex default` again."]
    assert problems(home) == []


def test_a_document_under_way_is_left_to_its_job(home: Path, document: Document) -> None:
    with parts_of(home) as parts:
        lose_chunks(parts, document)
        parts.catalog.update(document.id, document.revision, status=Status.EMBEDDING)
    assert problems(home) == []


def test_a_damaged_database_is_told(home: Path) -> None:
    path = home / "catalog.sqlite"
    assert find_damage(path) is None
    content = bytearray(path.read_bytes())
    content[4096 : 4096 + 200] = b"\xff" * 200
    path.write_bytes(content)
    assert find_damage(path)
    path.write_bytes(b"no database at all" * 100)
    assert find_damage(path) == "file is not a database"


@pytest.mark.parametrize("name", ["catalog", "serving", "jobs"])
def test_no_service_starts_on_a_damaged_database(
    home: Path, open_shelf: OpenShelf, name: str
) -> None:
    damage(home / f"{name}.sqlite")
    with pytest.raises((IngestError, ServingError), match="suffice doctor"), open_shelf():
        pass


def test_damaged_jobs_are_queued_anew(
    home: Path, open_shelf: OpenShelf, document: Document
) -> None:
    with parts_of(home) as parts:  # it was accepted when the service was killed
        parts.catalog.update(document.id, document.revision, status=Status.QUEUED, attempt=2)
    damage(home / "jobs.sqlite")
    [problem] = problems(home)
    assert problem.startswith(f"{home}/jobs.sqlite is damaged: file is not a database.")
    repair(home)
    assert problems(home) == []
    [aside] = (home / "damaged").iterdir()
    assert (aside / "jobs.sqlite").exists()
    with open_shelf() as shelf:
        shelf.wait_until_searchable(document)
