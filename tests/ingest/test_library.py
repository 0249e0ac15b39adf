"""Documents from upload to deletion, through the real jobs, parsers and index."""

import logging
import time
from collections.abc import Iterator

import pytest

from ingest import jobs as jobs_module
from ingest.documents import Document, Status
from ingest.errors import (
    CollectionNotFoundError,
    DocumentNotFoundError,
    EmptyUploadError,
    InvalidRequestError,
    UnsupportedTypeError,
    UploadTooLargeError,
)
from ingest.library import Upload
from retrieval.errors import CollectionMismatchError
from tests.fakes import GatedEmbedder, HashEmbedder
from tests.ingest.conftest import OpenShelf, Shelf
from tests.ingest.parsers.test_pdf import pdf, writer_with

LONG = "\n\n".join(f"Paragraph {n} tells of thing{n} and of nothing else." for n in range(2000))


@pytest.fixture(autouse=True)
def no_errors_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    worst = [r for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
    assert [record.getMessage() for record in worst] == []


def encrypted_pdf() -> bytes:
    writer = writer_with(["The secret page"])
    writer.encrypt("password", algorithm="AES-256")
    return pdf(writer)


def test_an_upload_becomes_searchable(shelf: Shelf) -> None:
    queued, is_new = shelf.upload("notes.md", "# Title\n\nThe xyzzy is blue.")
    assert (queued.status, is_new) == (Status.QUEUED, True)
    document = shelf.wait(queued)
    assert document.status is Status.SEARCHABLE
    assert document.revision == document.searchable_revision
    assert (document.num_pages, document.num_chunks, document.num_embedded) == (None, 1, 1)
    assert document.media_type == "text/markdown"
    assert shelf.find("xyzzy") == ["notes.md"]
    assert shelf.library.content(document).read_bytes() == b"# Title\n\nThe xyzzy is blue."
    text = shelf.library.text(document)
    assert text
    [hit] = shelf.library.open_index("default").search_lexical("xyzzy", 5)
    assert hit.chunk.text == text.text[hit.chunk.start : hit.chunk.end]
    assert hit.chunk.headings == ("Title",)
    assert shelf.library.num_chunks("default") == 1


def test_a_pdf_with_an_unreadable_page_is_partial(shelf: Shelf) -> None:
    pages = ["First page of text", "", "Third page of text"]
    document = shelf.add_and_wait("scan.pdf", pdf(writer_with(pages)))
    assert document.status is Status.PARTIAL
    assert (document.num_pages, document.error_code) == (3, "unreadable_pages")
    assert "1 of 3 pages have no readable text: 2." in str(document.error_reason)
    assert shelf.find("third") == ["scan.pdf"]
    assert shelf.upload("scan.pdf", pdf(writer_with(pages)))[0].status in {
        Status.PARTIAL,
        Status.QUEUED,
    }


def test_the_same_bytes_again_change_nothing(shelf: Shelf) -> None:
    first = shelf.add_and_wait("a.txt", "Some xyzzy text.")
    again, is_new = shelf.upload("a.txt", "Some xyzzy text.")
    assert again == first
    assert not is_new
    time.sleep(0.5)
    assert shelf.library.get(first.id) == first


def test_changed_bytes_replace_the_old_ones_everywhere(shelf: Shelf) -> None:
    kept = shelf.add_and_wait("other.txt", "Another file with plugh.")
    first = shelf.add_and_wait("a.txt", "The xyzzy is blue. " * 50)
    second = shelf.add_and_wait("a.txt", "The frobnicator is red.")
    assert second.id == first.id
    assert second.created_at == first.created_at
    assert shelf.find("frobnicator") == ["a.txt"]
    assert shelf.find("xyzzy") == []
    shelf.wait_until_gone("xyzzy")
    assert shelf.files_with(first.revision) == []
    assert shelf.library.get(kept.id) == kept
    assert shelf.find("plugh") == ["other.txt"]


def test_the_old_revision_answers_until_the_new_one_can(open_shelf: OpenShelf) -> None:
    embedder = GatedEmbedder()
    with open_shelf(embedder) as shelf:
        embedder.gate.set()
        first = shelf.add_and_wait("a.txt", "The xyzzy is blue.")
        embedder.gate.clear()
        embedder.reached.clear()
        shelf.add("a.txt", "The frobnicator is red.")
        assert embedder.reached.wait(20)
        underway = shelf.library.get(first.id)
        assert underway.status is Status.EMBEDDING
        assert underway.searchable_revision == first.revision
        assert shelf.find("xyzzy") == ["a.txt"]
        assert b"xyzzy" in shelf.library.content(underway).read_bytes()
        assert "xyzzy" in str(shelf.library.text(underway))
        embedder.gate.set()
        shelf.wait(underway)
        assert (shelf.find("xyzzy"), shelf.find("frobnicator")) == ([], ["a.txt"])


@pytest.mark.parametrize(
    ("name", "content", "code", "reason"),
    [
        ("locked.pdf", encrypted_pdf(), "encrypted", "password"),
        ("scan.pdf", pdf(writer_with(["", ""])), "no_text", "OCR"),
        ("damaged.pdf", b"%PDF-1.7\nnothing more", "damaged", ""),
        ("blank.txt", b" \n\t ", "no_text", "no text"),
    ],
    ids=["encrypted", "scan", "damaged", "blank"],
)
def test_a_file_that_fails_leaves_the_old_revision_answering(
    shelf: Shelf, name: str, content: bytes, code: str, reason: str
) -> None:
    good = shelf.add_and_wait(name, "The old xyzzy text.")
    bad = shelf.add_and_wait(name, content)
    assert (bad.status, bad.error_code) == (Status.FAILED, code)
    assert reason in str(bad.error_reason)
    assert bad.searchable_revision == good.revision
    assert shelf.find("xyzzy") == [name]
    assert shelf.library.content(bad).read_bytes() == b"The old xyzzy text."
    better = shelf.add_and_wait(name, "The new plugh text.")
    assert (better.status, better.error_code) == (Status.SEARCHABLE, None)
    shelf.wait_until_gone("xyzzy")
    assert not shelf.library._pipeline.files.path(bad.revision).exists()


def test_going_back_to_the_old_bytes_after_a_failure(shelf: Shelf) -> None:
    good = shelf.add_and_wait("a.pdf", "The old xyzzy text.")
    shelf.add_and_wait("a.pdf", encrypted_pdf())
    back = shelf.add_and_wait("a.pdf", "The old xyzzy text.")
    assert (back.status, back.revision) == (Status.SEARCHABLE, good.revision)
    assert shelf.find("xyzzy") == ["a.pdf"]
    assert shelf.library.num_chunks("default") == 1


def test_a_failed_document_can_be_retried(shelf: Shelf) -> None:
    failed = shelf.add_and_wait("locked.pdf", encrypted_pdf())
    queued = shelf.library.retry(failed.id)
    assert (queued.status, queued.error_code, queued.attempt) == (Status.QUEUED, None, 2)
    again = shelf.wait(queued)
    assert (again.status, again.error_code) == (Status.FAILED, "encrypted")
    uploaded, is_new = shelf.upload("locked.pdf", encrypted_pdf())
    assert (is_new, uploaded.attempt) == (True, 3)
    shelf.wait(uploaded)


def test_retrying_what_did_not_fail_does_nothing(shelf: Shelf) -> None:
    document = shelf.add_and_wait("a.txt", "text")
    assert shelf.library.retry(document.id) == document


def test_the_same_bytes_under_two_names_are_stored_once(shelf: Shelf) -> None:
    one = shelf.add("one.txt", "The shared xyzzy text.")
    two = shelf.add("two.txt", "The shared xyzzy text.")
    shelf.wait(one)
    shelf.wait(two)
    assert shelf.find("xyzzy") == ["one.txt", "two.txt"]
    assert len([p for p in (shelf.home / "files").rglob("*") if p.is_file()]) == 1
    shelf.library.delete(one.id)
    assert shelf.find("xyzzy") == ["two.txt"]
    left = shelf.library.get(two.id)
    assert shelf.library.content(left).read_bytes() == b"The shared xyzzy text."
    assert shelf.library.text(left)
    shelf.library.delete(two.id)
    assert shelf.files_with("xyzzy") == []


@pytest.mark.parametrize("with_others", [True, False], ids=["one-of-two", "the-last"])
def test_deletion_removes_everything_at_once(shelf: Shelf, with_others: bool) -> None:
    if with_others:
        shelf.add_and_wait("other.txt", "Another text with plugh.")
    upload = Upload("xyzzyname.md", [b"# xyzzyhead\n\nThe xyzzybody."], "default", "xyzzyid", {})
    document, _ = shelf.library.add(
        Upload(upload.filename, upload.pieces, "default", "xyzzyid", {"note": "xyzzymetadata"})
    )
    shelf.wait(document)
    assert len(shelf.files_with("xyzzy")) >= 3
    shelf.library.delete(document.id)
    assert shelf.files_with("xyzzy") == []
    assert shelf.files_with(document.revision) == []
    with pytest.raises(DocumentNotFoundError):
        shelf.library.get(document.id)
    if with_others:
        assert shelf.find("plugh") == ["other.txt"]
        assert [c.num_documents for c in shelf.library.collections()] == [1]
    else:
        assert shelf.library.collections() == []
        assert list((shelf.home / "index").iterdir()) == []


def test_a_deleted_document_can_be_uploaded_again(shelf: Shelf) -> None:
    document = shelf.add_and_wait("a.txt", "The xyzzy text.")
    shelf.library.delete(document.id)
    again = shelf.add_and_wait("a.txt", "The xyzzy text.")
    assert again.id == document.id
    assert again.status is Status.SEARCHABLE
    assert shelf.find("xyzzy") == ["a.txt"]


def test_deleting_what_is_not_there(shelf: Shelf) -> None:
    for call in (shelf.library.delete, shelf.library.get, shelf.library.retry):
        with pytest.raises(DocumentNotFoundError, match="no-such-id"):
            call("no-such-id")


def test_deletion_while_the_job_runs(open_shelf: OpenShelf) -> None:
    embedder = GatedEmbedder()
    with open_shelf(embedder) as shelf:
        document = shelf.add("a.txt", "The xyzzy text. " * 20)
        assert embedder.reached.wait(20)
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


def test_deletion_and_upload_of_the_same_bytes_while_the_job_runs(open_shelf: OpenShelf) -> None:
    embedder = GatedEmbedder()
    with open_shelf(embedder) as shelf:
        document = shelf.add("a.txt", LONG)
        assert embedder.reached.wait(20)
        shelf.library.delete(document.id)
        again = shelf.add("a.txt", LONG)
        embedder.gate.set()
        assert_searchable_once(shelf, again)


def test_replacement_while_the_job_runs(open_shelf: OpenShelf) -> None:
    embedder = GatedEmbedder()
    with open_shelf(embedder) as shelf:
        old = shelf.add("a.txt", "The xyzzy text. " * 20)
        assert embedder.reached.wait(20)
        new = shelf.add("a.txt", "The plugh text.")
        embedder.gate.set()
        document = shelf.wait(new)
        assert (document.status, document.searchable_revision) == (Status.SEARCHABLE, new.revision)
        assert (shelf.find("xyzzy"), shelf.find("plugh")) == ([], ["a.txt"])
        shelf.wait_until_gone("xyzzy")
        assert not shelf.library._pipeline.files.path(old.revision).exists()


def test_replacement_and_return_while_the_job_runs(open_shelf: OpenShelf) -> None:
    """Two jobs of the same revision run at once; their vectors must not mix."""
    embedder = GatedEmbedder()
    with open_shelf(embedder) as shelf:
        shelf.add("a.txt", LONG)
        assert embedder.reached.wait(20)
        shelf.add("a.txt", "Something else.")
        back = shelf.add("a.txt", LONG)
        embedder.gate.set()
        assert_searchable_once(shelf, back)


def assert_searchable_once(shelf: Shelf, document: Document) -> None:
    """Every chunk is there once, each with its own vector."""
    found = shelf.wait(document)
    assert found.status is Status.SEARCHABLE
    index = shelf.library.open_index(document.collection)
    assert index.count() == found.num_chunks
    embedder = HashEmbedder()
    for word in ("thing0", "thing777", "thing1999"):
        [hit] = index.search_lexical(word, 5)
        [nearest] = index.search_dense(embedder.embed_query(hit.chunk.passage), 1)
        assert nearest.chunk == hit.chunk
        assert nearest.score == pytest.approx(1, abs=1e-4)


def test_a_document_of_many_slices_is_embedded_whole(shelf: Shelf) -> None:
    assert_searchable_once(shelf, shelf.add("long.txt", LONG))


def test_a_job_goes_on_after_a_restart(open_shelf: OpenShelf) -> None:
    embedder = GatedEmbedder()
    with open_shelf(embedder) as shelf:
        document = shelf.add("a.txt", LONG)
        assert embedder.reached.wait(20)
        embedder.gate.set()
    with open_shelf() as shelf:
        assert_searchable_once(shelf, document)


def test_a_job_that_outlives_the_stop_goes_on_after_a_restart(
    open_shelf: OpenShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "STOP_TIMEOUT_SECONDS", 0.2)
    embedder = GatedEmbedder()
    with open_shelf(embedder) as shelf:
        document = shelf.add("a.txt", "The xyzzy text.")
        assert embedder.reached.wait(20)
    embedder.gate.set()
    time.sleep(0.5)
    with open_shelf() as shelf:
        assert shelf.wait(document).status is Status.SEARCHABLE


def test_a_job_goes_on_with_other_chunks_after_a_restart(open_shelf: OpenShelf) -> None:
    embedder = GatedEmbedder()
    with open_shelf(embedder) as shelf:
        document = shelf.add("a.txt", LONG)
        assert embedder.reached.wait(20)
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
        for use in (
            lambda: shelf.add("c.txt", "text"),
            lambda: shelf.library.open_index("default"),
        ):
            with pytest.raises(CollectionMismatchError, match="RETRIEVAL_EMBEDDER") as caught:
                use()
            assert "'hash-embedder'" in str(caught.value)
            assert "'other-model'" in str(caught.value)
        assert shelf.add_and_wait("a.txt", "text", "new").status is Status.SEARCHABLE
        shelf.library.delete(gone.id)
        assert shelf.files_with("plugh") == []
    with open_shelf() as shelf:
        assert shelf.find("xyzzy") == ["a.txt"]
        assert shelf.library.get(kept.id) == kept


def test_a_queued_job_is_not_run_with_another_embedder(
    open_shelf: OpenShelf, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = GatedEmbedder()
    with open_shelf(embedder) as shelf:
        document = shelf.add("a.txt", LONG)
        assert embedder.reached.wait(20)
        embedder.gate.set()
    with open_shelf(HashEmbedder("other-model", "hash-2")) as shelf:
        failed = shelf.wait(document)
        assert failed.status is Status.FAILED
        assert "RETRIEVAL_EMBEDDER" in str(failed.error_reason)
        with pytest.raises(CollectionMismatchError):
            shelf.library.retry(document.id)
    with open_shelf() as shelf:
        assert_searchable_once(shelf, shelf.library.retry(document.id))
    caplog.clear()


def test_an_index_of_another_language_is_not_used(open_shelf: OpenShelf) -> None:
    with open_shelf(language="english") as shelf:
        shelf.add_and_wait("a.txt", "The cats.")
    with open_shelf(language="german") as shelf:
        with pytest.raises(CollectionMismatchError, match="RETRIEVAL_LANGUAGE"):
            shelf.library.open_index("default")
        with pytest.raises(CollectionMismatchError, match=r"'english'.*'german'"):
            shelf.add("b.txt", "Katzen")
    with open_shelf(language="english") as shelf:
        assert shelf.find("cat") == ["a.txt"]


def test_an_unknown_collection(shelf: Shelf) -> None:
    with pytest.raises(CollectionNotFoundError, match=r"'nothing'.*Upload a document"):
        shelf.library.open_index("nothing")
    assert list((shelf.home / "index").iterdir()) == []


def test_collections_are_apart(shelf: Shelf) -> None:
    shelf.add_and_wait("a.txt", "The xyzzy text.", "one")
    shelf.add_and_wait("a.txt", "The plugh text.", "two")
    assert (shelf.find("xyzzy", "one"), shelf.find("xyzzy", "two")) == (["a.txt"], [])
    assert [(c.name, c.num_documents) for c in shelf.library.collections()] == [
        ("one", 1),
        ("two", 1),
    ]


@pytest.mark.parametrize(
    "name", ["", "A", "-a", "_a", "a b", "../a", "a/b", "ä", "a" * 65, "a\n", ".", "a.b"]
)
def test_bad_collection_names(shelf: Shelf, name: str) -> None:
    with pytest.raises(InvalidRequestError, match="collection name"):
        shelf.add("a.txt", "text", name)
    assert shelf.library.collections() == []


@pytest.mark.parametrize("name", ["", "  ", "a" * 501, "a\x00b", "a\ud800b"])
def test_bad_file_names(shelf: Shelf, name: str) -> None:
    with pytest.raises(InvalidRequestError, match="1 to 500 characters"):
        shelf.add(name, "text")
    with pytest.raises(InvalidRequestError, match="1 to 500 characters"):
        shelf.library.add(Upload("a.txt", [b"text"], "default", name or " ", {}))


def test_refused_files_leave_nothing(shelf: Shelf) -> None:
    for content, error in (
        (b"", EmptyUploadError),
        (b"x" * 1_000_001, UploadTooLargeError),
        (b"PK\x03\x04 a zip file", UnsupportedTypeError),
    ):
        with pytest.raises(error):
            shelf.add("a.bin", content)
    assert shelf.work() == []
    assert list((shelf.home / "files").iterdir()) == []
    assert shelf.library.collections() == []
    assert shelf.library.list_documents(None, None, None, 10) == []


def test_what_a_killed_process_left_is_swept(open_shelf: OpenShelf) -> None:
    with open_shelf() as shelf:
        pass
    (shelf.home / "work" / "upload-abc_d").write_bytes(b"xyzzy")
    (shelf.home / "work" / "no-such-document-0123456789abcdef-0123.f32").write_bytes(b"xyzzy")
    with open_shelf() as shelf:
        assert shelf.work() == []


def test_names_of_any_script_are_kept(shelf: Shelf) -> None:
    document = shelf.add_and_wait("../Größe 漢字 🎉/..\\x'\"%.md", "The xyzzy text.")
    assert shelf.find("xyzzy") == ["../Größe 漢字 🎉/..\\x'\"%.md"]
    shelf.library.delete(document.id)
