"""Documents across restarts of the service, also with other settings."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Timer

import pytest
import sqlalchemy as sa

from ingest import jobs as jobs_module
from ingest.catalog import collections
from ingest.documents import LAST_TURNS, Status
from ingest.errors import DocumentNotFoundError
from ingest.files import PARSER_VERSION, FileStore
from ingest.library import Upload
from ingest.parsers.pool import ParserPool
from ingest.texts import CanonicalText
from retrieval.embedding import Matrix
from retrieval.errors import CollectionMismatchError, IndexUnavailableError
from retrieval.filters import parse_filter
from tests.fakes import GatedEmbedder, HashEmbedder
from tests.ingest.conftest import (
    LONG,
    TIMEOUT_SECONDS,
    OpenShelf,
    assert_searchable_once,
    encrypted_pdf,
)

pytestmark = pytest.mark.usefixtures("no_errors_in_the_log")


def test_deletion_while_the_job_runs(open_shelf: OpenShelf) -> None:
    embedder = GatedEmbedder()
    embedder.close()
    with open_shelf(embedder) as shelf:
        document = shelf.add("a.txt", "The xyzzy text. " * 20)
        assert embedder.reached.wait(TIMEOUT_SECONDS)
        shelf.library.delete(document.id)
        assert shelf.files_with("xyzzy") == []
        embedder.gate.set()
        # The queue goes on, and nothing of the deleted document comes back.
        shelf.add_and_wait("b.txt", "The plugh text.")
        assert shelf.find("xyzzy") == []
        assert shelf.files_with("xyzzy") == []
        assert shelf.work() == []
    with open_shelf() as shelf:
        assert shelf.files_with("xyzzy") == []
        assert [d.filename for d in shelf.library.list_documents(None, None, None, 9)] == ["b.txt"]


def test_a_job_goes_on_after_a_restart(open_shelf: OpenShelf) -> None:
    embedder = GatedEmbedder()
    embedder.close()
    with open_shelf(embedder) as shelf:
        document = shelf.add("a.txt", LONG)
        assert embedder.reached.wait(TIMEOUT_SECONDS)
        embedder.gate.set()
    with open_shelf() as shelf:
        assert_searchable_once(shelf, document)


def test_indexes_are_open_before_anybody_asks(open_shelf: OpenShelf) -> None:
    with open_shelf() as shelf:
        shelf.add_and_wait("a.txt", LONG)
        folder = str(shelf.home / "index")
    assert folder not in _mapped_files()
    with open_shelf():
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while folder not in _mapped_files():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _mapped_files() -> str:
    return Path("/proc/self/maps").read_text()


def test_a_job_that_outlives_the_stop_goes_on_after_a_restart(
    open_shelf: OpenShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "STOP_TIMEOUT_SECONDS", 0.2)
    embedder = GatedEmbedder()
    embedder.close()
    with open_shelf(embedder) as shelf:
        document = shelf.add("a.txt", "The xyzzy text.")
        assert embedder.reached.wait(TIMEOUT_SECONDS)
    embedder.gate.set()
    time.sleep(0.5)
    with open_shelf() as shelf:
        assert shelf.wait(document).status is Status.SEARCHABLE


class BreakingEmbedder(GatedEmbedder):
    """Fails as soon as the gate is open, like an engine that was closed meanwhile."""

    def embed_passages(self, texts: Sequence[str]) -> Matrix:
        super().embed_passages(texts)
        raise IndexUnavailableError("closed")


def test_a_job_that_fails_because_the_service_stops_goes_on_after_a_restart(
    open_shelf: OpenShelf,
) -> None:
    embedder = BreakingEmbedder()
    embedder.close()
    with open_shelf(embedder) as shelf:
        document = shelf.add("a.txt", "The xyzzy text.")
        assert embedder.reached.wait(TIMEOUT_SECONDS)
        # Opened while the service is waiting for the job.
        Timer(0.5, embedder.gate.set).start()
    with open_shelf() as shelf:
        assert shelf.wait(document).status is Status.SEARCHABLE


def test_a_job_that_ended_without_a_result_is_done_again(open_shelf: OpenShelf) -> None:
    """As when the catalog could not be written at the end of the job."""
    with open_shelf() as shelf:
        document = shelf.add_and_wait("a.txt", "The xyzzy text.")
        pipeline = shelf.library._pipeline
        assert pipeline.catalog.update(document.id, document.revision, status=Status.EMBEDDING)
    with open_shelf() as shelf:
        assert shelf.wait(document).status is Status.SEARCHABLE
        assert shelf.find("xyzzy") == ["a.txt"]


def test_filters_find_what_was_ingested_before_there_were_filters(open_shelf: OpenShelf) -> None:
    with open_shelf() as shelf:
        upload = Upload("a.txt", [b"The xyzzy text."], "default", None, {"year": 2024})
        document = shelf.wait(shelf.library.add(upload)[0])
        pipeline = shelf.library._pipeline
        pipeline.store.open("default").set_attributes(document.id, {})
        with pipeline.catalog._database.writing() as connection:
            connection.execute(sa.update(collections).values(is_filterable=False))
    embedder = GatedEmbedder()
    embedder.close()  # nothing is embedded anew
    where = parse_filter({"type": "gte", "key": "year", "value": 2024})
    with open_shelf(embedder) as shelf:
        index = shelf.index()
        assert len(index.rank_lexical("xyzzy", 10, where=where)) == 1
        assert shelf.state().collection.is_filterable


def test_what_another_parser_read_is_ingested_anew_and_answers_meanwhile(
    open_shelf: OpenShelf,
) -> None:
    with open_shelf() as shelf:
        old = shelf.add_and_wait("a.txt", "The xyzzy text.")
        assert old.searchable_parser == PARSER_VERSION
        pipeline = shelf.library._pipeline
        pipeline.catalog.update(old.id, old.revision, searchable_parser=PARSER_VERSION - 1)
        [path] = (shelf.home / "texts").iterdir()
        older = path.with_name(path.name.replace(f"-{PARSER_VERSION}-", f"-{PARSER_VERSION - 1}-"))
        # Kept by a version without checksums.
        content = path.read_text().partition("\n")[0]
        older.write_text(content.replace("The xyzzy", "An xyzzy"))
        path.unlink()
    embedder = GatedEmbedder()
    embedder.close()
    with open_shelf(embedder) as shelf:
        assert embedder.reached.wait(TIMEOUT_SECONDS)
        assert shelf.find("xyzzy") == ["a.txt"]
        # The new text is there, but the answering chunks were not cut from it.
        assert path.exists()
        answering = shelf.library.text(shelf.library.get(old.id))
        assert answering.text == "An xyzzy text."
        embedder.gate.set()
        new = shelf.wait(old)
        assert (new.status, new.searchable_parser) == (Status.SEARCHABLE, PARSER_VERSION)
        assert shelf.library.text(new).text == "The xyzzy text."
        assert shelf.state().num_chunks == 1
    with open_shelf() as shelf:
        assert shelf.library.get(old.id) == new
        shelf.wait_until_gone("An xyzzy")
        assert path.exists()


def test_what_another_parser_read_stays_when_it_cannot_be_read_anew(open_shelf: OpenShelf) -> None:
    with open_shelf() as shelf:
        upload = Upload("a.pdf", [encrypted_pdf()], "default", None, {}, "password")
        old = shelf.wait(shelf.library.add(upload)[0])
        text = shelf.library.text(old)
        pipeline = shelf.library._pipeline
        pipeline.catalog.update(old.id, old.revision, searchable_parser=PARSER_VERSION - 1)
        [path] = (shelf.home / "texts").iterdir()
        path.rename(
            path.with_name(path.name.replace(f"-{PARSER_VERSION}-", f"-{PARSER_VERSION - 1}-"))
        )
    with open_shelf() as shelf:
        new = shelf.wait(old)
        assert (new.status, new.error_reason) == (Status.SEARCHABLE, None)
        assert shelf.library.text(new) == text
    with open_shelf() as shelf:
        assert shelf.library.get(old.id) == new
        assert shelf.find("secret") == ["a.pdf"]


def test_uploads_do_not_wait_for_what_another_parser_read(open_shelf: OpenShelf) -> None:
    with open_shelf() as shelf:
        old = [shelf.add_and_wait(f"{n}.txt", f"Number {n}.") for n in range(2)]
        for one in old:
            shelf.library._pipeline.catalog.update(one.id, one.revision, searchable_parser=0)
    with open_shelf() as shelf:
        assert [shelf.wait(one).turn for one in old] == [LAST_TURNS, LAST_TURNS + 1]
        catalog = shelf.library._pipeline.catalog
        catalog.put(replace(shelf.library.get(old[0].id), status=Status.QUEUED))
        assert (catalog.count_queued(), catalog.next_turn("default")) == (0, 1)
        assert shelf.add("0.txt", "Number 0, replaced while it waits.").turn == 1


def test_vectors_of_another_parsers_text_are_not_continued(
    open_shelf: OpenShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_text = CanonicalText("\n\n".join(reversed(LONG.split("\n\n"))))
    embedder = GatedEmbedder()
    embedder.close(after=1)
    with monkeypatch.context() as older:
        for module in ("ingest.files", "ingest.pipeline"):
            older.setattr(f"{module}.PARSER_VERSION", PARSER_VERSION - 1)
        older.setattr(ParserPool, "parse", lambda *_, **__: other_text)
        with open_shelf(embedder) as shelf:
            document = shelf.add("a.txt", LONG)
            assert embedder.reached.wait(TIMEOUT_SECONDS)
            embedder.gate.set()
    assert shelf.work() != []
    with open_shelf() as shelf:
        assert_searchable_once(shelf, document)
        assert shelf.library.text(shelf.library.get(document.id)).text == LONG


def test_what_another_parser_read_waits_for_its_embedder(open_shelf: OpenShelf) -> None:
    with open_shelf() as shelf:
        old = shelf.add_and_wait("a.txt", "The xyzzy text.")
        shelf.library._pipeline.catalog.update(old.id, old.revision, searchable_parser=0)
        before = shelf.library.get(old.id)
    with open_shelf(HashEmbedder("other-model", "hash-2")) as shelf:
        assert shelf.library.get(old.id) == before


def test_a_job_goes_on_with_other_chunks_after_a_restart(open_shelf: OpenShelf) -> None:
    embedder = GatedEmbedder()
    embedder.close()
    with open_shelf(embedder) as shelf:
        document = shelf.add("a.txt", LONG)
        assert embedder.reached.wait(TIMEOUT_SECONDS)
        embedder.gate.set()
    with open_shelf(chunk_tokens=64) as shelf:
        assert_searchable_once(shelf, document)


def test_chunks_of_other_settings_are_replaced(open_shelf: OpenShelf) -> None:
    with open_shelf() as shelf:
        document = shelf.add_and_wait("a.txt", LONG)
        shelf.add_and_wait("a.txt", encrypted_pdf())
    with open_shelf(chunk_tokens=64) as shelf:
        back = shelf.add("a.txt", LONG)
        assert_searchable_once(shelf, back)
        assert shelf.library.get(back.id).num_chunks != document.num_chunks


def test_vectors_of_two_embedders_are_never_mixed(open_shelf: OpenShelf) -> None:
    with open_shelf() as shelf:
        kept = shelf.add_and_wait("a.txt", "The xyzzy text.")
        gone = shelf.add_and_wait("b.txt", "The plugh text.")
    other = HashEmbedder("other-model", "hash-2", dimension=32)
    with open_shelf(other) as shelf:
        for use in (lambda: shelf.add("c.txt", "text"), lambda: shelf.find("text")):
            with pytest.raises(CollectionMismatchError, match="suffice reindex default") as caught:
                use()
            assert "'hash-embedder', which cannot be loaded" in str(caught.value)
        assert shelf.add_and_wait("a.txt", "text", "new").status is Status.SEARCHABLE
        shelf.library.delete(gone.id)
        assert shelf.files_with("plugh") == []
    with open_shelf() as shelf:
        assert shelf.find("xyzzy") == ["a.txt"]
        assert shelf.library.get(kept.id) == kept


def test_other_weights_under_the_same_name_are_another_embedder(open_shelf: OpenShelf) -> None:
    with open_shelf() as shelf:
        shelf.add_and_wait("a.txt", "The xyzzy text.")
    with open_shelf(HashEmbedder(fingerprint="hash-2")) as shelf:
        with pytest.raises(CollectionMismatchError, match="makes other vectors"):
            shelf.find("xyzzy")
        assert shelf.state().outdated == ["embedder"]


def test_a_queued_job_is_not_run_with_another_embedder(
    open_shelf: OpenShelf, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = GatedEmbedder()
    embedder.close()
    with open_shelf(embedder) as shelf:
        document = shelf.add("a.txt", LONG)
        assert embedder.reached.wait(TIMEOUT_SECONDS)
        embedder.gate.set()
    with open_shelf(HashEmbedder("other-model", "hash-2")) as shelf:
        failed = shelf.wait(document)
        assert failed.status is Status.FAILED
        assert "suffice reindex default" in str(failed.error_reason)
        with pytest.raises(CollectionMismatchError):
            shelf.library.retry(document.id)
    with open_shelf() as shelf:
        assert_searchable_once(shelf, shelf.library.retry(document.id))
    caplog.clear()


def test_another_language_of_the_settings_changes_no_collection(open_shelf: OpenShelf) -> None:
    with open_shelf(language="english") as shelf:
        shelf.add_and_wait("a.txt", "The cats.")
    with open_shelf(language="german") as shelf:
        assert shelf.find("cat") == ["a.txt"]
        shelf.add_and_wait("b.txt", "Two cats.")
        assert shelf.find("cat") == ["a.txt", "b.txt"]
        assert shelf.state().outdated == []
        assert not shelf.library.reindex("default")[1]
        new = shelf.add_and_wait("c.txt", "Die Katzen.", "new")
        assert shelf.find("katze", new.collection) == ["c.txt"]


def test_what_a_killed_process_left_is_swept(open_shelf: OpenShelf) -> None:
    with open_shelf() as shelf:
        kept = shelf.add_and_wait("a.txt", "The plugh text.")
    (shelf.home / "work" / "upload-abc_d").write_bytes(b"xyzzy")
    (shelf.home / "files" / "ab").mkdir()
    (shelf.home / "files" / "ab" / ("ab" * 32)).write_bytes(b"xyzzy")
    (shelf.home / "texts" / f"{'ab' * 32}-1.json").write_bytes(b"xyzzy")
    (shelf.home / "work" / "no-such-document-0123456789abcdef-0123.f32").write_bytes(b"xyzzy")
    with open_shelf() as shelf:
        shelf.wait_until_gone("xyzzy")
        assert shelf.work() == []
        assert shelf.library.content(kept).read_bytes() == b"The plugh text."
        assert shelf.library.text(kept)


def test_a_deletion_that_is_broken_off_is_finished_at_the_next_start(
    open_shelf: OpenShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_shelf() as shelf:
        kept, document = (shelf.add_and_wait(f"{word}.txt", word) for word in ("plugh", "xyzzy"))
        with monkeypatch.context() as broken:
            broken.setattr(FileStore, "delete", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                shelf.library.delete(document.id)
        assert shelf.library.get(document.id).error_code == "deleting"
    with open_shelf() as shelf:
        with pytest.raises(DocumentNotFoundError):
            shelf.library.get(document.id)
        assert shelf.files_with("xyzzy") == []
        assert shelf.library.get(kept.id).status is Status.SEARCHABLE
