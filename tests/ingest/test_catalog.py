import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from ingest import catalog as catalog_module
from ingest.catalog import Catalog
from ingest.catalog import metadata as tables
from ingest.documents import (
    Collection,
    Document,
    Reindexing,
    ReindexingStatus,
    Status,
    make_document_id,
)
from ingest.errors import CatalogUnavailableError

COLLECTION = Collection("default", "model", "fingerprint", "english", "structure-1", "default")
DOCUMENT = Document(
    id=make_document_id("default", "a.pdf"),
    collection="default",
    external_id="a.pdf",
    filename="Größe 漢字.pdf",
    media_type="application/pdf",
    revision="a" * 64,
    num_bytes=2**40,
    status=Status.QUEUED,
    searchable_revision=None,
    num_pages=None,
    num_chunks=None,
    num_embedded=0,
    error_code=None,
    error_reason=None,
    metadata={"author": "Ä", "nested": {"tags": [1, 2.5, None, True]}},
    attempt=1,
    created_at=datetime(2026, 11, 23, 12, 30, 1, 123456, tzinfo=UTC),
    updated_at=datetime(2026, 11, 23, 12, 30, 1, 123456, tzinfo=UTC),
)


def document(name: str, **changes: object) -> Document:
    identity = {"id": make_document_id("default", name), "external_id": name}
    return replace(DOCUMENT, **{**identity, **changes})  # type: ignore[arg-type]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/catalog.sqlite"


@pytest.fixture
def catalog(url: str) -> Iterator[Catalog]:
    catalog = Catalog(url)
    yield catalog
    catalog.close()


def test_a_document_comes_back_exactly(catalog: Catalog, url: str) -> None:
    assert catalog.get(DOCUMENT.id) is None
    catalog.put(DOCUMENT)
    assert catalog.get(DOCUMENT.id) == DOCUMENT
    again = Catalog(url)
    assert again.get(DOCUMENT.id) == DOCUMENT
    assert again.get(DOCUMENT.id).job_id == DOCUMENT.job_id  # type: ignore[union-attr]
    again.close()


def test_names_of_several_documents_come_at_once(catalog: Catalog) -> None:
    for name in ("a", "b", "c"):
        catalog.put(document(name, filename=f"{name}.md"))
    first, second, missing = (make_document_id("default", name) for name in ("a", "b", "x"))
    assert catalog.filenames([first, missing, second, first]) == {first: "a.md", second: "b.md"}
    assert catalog.filenames([]) == {}


def test_the_migrations_make_the_tables_of_the_code(catalog: Catalog, url: str) -> None:
    engine = sa.create_engine(url)
    inspector = sa.inspect(engine)
    for name, table in tables.tables.items():
        made = {column["name"]: column["nullable"] for column in inspector.get_columns(name)}
        assert made == {column.name: column.nullable for column in table.columns}
        indexed = {tuple(index["column_names"]) for index in inspector.get_indexes(name)}
        assert indexed == {tuple(column.name for column in i.columns) for i in table.indexes}
    engine.dispose()


def test_put_replaces_the_row_of_the_same_id(catalog: Catalog) -> None:
    catalog.put(DOCUMENT)
    changed = replace(DOCUMENT, revision="b" * 64, attempt=2, searchable_revision="a" * 64)
    catalog.put(changed)
    assert catalog.get(DOCUMENT.id) == changed
    assert len(catalog.list_documents()) == 1


def test_update_changes_only_the_revision_it_means(catalog: Catalog) -> None:
    catalog.put(DOCUMENT)
    assert catalog.update(DOCUMENT.id, "a" * 64, status=Status.PARSING, num_pages=3)
    assert not catalog.update(DOCUMENT.id, "b" * 64, status=Status.FAILED)
    assert not catalog.update("unknown", "a" * 64, status=Status.FAILED)
    found = catalog.get(DOCUMENT.id)
    assert found
    assert (found.status, found.num_pages) == (Status.PARSING, 3)
    assert found.updated_at > DOCUMENT.updated_at


def test_pages_of_the_list_hold_each_document_once(catalog: Catalog) -> None:
    documents = sorted((document(f"{n}.txt") for n in range(7)), key=lambda d: d.id)
    for one in documents:
        catalog.put(one)
    found: list[Document] = []
    while page := catalog.list_documents(after=found[-1].id if found else None, limit=3):
        found += page
    assert found == documents


def test_the_list_can_be_filtered(catalog: Catalog) -> None:
    catalog.put(document("a"))
    catalog.put(document("b", status=Status.FAILED))
    catalog.put(document("c", collection="other", status=Status.FAILED))
    catalog.put(document("d", collection="other", status=Status.PARTIAL))

    def names(**filters: object) -> list[str]:
        found = catalog.list_documents(**filters)  # type: ignore[arg-type]
        return sorted(one.external_id for one in found)

    assert names(collection="default") == ["a", "b"]
    assert names(statuses=[Status.FAILED]) == ["b", "c"]
    assert names(statuses=[Status.PARTIAL, Status.FAILED]) == ["b", "c", "d"]
    assert names(collection="other", statuses=[Status.FAILED]) == ["c"]
    assert names(collection="other", statuses=[Status.QUEUED]) == []


@pytest.mark.parametrize(
    ("status", "unfinished"),
    [
        (Status.QUEUED, True),
        (Status.PARSING, True),
        (Status.EMBEDDING, True),
        (Status.SEARCHABLE, False),
        (Status.PARTIAL, False),
        (Status.FAILED, False),
    ],
)
def test_unfinished_documents(catalog: Catalog, status: Status, unfinished: bool) -> None:
    catalog.put(replace(DOCUMENT, status=status))
    assert bool(catalog.list_unfinished()) is unfinished


def test_a_revision_is_used_while_it_is_wanted_or_answers(catalog: Catalog) -> None:
    catalog.put(document("a", revision="new", searchable_revision="old"))
    catalog.put(document("b", revision="new"))
    assert catalog.uses_revision("new")
    assert catalog.uses_revision("old")
    assert not catalog.uses_revision("older")
    a = make_document_id("default", "a")
    assert catalog.uses_revision("new", other_than=a)
    assert not catalog.uses_revision("old", other_than=a)
    catalog.delete(a)
    assert not catalog.uses_revision("old")


def test_collections_count_their_documents(catalog: Catalog) -> None:
    catalog.add_collection(COLLECTION)
    catalog.add_collection(replace(COLLECTION, name="a-empty"))
    catalog.put(document("a"))
    catalog.put(document("b"))
    assert catalog.list_collections() == [
        replace(COLLECTION, name="a-empty"),
        replace(COLLECTION, num_documents=2),
    ]
    assert catalog.get_collection("default") == COLLECTION
    catalog.delete_collection("default")
    assert catalog.get_collection("default") is None


REINDEXING = Reindexing(
    target=replace(COLLECTION, embedder="new model", index_name="default~2"),
    status=ReindexingStatus.QUEUED,
    spare_index="default~2",
    started_at=datetime(2026, 11, 23, 12, 30, 1, 123456, tzinfo=UTC),
)


def searchable(name: str, **changes: object) -> Document:
    made = {"searchable_revision": "a" * 64, "searchable_chunks": 5, "status": Status.SEARCHABLE}
    return document(name, **{**made, **changes})


def test_a_reindexing_comes_back_with_what_is_done(catalog: Catalog) -> None:
    assert catalog.get_reindexing("default") is None
    catalog.put_reindexing(REINDEXING)
    assert catalog.list_reindexings() == [REINDEXING]
    for name, num_chunks in (("a", 7), ("b", 4), ("a", 3)):
        catalog.add_reindexed(searchable(name), num_chunks)
    catalog.set_reindexing_status("default", ReindexingStatus.RUNNING)
    running = replace(REINDEXING, status=ReindexingStatus.RUNNING)
    assert catalog.get_reindexing("default") == running
    assert catalog.list_reindexings() == [replace(running, num_done=2, num_chunks=7)]
    catalog.put_reindexing(REINDEXING)  # begun again: nothing is done
    assert catalog.get_reindexing("default") == REINDEXING
    catalog.delete_collection("default")
    assert catalog.list_reindexings() == []


def test_what_is_left_to_reindex(catalog: Catalog) -> None:
    catalog.put_reindexing(REINDEXING)
    names = ["a", "b", "c", "d"]
    documents = {name: searchable(name) for name in names}
    for one in documents.values():
        catalog.put(one)
    catalog.put(document("waiting"))  # nothing of it answers yet
    catalog.put(replace(searchable("other"), id="other", collection="other"))
    assert {one.id for one in catalog.list_to_reindex("default")} == {
        one.id for one in documents.values()
    }
    first, *rest = catalog.list_to_reindex("default")
    assert catalog.list_to_reindex("default", after=first.id) == rest
    assert catalog.list_to_reindex("default", limit=1) == [first]
    for one in documents.values():
        catalog.add_reindexed(one, 5)
    assert catalog.list_to_reindex("default") == []
    # One is replaced, one deleted.
    replaced, deleted = documents["a"], documents["b"]
    catalog.update(replaced.id, replaced.revision, searchable_revision="b" * 64)
    catalog.delete(deleted.id)
    assert [one.id for one in catalog.list_to_reindex("default")] == [replaced.id]
    assert catalog.list_replaced("default") == [replaced.id]
    assert deleted.id not in {one for one, _ in catalog.list_reindexed("default")}
    catalog.forget_reindexed(replaced.id)
    assert catalog.list_replaced("default") == []


def test_a_swap_changes_the_collection_and_the_counts_of_what_answers(catalog: Catalog) -> None:
    catalog.add_collection(COLLECTION)
    catalog.put_reindexing(REINDEXING)
    latest = searchable("latest", num_chunks=5, num_embedded=5)
    older = searchable("older", revision="b" * 64, num_chunks=9, status=Status.FAILED)
    waiting = document("waiting")
    for one in (latest, older, waiting):
        catalog.put(one)
    catalog.add_reindexed(latest, 2)
    catalog.add_reindexed(older, 3)
    catalog.swap_index(REINDEXING, "default", parser_version=4)
    assert catalog.get_collection("default") == REINDEXING.target
    assert catalog.get(latest.id) == replace(
        latest, searchable_chunks=2, searchable_parser=4, num_chunks=2, num_embedded=2
    )
    assert catalog.get(older.id) == replace(older, searchable_chunks=3, searchable_parser=4)
    assert catalog.get(waiting.id) == waiting
    finishing = replace(REINDEXING, status=ReindexingStatus.FINISHING, spare_index="default")
    assert catalog.get_reindexing("default") == finishing


def test_collections_of_older_catalogs_keep_their_index(url: str) -> None:
    engine = sa.create_engine(url)
    config = Config()
    config.set_main_option(
        "script_location", str(Path(catalog_module.__file__).parent / "migrations")
    )
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        connection.execute(
            sa.text("INSERT INTO collections VALUES ('laws', 'model', 'f', 'english', 'c')")
        )
    engine.dispose()
    catalog = Catalog(url)
    assert catalog.get_collection("laws") == Collection(
        "laws", "model", "f", "english", "c", "laws", is_filterable=False
    )
    catalog.close()


def test_a_catalog_keeps_its_identity_and_another_has_another(
    catalog: Catalog, url: str, tmp_path: Path
) -> None:
    for again, is_same in ((url, True), (f"sqlite:///{tmp_path}/other.sqlite", False)):
        other = Catalog(again)
        assert (other.identity() == catalog.identity()) is is_same
        other.close()


def test_chunks_that_answer_are_counted(catalog: Catalog) -> None:
    catalog.put(document("a", num_chunks=3, searchable_chunks=3, status=Status.SEARCHABLE))
    # Replaced: 7 chunks are on their way, 2 old ones answer.
    catalog.put(document("b", num_chunks=7, searchable_chunks=2, status=Status.EMBEDDING))
    catalog.put(document("c", num_chunks=7, status=Status.EMBEDDING))
    catalog.put(document("d", collection="other", searchable_chunks=9))
    assert catalog.count_chunks("default") == 5
    assert catalog.count_chunks("nothing") == 0


def test_the_queue_is_counted_and_ordered_in_turns(catalog: Catalog) -> None:
    assert (catalog.count_queued(), catalog.next_turn("default")) == (0, 1)
    catalog.put(document("tried-before", turn=2, num_retries=1))
    catalog.put(document("under-way", turn=4, status=Status.EMBEDDING))
    for turn in (5, 6, 7):
        catalog.put(document(f"waiting-{turn}", turn=turn))
    assert catalog.count_queued() == 4
    assert catalog.next_turn("default") == 8
    # Next to the first that waits, before the rest of its collection.
    assert catalog.next_turn("other") == 5


def test_a_database_that_does_not_answer(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    catalog = Catalog(f"sqlite:///{folder}/catalog.sqlite")
    catalog.close()
    shutil.rmtree(folder)
    for use in (catalog.list_unfinished, lambda: catalog.put(DOCUMENT)):
        with pytest.raises(CatalogUnavailableError, match=r"Try again.*unable to open"):
            use()


def test_the_queue_is_read_from_its_indexes(catalog: Catalog) -> None:
    with catalog._database.engine.connect() as connection:
        for sql in (
            "SELECT count(*) FROM documents WHERE status = 'queued'",
            "SELECT min(turn) FROM documents WHERE status = 'queued' AND num_retries = 0",
            "SELECT max(turn) FROM documents WHERE status = 'queued' AND collection = 'a'",
        ):
            plan = connection.execute(sa.text(f"EXPLAIN QUERY PLAN {sql}")).all()
            assert "INDEX ix_documents_waiting" in str(plan[0]), sql


def test_a_deleted_row_is_not_on_disk(catalog: Catalog, tmp_path: Path) -> None:
    catalog.put(document("xyzzy-kept"))
    catalog.put(document("plugh.txt", filename="plugh.txt", metadata={"note": "plugh"}))
    catalog.update(make_document_id("default", "plugh.txt"), "a" * 64, error_reason="plugh")
    catalog.delete(make_document_id("default", "plugh.txt"))
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"plugh" not in content
    assert b"xyzzy-kept" in content


def test_threads_may_write_at_once(catalog: Catalog) -> None:
    def write(number: int) -> None:
        name = f"{number % 4}-{number}"
        catalog.put(document(name))
        for count in range(5):
            assert catalog.update(make_document_id("default", name), "a" * 64, num_embedded=count)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(32)))
    assert [one.num_embedded for one in catalog.list_documents()] == [4] * 32


def test_ids_are_stable_and_of_their_collection() -> None:
    assert make_document_id("default", "a.pdf") == "ec10bfbd-b829-57b1-a269-b8b2a6da9f60"
    assert make_document_id("other", "a.pdf") != make_document_id("default", "a.pdf")


def test_each_attempt_is_a_job_of_its_own() -> None:
    later = DOCUMENT.created_at + timedelta(microseconds=1)
    jobs = {
        DOCUMENT.job_id,
        replace(DOCUMENT, attempt=2).job_id,
        replace(DOCUMENT, revision="b" * 64).job_id,
        # Deleted and uploaded again.
        replace(DOCUMENT, created_at=later).job_id,
    }
    assert len(jobs) == 4
