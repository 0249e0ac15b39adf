"""Documents from upload to deletion, through the real jobs, parsers and index.

One service serves all tests of this module; each test begins and ends without documents.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.message import EmailMessage
from typing import Any

import pytest

from ingest import pipeline
from ingest.documents import Document, Status
from ingest.errors import (
    CollectionNotFoundError,
    DocumentNotFoundError,
    EmptyUploadError,
    InvalidRequestError,
    LanguageMismatchError,
    UnsupportedTypeError,
    UploadTooLargeError,
)
from ingest.library import Upload
from retrieval.filters import parse_filter
from retrieval.languages import Language
from tests.fakes import GatedEmbedder
from tests.ingest.conftest import (
    LONG,
    TIMEOUT_SECONDS,
    Shelf,
    assert_searchable_once,
    encrypted_pdf,
    service_on,
)
from tests.ingest.parsers.pdf_files import damage, pdf, writer_with
from tests.rankings import search_lexical

pytestmark = pytest.mark.usefixtures("no_errors_in_the_log")


@pytest.fixture(scope="module")
def embedder() -> GatedEmbedder:
    return GatedEmbedder()


@pytest.fixture(scope="module")
def only_shelf(
    tmp_path_factory: pytest.TempPathFactory, embedder: GatedEmbedder
) -> Iterator[Shelf]:
    home = tmp_path_factory.mktemp("home")
    with service_on(home, embedder) as service:
        yield Shelf(service.library, service.searcher, home)


@pytest.fixture
def shelf(only_shelf: Shelf, embedder: GatedEmbedder) -> Iterator[Shelf]:
    yield only_shelf
    embedder.gate.set()
    for document in only_shelf.library.list_documents(None, None, None, 100):
        only_shelf.wait(document)
        only_shelf.library.delete(document.id)


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
    [hit] = search_lexical(shelf.index(), "xyzzy", 5)
    assert hit.chunk.text == text.text[hit.chunk.start : hit.chunk.end]
    assert hit.chunk.headings == ("Title",)
    assert shelf.state().num_chunks == 1


def test_a_pdf_with_an_unreadable_page_is_partial(shelf: Shelf) -> None:
    writer = writer_with(["First page of text", "", "Third page of text"])
    damage(writer, writer.pages[1])
    document = shelf.add_and_wait("scan.pdf", pdf(writer))
    assert document.status is Status.PARTIAL
    assert (document.num_pages, document.error_code) == (3, "unreadable_pages")
    assert document.error_reason == (
        "1 of 3 pages have no readable text. Page 2 is damaged and could not be read. "
        "The other pages are searchable."
    )
    assert shelf.find("third") == ["scan.pdf"]
    assert shelf.upload("scan.pdf", pdf(writer))[0].status in {
        Status.PARTIAL,
        Status.QUEUED,
    }


def test_a_mail_with_an_unreadable_page_in_an_attachment_is_partial(shelf: Shelf) -> None:
    writer = writer_with(["First page of text", "Second"])
    damage(writer, writer.pages[1])
    mail = EmailMessage()
    mail["Subject"], mail["Message-ID"], mail["MIME-Version"] = "Bees", "<1@example.org>", "1.0"
    mail.set_content("See the file.")
    mail.add_attachment(pdf(writer), "application", "pdf", filename="bees.pdf")
    document = shelf.add_and_wait("bees.eml", mail.as_bytes())
    assert (document.status, document.error_code) == (Status.PARTIAL, "unreadable_parts")
    assert document.error_reason == (
        "In attachment bees.pdf: Page 2 is damaged and could not be read. The rest is searchable."
    )


def test_a_pdf_with_an_attachment_that_is_not_read_is_partial(shelf: Shelf) -> None:
    locked = writer_with(["Text"])
    locked.encrypt("secret", algorithm="AES-256")
    writer = writer_with(["See the files."])
    writer.add_attachment("bees.txt", b"Bees live in hives.")
    writer.add_attachment("wasps.pdf", pdf(locked))
    document = shelf.add_and_wait("files.pdf", pdf(writer))
    assert (document.status, document.error_code) == (Status.PARTIAL, "unreadable_parts")
    assert document.num_pages == 1
    assert document.error_reason == (
        "Attachment wasps.pdf was not read: The PDF is locked with a password; upload it with its "
        "password, or save a copy without the password and upload that. The rest is searchable."
    )
    assert shelf.find("hives") == ["files.pdf"]


def test_the_same_bytes_as_another_kind_of_text_are_ingested_anew(shelf: Shelf) -> None:
    content = "# Bees\n\nThe xyzzy is blue."
    plain = shelf.wait(shelf.upload("bees.txt", content, external_id="bees")[0])
    document, is_new = shelf.upload("bees.md", content, external_id="bees")
    assert is_new
    document = shelf.wait(document)
    assert (plain.media_type, document.media_type) == ("text/plain", "text/markdown")
    assert document.status is Status.SEARCHABLE
    [hit] = search_lexical(shelf.index(), "xyzzy", 5)
    assert hit.chunk.headings == ("Bees",)
    assert shelf.upload("bees.md", content, external_id="bees") == (document, False)


def test_documents_are_found_by_their_names_and_folders(shelf: Shelf) -> None:
    content = "Net sales were 82,959 million."
    apple = shelf.upload("10-Q.txt", content, external_id="Apple/2022/10-Q.txt")[0]
    tesla = shelf.upload("10-Q tesla.txt", content)[0]
    shelf.wait(apple)
    shelf.wait(tesla)
    assert shelf.find("apple") == ["10-Q.txt"]
    assert shelf.find("Tesla 2022") == ["10-Q tesla.txt", "10-Q.txt"]
    assert shelf.find("txt") == []
    [hit] = search_lexical(shelf.index(), "apple", 5)
    assert (hit.chunk.text, hit.chunk.passage) == (content, content)


def test_the_same_bytes_under_another_name_are_found_by_that(shelf: Shelf) -> None:
    first = shelf.wait(shelf.upload("draft.txt", "Some xyzzy text.", external_id="7")[0])
    renamed, is_new = shelf.upload("final.txt", "Some xyzzy text.", external_id="7")
    assert (is_new, renamed.id) == (True, first.id)
    assert shelf.wait(renamed).filename == "final.txt"
    assert (shelf.find("draft"), shelf.find("final"), shelf.find("7")) == (
        [],
        ["final.txt"],
        ["final.txt"],
    )
    assert shelf.state().num_chunks == 1


def test_another_name_while_the_job_runs(shelf: Shelf, embedder: GatedEmbedder) -> None:
    embedder.close()
    shelf.upload("draft.txt", LONG, external_id="7")
    assert embedder.reached.wait(TIMEOUT_SECONDS)
    renamed, _ = shelf.upload("final.txt", LONG, external_id="7")
    embedder.gate.set()
    assert_searchable_once(shelf, renamed)
    assert (shelf.find("draft"), shelf.find("final")) == ([], ["final.txt"])


def test_the_same_bytes_again_change_nothing(shelf: Shelf) -> None:
    first = shelf.add_and_wait("a.txt", "Some xyzzy text.")
    again, is_new = shelf.upload("a.txt", "Some xyzzy text.")
    assert again == first
    assert not is_new
    time.sleep(0.5)
    assert shelf.library.get(first.id) == first


def test_the_same_bytes_again_bring_a_lost_text_back(shelf: Shelf) -> None:
    first = shelf.add_and_wait("a.txt", "Some xyzzy text.")
    shelf.library._pipeline.texts.delete(first.revision)
    again, is_new = shelf.upload("a.txt", "Some xyzzy text.")
    assert is_new
    assert shelf.wait(again).status is Status.SEARCHABLE
    assert shelf.library.text(again).text == "Some xyzzy text."


def test_changed_bytes_replace_the_old_ones_everywhere(shelf: Shelf) -> None:
    kept = shelf.add_and_wait("other.txt", "Another file with plugh.")
    first = shelf.add_and_wait("a.txt", "The xyzzy is blue. " * 50)
    second = shelf.add_and_wait("a.txt", "The frobnicator is red.")
    assert second.id == first.id
    assert second.created_at == first.created_at
    assert shelf.find("frobnicator") == ["a.txt"]
    assert shelf.find("xyzzy") == []
    shelf.wait_until_gone("xyzzy")
    assert not shelf.library._pipeline.files.path(first.revision).exists()
    assert shelf.library.get(kept.id) == kept
    assert shelf.find("plugh") == ["other.txt"]


def test_the_old_revision_answers_until_the_new_one_can(
    shelf: Shelf, embedder: GatedEmbedder
) -> None:
    first = shelf.add_and_wait("a.txt", "The xyzzy is blue.")
    embedder.close()
    shelf.add("a.txt", "The frobnicator is red.")
    assert embedder.reached.wait(TIMEOUT_SECONDS)
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
        ("scan.pdf", pdf(writer_with(["", ""])), "no_text", "right file"),
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
    assert shelf.state().num_chunks == 1


def test_a_failed_document_can_be_retried(shelf: Shelf) -> None:
    failed = shelf.add_and_wait("locked.pdf", encrypted_pdf())
    queued = shelf.library.retry(failed.id)
    assert (queued.status, queued.error_code, queued.attempt) == (Status.QUEUED, None, 2)
    again = shelf.wait(queued)
    assert (again.status, again.error_code) == (Status.FAILED, "encrypted")
    uploaded, is_new = shelf.upload("locked.pdf", encrypted_pdf())
    assert (is_new, uploaded.attempt) == (True, 3)
    shelf.wait(uploaded)


def test_a_partial_document_is_read_anew_with_all_that_share_its_bytes(shelf: Shelf) -> None:
    writer = writer_with(["The xyzzy page.", ""])
    damage(writer, writer.pages[1])
    partial, other = (shelf.add_and_wait(name, pdf(writer)) for name in ("a.pdf", "b.pdf"))
    [text] = (shelf.home / "texts").iterdir()
    text.write_text(text.read_text().replace("xyzzy", "wrong"))
    retried = shelf.library.retry(partial.id)
    assert (retried.status in {Status.QUEUED, Status.PARSING}, retried.attempt) == (True, 2)
    assert shelf.wait(retried).status is Status.PARTIAL
    assert shelf.wait(other).attempt == 2
    assert "xyzzy" in text.read_text()
    assert shelf.find("xyzzy") == ["a.pdf", "b.pdf"]


def test_a_retry_that_fails_leaves_what_was_read(shelf: Shelf) -> None:
    writer = writer_with(["The xyzzy page.", ""])
    damage(writer, writer.pages[1])
    writer.encrypt("password", algorithm="AES-256")
    content = pdf(writer)

    def upload(name: str) -> tuple[Document, bool]:
        return shelf.library.add(Upload(name, [content], "default", None, {}, "password"))

    partial, other = (shelf.wait(upload(name)[0]) for name in ("a.pdf", "b.pdf"))
    text = shelf.library.text(partial)
    shelf.library.retry(partial.id)  # without the password, which is not kept
    for before in (partial, other):
        after = shelf.wait(before)
        assert (after.status, after.error_code) == (Status.PARTIAL, "unreadable_pages")
        assert str(after.error_reason).startswith(f"{before.error_reason} Reading it anew failed: ")
        assert "password" in str(after.error_reason)
        assert (after.num_chunks, after.num_embedded) == (before.num_chunks, before.num_embedded)
        assert shelf.library.text(after) == text
    assert shelf.find("xyzzy") == ["a.pdf", "b.pdf"]
    queued, is_new = upload("a.pdf")
    assert is_new
    for before in (queued, other):
        assert shelf.wait(before).error_reason == partial.error_reason
    assert shelf.library.text(partial) == text


def test_a_password_is_also_used_when_the_file_comes_under_another_name(shelf: Shelf) -> None:
    locked = writer_with(["The plugh text"])
    locked.encrypt("secret", algorithm="AES-256")
    writer = writer_with(["See the file."])
    writer.add_attachment("locked.pdf", pdf(locked))
    content = pdf(writer)
    partial = shelf.wait(shelf.upload("a.pdf", content, external_id="7")[0])
    assert partial.status is Status.PARTIAL
    upload = Upload("b.pdf", [content], "default", "7", None, "secret")
    assert shelf.wait(shelf.library.add(upload)[0]).status is Status.SEARCHABLE
    assert shelf.find("plugh") == ["b.pdf"]


def test_retrying_what_is_searchable_does_nothing(shelf: Shelf) -> None:
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


def test_the_same_bytes_are_read_by_their_names(shelf: Shelf) -> None:
    content = "# Title\n\nThe xyzzy text."
    notes = shelf.add_and_wait("notes.md", content)
    plain = shelf.add_and_wait("notes.txt", content)
    assert [len(shelf.library.text(one).headings) for one in (notes, plain)] == [1, 0]


@pytest.mark.parametrize("with_others", [True, False], ids=["one-of-two", "the-last"])
def test_deletion_removes_everything_at_once(shelf: Shelf, with_others: bool) -> None:
    if with_others:
        shelf.add_and_wait("other.txt", "Another text with plugh.")
    upload = Upload("xyzzyname.md", [b"# xyzzyhead\n\nThe xyzzybody."], "default", "xyzzyid", {})
    document, _ = shelf.library.add(
        Upload(upload.filename, upload.content, "default", "xyzzyid", {"note": "xyzzymetadata"})
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
        assert [state.collection.num_documents for state in shelf.library.collections()] == [1]
    else:
        assert shelf.library.collections() == []
        assert list((shelf.home / "index").iterdir()) == []


def test_deleted_text_leaves_a_large_index_a_while_later(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "COMPACT_AT_ONCE_CHUNKS", 0)
    words = ("quagga", "plugh", "xyzzy")
    documents = [shelf.add_and_wait(f"{word}.txt", f"The text {word}.") for word in words]
    for document in documents[:2]:
        shelf.library.delete(document.id)
    assert [shelf.find(word) for word in words] == [[], [], ["xyzzy.txt"]]
    left = [path for word in words[:2] for path in shelf.files_with(word)]
    assert left
    assert all(path.startswith("index/") for path in left)
    shelf.library._pipeline.compact_all()
    assert [shelf.files_with(word) for word in words[:2]] == [[], []]
    assert shelf.find("xyzzy") == ["xyzzy.txt"]


def test_searches_do_not_bring_back_what_is_deleted_with_the_last_document(shelf: Shelf) -> None:
    searching, stop = threading.Event(), threading.Event()

    def search_on() -> None:
        while searching.wait(TIMEOUT_SECONDS) and not stop.is_set():
            with suppress(CollectionNotFoundError):
                shelf.find("xyzzy")

    with ThreadPoolExecutor(3) as threads:
        searches = [threads.submit(search_on) for _ in range(3)]
        try:
            for number in range(4):
                document = shelf.add_and_wait("a.txt", f"The xyzzy text {number}.")
                searching.set()
                time.sleep(0.05)
                shelf.library.delete(document.id)
                time.sleep(0.05)
                searching.clear()
        finally:
            stop.set()
            searching.set()
        for search in searches:
            search.result()
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


@pytest.mark.parametrize("num_slices", [0, 1])
def test_deletion_and_upload_of_the_same_bytes_while_the_job_runs(
    shelf: Shelf, embedder: GatedEmbedder, num_slices: int
) -> None:
    embedder.close(after=num_slices)
    document = shelf.add("a.txt", LONG)
    assert embedder.reached.wait(TIMEOUT_SECONDS)
    shelf.library.delete(document.id)
    again = shelf.add("a.txt", LONG)
    embedder.gate.set()
    assert_searchable_once(shelf, again)


def test_replacement_while_the_job_runs(shelf: Shelf, embedder: GatedEmbedder) -> None:
    embedder.close()
    old = shelf.add("a.txt", "The xyzzy text. " * 20)
    assert embedder.reached.wait(TIMEOUT_SECONDS)
    new = shelf.add("a.txt", "The plugh text.")
    embedder.gate.set()
    document = shelf.wait(new)
    assert (document.status, document.searchable_revision) == (Status.SEARCHABLE, new.revision)
    assert (shelf.find("xyzzy"), shelf.find("plugh")) == ([], ["a.txt"])
    shelf.wait_until_gone("xyzzy")
    assert not shelf.library._pipeline.files.path(old.revision).exists()


def test_replacement_and_return_while_the_job_runs(shelf: Shelf, embedder: GatedEmbedder) -> None:
    """Two jobs of the same revision run at once; their vectors must not mix."""
    embedder.close()
    shelf.add("a.txt", LONG)
    assert embedder.reached.wait(TIMEOUT_SECONDS)
    shelf.add("a.txt", "Something else.")
    back = shelf.add("a.txt", LONG)
    embedder.gate.set()
    assert_searchable_once(shelf, back)


def test_a_document_of_many_slices_is_embedded_whole(shelf: Shelf) -> None:
    assert_searchable_once(shelf, shelf.add("long.txt", LONG))


def test_an_unknown_collection(shelf: Shelf) -> None:
    with pytest.raises(CollectionNotFoundError, match=r"'nothing'.*Upload a document"):
        shelf.index("nothing")
    assert list((shelf.home / "index").iterdir()) == []


def test_collections_are_apart(shelf: Shelf) -> None:
    shelf.add_and_wait("a.txt", "The xyzzy text.", "one")
    shelf.add_and_wait("a.txt", "The plugh text.", "two")
    assert (shelf.find("xyzzy", "one"), shelf.find("xyzzy", "two")) == (["a.txt"], [])
    collections = [state.collection for state in shelf.library.collections()]
    assert [(one.name, one.num_documents) for one in collections] == [("one", 1), ("two", 1)]


def test_collections_of_two_languages_stand_side_by_side(shelf: Shelf) -> None:
    german, english = "Die Kündigungsfristen.", "The notice periods."
    shelf.add_and_wait("fristen.txt", german, "recht", "german")
    shelf.add_and_wait("notice.txt", english, "recht")
    shelf.add_and_wait("fristen.txt", german, "law")
    shelf.add_and_wait("notice.txt", english, "law")
    assert shelf.find("Kündigungsfrist", "recht") == ["fristen.txt"]
    assert shelf.find("Kündigungsfrist", "law") == []
    assert shelf.find("noticing", "law") == ["notice.txt"]
    assert shelf.find("noticing", "recht") == []


def test_another_language_than_the_collections_is_refused_and_leaves_nothing(shelf: Shelf) -> None:
    shelf.add_and_wait("a.txt", "The xyzzy text.", language="german")
    says = "is german, not french.*suffice reindex default --language french"
    for content in ("The plugh text.", "The xyzzy text."):
        with pytest.raises(LanguageMismatchError, match=says):
            shelf.add("a.txt", content, language="french")
    assert shelf.files_with("plugh") == []
    assert shelf.find("xyzzy") == ["a.txt"]
    shelf.add_and_wait("a.txt", "The plugh text.", language="german")
    assert shelf.find("plugh") == ["a.txt"]


def test_a_collection_that_is_gone_can_come_back_in_another_language(shelf: Shelf) -> None:
    shelf.library.delete(shelf.add_and_wait("a.txt", "xyzzy", language="german").id)
    shelf.add_and_wait("a.txt", "xyzzy", language="french")
    assert shelf.state().collection.analyzer == "french"


def test_of_two_languages_at_the_same_time_one_is_taken_and_the_other_refused(
    shelf: Shelf,
) -> None:
    together = threading.Barrier(8)
    languages: list[Language] = ["german", "french"] * 4

    def add(number: int) -> str | None:
        together.wait()
        try:
            shelf.add(f"{number}.txt", f"The {number} text.", language=languages[number])
        except LanguageMismatchError:
            return None
        return languages[number]

    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(add, range(8)))
    language = shelf.state().collection.analyzer
    assert [one for one in taken if one] == [language] * 4
    for document in shelf.library.list_documents(None, None, None, 10):
        assert languages[int(document.filename[0])] == language
        assert shelf.wait(document).status is Status.SEARCHABLE


def test_bad_names_are_refused(shelf: Shelf) -> None:
    for name in ("", "A", "-a", "_a", "a b", "../a", "a/b", "ä", "a" * 65, "a\n", ".", "a.b"):
        with pytest.raises(InvalidRequestError, match="collection name"):
            shelf.add("a.txt", "text", name)
    for name in ("", "  ", "a" * 501, "a\x00b", "a\ud800b"):
        with pytest.raises(InvalidRequestError, match="1 to 500 characters"):
            shelf.add(name, "text")
        with pytest.raises(InvalidRequestError, match="1 to 500 characters"):
            shelf.library.add(Upload("a.txt", [b"text"], "default", name or " ", {}))
    assert shelf.library.collections() == []


def test_refused_files_leave_nothing(shelf: Shelf) -> None:
    for content, error in (
        (b"", EmptyUploadError),
        (b"x" * 1_000_001, UploadTooLargeError),
        (b"PK\x03\x04 a zip file", UnsupportedTypeError),
    ):
        with pytest.raises(error):
            shelf.add("a.bin", content)
    assert shelf.work() == []
    assert [path for path in (shelf.home / "files").rglob("*") if path.is_file()] == []
    assert shelf.library.collections() == []
    assert shelf.library.list_documents(None, None, None, 10) == []


def test_names_of_any_script_are_kept(shelf: Shelf) -> None:
    document = shelf.add_and_wait("../Größe 漢字 🎉/..\\x'\"%.md", "The xyzzy text.")
    assert shelf.find("xyzzy") == ["../Größe 漢字 🎉/..\\x'\"%.md"]
    shelf.library.delete(document.id)


def with_metadata(name: str, metadata: dict[str, Any] | None) -> Upload:
    return Upload(name, [b"The xyzzy text."], "default", None, metadata)


def found_with(shelf: Shelf, **source: object) -> list[str]:
    """Return the documents that a filter lets through, asked of the index."""
    index = shelf.index()
    chunks = index.fetch(index.rank_lexical("xyzzy", 10, where=parse_filter(source)))
    return sorted({shelf.library.get(chunk.document_id).filename for chunk in chunks.values()})


def test_new_metadata_of_the_same_bytes_are_found_without_embedding(
    shelf: Shelf, embedder: GatedEmbedder
) -> None:
    shelf.wait(shelf.library.add(with_metadata("a.txt", {"year": 2024, "by": "plugh"}))[0])
    shelf.add_and_wait("b.txt", "Another xyzzy text.")
    embedder.close()
    assert found_with(shelf, type="eq", key="year", value=2024) == ["a.txt"]
    document, is_new = shelf.library.add(with_metadata("a.txt", {"year": 2025}))
    assert (document.metadata, document.status, is_new) == (
        {"year": 2025},
        Status.SEARCHABLE,
        False,
    )
    assert found_with(shelf, type="eq", key="year", value=2024) == []
    assert found_with(shelf, type="gt", key="year", value=2024) == ["a.txt"]
    assert found_with(shelf, type="ne", key="year", value=2025) == ["b.txt"]
    shelf.index().compact()
    assert shelf.files_with("plugh") == []


def test_metadata_stay_unless_others_are_given(shelf: Shelf) -> None:
    first = shelf.wait(shelf.library.add(with_metadata("a.txt", {"flag": 1}))[0])
    assert shelf.library.add(with_metadata("a.txt", None)) == (first, False)
    replaced = shelf.library.add(Upload("a.txt", [b"New xyzzy."], "default", None, None))[0]
    assert shelf.wait(replaced).metadata == {"flag": 1}
    assert found_with(shelf, type="eq", key="flag", value=1) == ["a.txt"]
    # In Python, True is 1.
    shelf.library.add(Upload("a.txt", [b"New xyzzy."], "default", None, {"flag": True}))
    assert shelf.library.get(first.id).metadata["flag"] is True
    assert found_with(shelf, type="eq", key="flag", value=True) == ["a.txt"]
    shelf.library.add(Upload("a.txt", [b"New xyzzy."], "default", None, {}))
    assert shelf.library.get(first.id).metadata == {}


def test_metadata_given_while_a_document_waits_are_those_that_are_found(
    shelf: Shelf, embedder: GatedEmbedder
) -> None:
    embedder.close()
    document = shelf.library.add(with_metadata("a.txt", {"year": 1}))[0]
    assert embedder.reached.wait(TIMEOUT_SECONDS)
    shelf.library.add(with_metadata("a.txt", {"year": 2}))
    embedder.gate.set()
    assert shelf.wait(document).metadata == {"year": 2}
    assert found_with(shelf, type="eq", key="year", value=2) == ["a.txt"]


def test_documents_are_found_by_what_the_catalog_knows(shelf: Shelf) -> None:
    document = shelf.wait(shelf.library.add(with_metadata("a.txt", {}))[0])
    shelf.add_and_wait("b.md", "# The xyzzy text.")
    for name, value in (
        ("id", document.id),
        ("external_id", "a.txt"),
        ("filename", "a.txt"),
        ("media_type", "text/plain"),
    ):
        assert found_with(shelf, type="eq", key=f"document.{name}", value=value) == ["a.txt"]
    since = {"type": "gte", "key": "document.created_at"}
    assert found_with(shelf, **since, value="2020-01-01") == ["a.txt", "b.md"]
    assert found_with(shelf, **since, value="2999-01-01") == []


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"": 1}, "'' is no key"),
        ({"k" * 129: 1}, "1 to 128 characters"),
        ({"document.id": "x"}, "not beginning with 'document.'"),
        ({"tags": list(range(257))}, "257 values, the limit is 256"),
        ({f"k{number}": 1 for number in range(257)}, "257 values"),
    ],
    ids=["empty", "long", "reserved", "long-list", "many-keys"],
)
def test_metadata_that_filters_cannot_hold(
    shelf: Shelf, metadata: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        shelf.library.add(with_metadata("a.txt", metadata))


def test_what_cannot_be_filtered_by_is_kept(shelf: Shelf) -> None:
    metadata = {"abstract": "x" * 5000, "nested": {"a": list(range(999))}, "none": None}
    document = shelf.wait(shelf.library.add(with_metadata("a.txt", metadata))[0])
    assert (document.status, document.metadata) == (Status.SEARCHABLE, metadata)
