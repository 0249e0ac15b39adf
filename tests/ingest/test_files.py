import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from ingest import files as stores
from ingest.errors import EmptyUploadError, UploadTooLargeError
from ingest.files import FileStore, Received, TextStore
from ingest.parsers.media_types import MARKDOWN, PLAIN
from ingest.texts import CanonicalText, Heading, Place

TEXT = CanonicalText(
    "Größe 漢字\n\n🎉 second page\u2028",
    page_starts=(0, 10),
    headings=(Heading(0, 5, 1, "Größe"), Heading(10, 11, 2, "🎉")),
    unreadable_pages=(3,),
    places=(Place(0, "sheet Bees, row 1"),),
    metadata={"title": "Bees"},
)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def files(tmp_path: Path, work: Path) -> FileStore:
    return FileStore(tmp_path / "files", work)


@pytest.fixture
def texts(tmp_path: Path) -> TextStore:
    (tmp_path / "texts").mkdir()
    return TextStore(tmp_path / "texts", tmp_path)


def kept_files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "files").rglob("*") if path.is_file()]


def received(files: FileStore, *pieces: bytes, max_bytes: int = 100) -> Received:
    with ExitStack() as stack:
        receiving = files.begin(max_bytes)
        stack.callback(receiving.close)
        for piece in pieces:
            receiving.write(piece)
        upload = receiving.finish()
        stack.pop_all()
    return upload


def test_an_upload_is_hashed_and_kept(files: FileStore, work: Path) -> None:
    upload = received(files, b"%PDF", b"", b"-1.7 body")
    assert upload.revision == hashlib.sha256(b"%PDF-1.7 body").hexdigest()
    assert upload.num_bytes == 13
    files.keep(upload)
    assert files.path(upload.revision).read_bytes() == b"%PDF-1.7 body"
    assert list(work.iterdir()) == []


def test_the_same_bytes_are_kept_once(files: FileStore, tmp_path: Path) -> None:
    for _ in range(2):
        files.keep(received(files, b"same"))
    assert len(kept_files(tmp_path)) == 1


def test_deleting_is_final_and_can_be_repeated(files: FileStore, tmp_path: Path) -> None:
    upload = received(files, b"bytes")
    files.keep(upload)
    files.delete(upload.revision)
    files.delete(upload.revision)
    assert kept_files(tmp_path) == []


@pytest.mark.parametrize("pieces", [[], [b""], [b"", b""]])
def test_an_empty_upload_is_refused(files: FileStore, pieces: list[bytes]) -> None:
    with pytest.raises(EmptyUploadError):
        received(files, *pieces)


def test_the_limit_is_the_last_size_accepted(files: FileStore) -> None:
    files.keep(received(files, b"12345", b"67890", max_bytes=10))
    with pytest.raises(UploadTooLargeError, match=r"limit of 10 bytes.*INGEST_MAX_UPLOAD_BYTES"):
        received(files, b"12345", b"67890", b"1", max_bytes=10)


def test_what_is_over_the_limit_is_never_on_disk(files: FileStore, work: Path) -> None:
    receiving = files.begin(10)
    receiving.write(b"12345678")
    for _ in range(3):
        receiving.write(b"90123456")
        assert list(work.iterdir()) == []


def test_a_closed_upload_leaves_nothing_unless_it_was_kept(files: FileStore, work: Path) -> None:
    receiving = files.begin(10)
    receiving.write(b"half of")
    receiving.close()
    receiving.close()
    assert list(work.iterdir()) == []
    receiving = files.begin(10)
    receiving.write(b"all of it")
    upload = receiving.finish()
    files.keep(upload)
    receiving.close()
    assert files.path(upload.revision).read_bytes() == b"all of it"


def test_a_text_comes_back_exactly(texts: TextStore, tmp_path: Path) -> None:
    assert texts.load("a" * 64) is None
    texts.save("a" * 64, PLAIN, TEXT)
    assert texts.load("a" * 64) == TEXT
    assert TextStore(tmp_path / "texts", tmp_path).load("a" * 64) == TEXT


def test_a_text_with_a_flipped_bit_is_lost(texts: TextStore, tmp_path: Path) -> None:
    texts.save("a" * 64, PLAIN, TEXT)
    [path] = (tmp_path / "texts").iterdir()
    path.write_bytes(path.read_bytes().replace(b"second", b"secone"))
    assert not texts.has("a" * 64, PLAIN)
    assert texts.load("a" * 64, PLAIN) is None
    assert not path.exists()


def test_a_text_of_before_checksums_is_read(texts: TextStore, tmp_path: Path) -> None:
    texts.save("a" * 64, PLAIN, TEXT)
    assert texts.has_checksum("a" * 64, PLAIN)
    [path] = (tmp_path / "texts").iterdir()
    path.write_bytes(path.read_bytes().partition(b"\n")[0])
    assert texts.load("a" * 64, PLAIN) == TEXT
    assert not texts.has_checksum("a" * 64, PLAIN)


def test_texts_of_other_parsers_go_unless_they_are_wanted(texts: TextStore, tmp_path: Path) -> None:
    texts.save("a" * 64, PLAIN, TEXT)
    [path] = (tmp_path / "texts").iterdir()
    older = [f"{'a' * 64}-1.json", f"{'a' * 64}-2-text_plain.json", f"{'a' * 64}-3-text_plain.json"]
    for name in older:
        (tmp_path / "texts" / name).write_text(path.read_text())
    texts.sweep({("a" * 64, 3), ("b" * 64, 2)})
    assert sorted((tmp_path / "texts").iterdir()) == sorted([path, tmp_path / "texts" / older[2]])
    assert texts.load("a" * 64, PLAIN, 3) == TEXT
    assert texts.load("a" * 64, PLAIN, 2) is None


def test_the_same_bytes_have_a_text_for_each_media_type(texts: TextStore) -> None:
    texts.save("a" * 64, PLAIN, TEXT)
    assert texts.load("a" * 64, MARKDOWN) is None
    texts.save("a" * 64, MARKDOWN, CanonicalText("other"))
    assert texts.load("a" * 64, PLAIN) == TEXT
    assert texts.load("a" * 64, MARKDOWN) == CanonicalText("other")
    texts.delete("a" * 64)
    assert texts.load("a" * 64, PLAIN) is texts.load("a" * 64) is None


def test_a_deleted_text_is_gone_from_memory_and_disk(texts: TextStore, tmp_path: Path) -> None:
    for revision in ("a" * 64, "b" * 64):
        texts.save(revision, PLAIN, TEXT)
        texts.load(revision)
    texts.delete("a" * 64)
    texts.delete("a" * 64)
    assert texts.load("a" * 64) is None
    assert texts.load("b" * 64) == TEXT
    assert [path.name[:1] for path in (tmp_path / "texts").iterdir()] == ["b"]


def test_many_texts_do_not_fill_the_memory(texts: TextStore) -> None:
    for number in range(70):
        texts.save(f"{number:064}", PLAIN, CanonicalText(f"text {number}"))
        texts.load(f"{number:064}")
    assert [texts.load(f"{number:064}") for number in range(70)] == [
        CanonicalText(f"text {number}") for number in range(70)
    ]
    assert len(texts._cache) == 64


def test_long_texts_do_not_fill_the_memory(
    texts: TextStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "CACHED_CHARACTERS", 100)
    for letter in "abc":
        texts.save(letter * 64, PLAIN, CanonicalText(letter * 60))
        texts.load(letter * 64)
        assert len(texts._cache) == 1
    texts.save("d" * 64, PLAIN, CanonicalText("d" * 40))
    texts.load("d" * 64)
    assert len(texts._cache) == 2


def test_a_text_that_cannot_be_written_leaves_nothing(texts: TextStore, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UnicodeEncodeError):
        texts.save("a" * 64, PLAIN, CanonicalText("\ud83d"))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("damage", [b"", b'{"text": "half', b'{"text": "no more"}', b"\xff"])
def test_a_damaged_text_is_made_again(texts: TextStore, tmp_path: Path, damage: bytes) -> None:
    texts.save("a" * 64, PLAIN, TEXT)
    [path] = (tmp_path / "texts").iterdir()
    path.write_bytes(damage)
    assert not texts.has("a" * 64, PLAIN)
    assert texts.load("a" * 64, PLAIN) is None
    assert not path.exists()


def test_threads_may_load_and_delete_one_text(texts: TextStore) -> None:
    def work(number: int) -> None:
        for _ in range(50):
            if number % 2:
                assert texts.load("a" * 64) in (None, TEXT)
            else:
                texts.save("a" * 64, PLAIN, TEXT) if number == 0 else texts.delete("a" * 64)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(work, range(6)))
    texts.delete("a" * 64)
    assert texts.load("a" * 64) is None
