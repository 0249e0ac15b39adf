"""How jobs are queued, tried again and given up."""

import errno
import logging
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from types import SimpleNamespace

import pytest

from ingest import jobs
from ingest.documents import Document, Status
from ingest.errors import CatalogUnavailableError, DiskFullError, QueueFullError
from retrieval.embedding import Matrix
from retrieval.errors import EmbedderFailedError, IndexUnavailableError
from tests.fakes import GatedEmbedder, HashEmbedder
from tests.ingest.conftest import TIMEOUT_SECONDS, OpenShelf, Shelf, encrypted_pdf

DOWN = IndexUnavailableError("Qdrant did not answer.")
FULL_DISK = OSError(errno.ENOSPC, "No space left on device")


class FailingEmbedder(HashEmbedder):
    """Raises an error some times, then works."""

    def __init__(self, error: Exception, times: int) -> None:
        super().__init__()
        self.error = error
        self.times = times

    def embed_passages(self, texts: Sequence[str]) -> Matrix:
        if self.times > 0:
            self.times -= 1
            raise self.error
        return super().embed_passages(texts)


@contextmanager
def locked_jobs(shelf: Shelf) -> Iterator[None]:
    """Lock the database of the jobs, as another program would."""
    path = shelf.home / "jobs.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def test_a_locked_database_of_jobs_is_told_and_nothing_changes(
    open_shelf: OpenShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LOCK_SECONDS", 0.1)
    with open_shelf() as shelf:
        document = shelf.add_and_wait("bees.txt", "Bees sleep.")
        calls: list[Callable[[], object]] = [
            lambda: shelf.add("ants.txt", "Ants never sleep."),
            lambda: shelf.library.retry(document.id),
            lambda: shelf.library.delete(document.id),
            lambda: shelf.library.reindex("default", force=True),
        ]
        with locked_jobs(shelf):
            for call in calls:
                with pytest.raises(CatalogUnavailableError, match="locked by another program"):
                    call()
        assert shelf.find("sleep") == ["bees.txt"]
        shelf.add_and_wait("ants.txt", "Ants never sleep.")
        shelf.library.delete(document.id)
        assert shelf.find("sleep") == ["ants.txt"]


def wait_for_retry(shelf: Shelf, document: Document) -> Document:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while (found := shelf.library.get(document.id)).num_retries == 0:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (DOWN, "index_unavailable", "Qdrant did not answer."),
        (FULL_DISK, "disk_full", "The disk of the service is full."),
        (MemoryError(), "out_of_memory", "The service ran out of memory."),
        (
            OSError(errno.EACCES, "Permission denied", "/home/x"),
            "file_error",
            "written: Permission denied.",
        ),
        (EmbedderFailedError("The embedder failed."), "embedder_failed", "The embedder failed."),
        (RuntimeError("/home/x"), "internal", "RuntimeError. The log"),
    ],
    ids=["index", "disk", "memory", "file", "embedder", "unforeseen"],
)
def test_a_fault_that_passes_is_shown_while_the_job_waits(
    open_shelf: OpenShelf, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str, words: str
) -> None:
    monkeypatch.setattr(jobs, "RETRY_DELAYS_SECONDS", (1, 1))
    with open_shelf(FailingEmbedder(error, times=1)) as shelf:
        document = shelf.add("a.txt", "The xyzzy text.")
        waiting = wait_for_retry(shelf, document)
        assert (waiting.status, waiting.error_code) == (Status.QUEUED, code)
        assert words in str(waiting.error_reason)
        assert "/home" not in str(waiting.error_reason)
        assert "It is tried again at " in str(waiting.error_reason)
        assert "1 of 2 times" in str(waiting.error_reason)
        found = shelf.wait(document)
        assert (found.status, found.error_code, found.error_reason) == (
            Status.SEARCHABLE,
            None,
            None,
        )
        assert shelf.find("xyzzy") == ["a.txt"]


def test_documents_wait_for_room_on_the_disk(
    open_shelf: OpenShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "RETRY_DELAYS_SECONDS", (1,) * 30)
    embedder = GatedEmbedder()
    embedder.close()
    with open_shelf(embedder) as shelf:
        document = shelf.add("a.txt", "The xyzzy text.")
        assert embedder.reached.wait(TIMEOUT_SECONDS)
        with monkeypatch.context() as full:
            full.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
            embedder.gate.set()
            waiting = wait_for_retry(shelf, document)
            assert (waiting.status, waiting.error_code) == (Status.QUEUED, "disk_full")
            assert "Make room on it" in str(waiting.error_reason)
            with pytest.raises(DiskFullError, match="INGEST_MIN_FREE_BYTES"):
                shelf.add("b.txt", "More text.")
        assert shelf.wait(document).status is Status.SEARCHABLE


@pytest.mark.parametrize(
    ("error", "tries"), [(DOWN, 6), (RuntimeError("bug"), 3)], ids=["passing", "unforeseen"]
)
def test_a_fault_that_stays_fails_the_document_after_the_last_try(
    open_shelf: OpenShelf, monkeypatch: pytest.MonkeyPatch, error: Exception, tries: int
) -> None:
    monkeypatch.setattr(jobs, "RETRY_DELAYS_SECONDS", (0.01,) * len(jobs.RETRY_DELAYS_SECONDS))
    embedder = FailingEmbedder(error, times=1000)
    with open_shelf(embedder) as shelf:
        failed = shelf.add_and_wait("a.txt", "The xyzzy text.")
        assert failed.status is Status.FAILED
        assert f"It was tried {tries} times" in str(failed.error_reason)
        assert 1000 - embedder.times == tries
        embedder.times = 0
        again = shelf.wait(shelf.library.retry(failed.id))
        assert (again.status, again.num_retries) == (Status.SEARCHABLE, 0)


def test_a_file_that_cannot_be_read_is_not_tried_again(open_shelf: OpenShelf) -> None:
    with open_shelf() as shelf:
        failed = shelf.add_and_wait("locked.pdf", encrypted_pdf())
    assert (failed.status, failed.num_retries) == (Status.FAILED, 0)
    assert "tried" not in str(failed.error_reason)


def test_a_job_that_waits_to_be_tried_again_goes_on_after_a_restart(
    open_shelf: OpenShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "RETRY_DELAYS_SECONDS", (2, 2))
    with open_shelf(FailingEmbedder(DOWN, times=1)) as shelf:
        document = shelf.add("a.txt", "The xyzzy text.")
        wait_for_retry(shelf, document)
    with open_shelf() as shelf:
        assert shelf.wait(document).status is Status.SEARCHABLE


def test_a_document_that_waits_to_be_tried_again_can_be_deleted(open_shelf: OpenShelf) -> None:
    with open_shelf(FailingEmbedder(DOWN, times=1)) as shelf:
        document = shelf.add("a.txt", "The xyzzy text.")
        wait_for_retry(shelf, document)
        shelf.library.delete(document.id)
        assert shelf.files_with("xyzzy") == []
        time.sleep(jobs.RETRY_DELAYS_SECONDS[0] + 1)
        shelf.add_and_wait("b.txt", "The plugh text.")
        assert shelf.work() == []
        assert shelf.files_with("xyzzy") == []


def test_jobs_of_another_version_are_queued_anew(
    open_shelf: OpenShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = GatedEmbedder()
    embedder.close()
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "WORKFLOW_VERSION", "0")
        with open_shelf(embedder) as shelf:
            documents = [shelf.add(f"{n}.txt", f"The text {n}.") for n in range(10)]
            assert embedder.reached.wait(TIMEOUT_SECONDS)
            embedder.gate.set()
            shelf.library._pipeline.stopping.set()
    with open_shelf() as shelf:
        assert {shelf.wait(one).status for one in documents} == {Status.SEARCHABLE}


def test_collections_take_turns(open_shelf: OpenShelf) -> None:
    """A single file does not wait for the hundreds that another collection has waiting."""
    embedder = GatedEmbedder()
    embedder.close()
    with open_shelf(embedder) as shelf:
        for number in range(200):
            shelf.add(f"{number}.txt", f"Number {number} of many.", "bulk")
        assert embedder.reached.wait(TIMEOUT_SECONDS)
        single = shelf.add("single.txt", "The xyzzy text.", "single")
        pair = [shelf.add(f"{n}.txt", f"Number {n} of a pair.", "pair") for n in range(2)]
        embedder.gate.set()
        for document in (single, *pair):
            shelf.wait_until_searchable(document)
        finished = shelf.library.list_documents("bulk", [Status.SEARCHABLE], None, 1000)
        # Those under way when they came, and one for each turn; some more end while we look.
        assert len(finished) < 50


def test_turns_of_collections(open_shelf: OpenShelf) -> None:
    embedder = GatedEmbedder()
    embedder.close()
    with open_shelf(embedder) as shelf:
        under_way = [shelf.add(f"{n}.txt", f"First {n}.", "under-way") for n in range(4)]
        assert embedder.reached.wait(TIMEOUT_SECONDS)
        for document in under_way:
            shelf.wait_until_started(document)
        assert [shelf.add(f"{n}.txt", f"A {n}.", "a").turn for n in range(3)] == [1, 2, 3]
        assert [shelf.add(f"{n}.txt", f"B {n}.", "b").turn for n in range(2)] == [1, 2]
        assert shelf.add("3.txt", "A 3.", "a").turn == 4
        assert shelf.add("1.txt", "A 1, replaced while it waits.", "a").turn == 2
        embedder.gate.set()


def test_uploads_are_refused_while_too_many_are_waiting(open_shelf: OpenShelf) -> None:
    embedder = GatedEmbedder()
    embedder.close()
    with open_shelf(embedder, max_queued=3) as shelf:
        under_way = []
        for n in range(4):  # as many as are worked on at a time
            under_way.append(shelf.add(f"{n}.txt", f"First text {n}."))
            shelf.wait_until_started(under_way[-1])
        accepted = [shelf.add(f"{n}.txt", f"Text {n}.") for n in (4, 5, 6)]
        with pytest.raises(QueueFullError, match=r"3 documents are waiting.*INGEST_MAX_QUEUED"):
            shelf.add("refused.txt", "Not stored.")
        kept = [path for path in (shelf.home / "files").rglob("*") if path.is_file()]
        assert len(kept) == 7
        accepted += under_way
        embedder.gate.set()
        assert {shelf.wait(one).status for one in accepted} == {Status.SEARCHABLE}
        assert shelf.add_and_wait("last.txt", "The xyzzy text.").status is Status.SEARCHABLE


def test_the_log_tells_of_a_deletion_in_one_plain_line(
    open_shelf: OpenShelf, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = GatedEmbedder()
    embedder.close()
    with open_shelf(embedder) as shelf, caplog.at_level(logging.INFO):
        document = shelf.add("a.txt", "The xyzzy text.")
        assert embedder.reached.wait(TIMEOUT_SECONDS)
        shelf.library.delete(document.id)
        embedder.gate.set()
        shelf.add_and_wait("b.txt", "The plugh text.")
    assert [record.message for record in caplog.records if record.exc_info] == []
    assert [r.levelname for r in caplog.records if r.message == "superseded"] == ["INFO"]


def test_a_job_that_runs_again_after_its_result_repeats_no_work(open_shelf: OpenShelf) -> None:
    """As after a crash between the result and the end of the job."""
    embedder = GatedEmbedder()
    with open_shelf(embedder) as shelf:
        document = shelf.add_and_wait("a.txt", "The xyzzy text.")
        wait_until_a_job_has_ended()
        jobs._delete_ended_jobs()
        embedder.close()
        jobs.enqueue(document)
        wait_until_a_job_has_ended()
        assert not embedder.reached.is_set()
        assert shelf.library.get(document.id) == document


def wait_until_a_job_has_ended() -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not jobs._list_jobs(jobs.ENDED):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("python", "sqlite", "is_fine"),
    [
        ((3, 11), (3, 40, 1), True),
        ((3, 12), (3, 42, 0), True),
        ((3, 12), (3, 40, 1), False),
        ((3, 13), (3, 41, 2), False),
    ],
)
def test_a_sqlite_that_is_too_old_is_told(
    python: tuple[int, ...], sqlite: tuple[int, ...], *, is_fine: bool
) -> None:
    if is_fine:
        jobs.check_sqlite(python, sqlite)
    else:
        with pytest.raises(CatalogUnavailableError, match=r"has SQLite 3\.4.*3\.42 or newer"):
            jobs.check_sqlite(python, sqlite)
