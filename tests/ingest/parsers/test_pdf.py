import logging

import pytest
from PIL import Image
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    NameObject,
    NumberObject,
)

from ingest.errors import UnreadableFileError
from ingest.parsers.pdf import parse_pdf
from ingest.parsers.pdf_metadata import iso_date
from tests.ingest.parsers.pdf_files import add_image, damage, pdf, writer_with


def refusal(data: bytes, max_pages: int = 100) -> str:
    with pytest.raises(UnreadableFileError) as caught:
        parse_pdf(data, max_pages)
    return caught.value.code


def test_pages_are_joined_and_mapped() -> None:
    text = parse_pdf(pdf(writer_with(["First page", "", "Third page\nsecond line"])), 3)
    assert text.text == "First page\n\n\n\nThird page\nsecond line"
    assert text.page_starts == (0, 12, 14)
    assert [text.page_at(text.text.index(w)) for w in ("First", "Third", "second")] == [1, 3, 3]
    assert (text.unreadable_pages, text.unreadable_reason) == ((), None)


def test_outline_gives_headings() -> None:
    writer = writer_with(
        ["We show the main results below.\n1 Main  RESULTS\nText", "More\nOf it\n2 End"]
    )
    chapter = writer.add_outline_item(title="Main results", page_number=0)
    writer.add_outline_item(title="of It", page_number=1, parent=chapter)
    writer.add_outline_item(title="Not on the page", page_number=1)
    writer.add_outline_item(title="End", page_number=1)
    text = parse_pdf(pdf(writer), 10)
    assert [(h.level, h.title, text.text[h.start : h.end]) for h in text.headings] == [
        (1, "Main results", "Main RESULTS"),
        (2, "of It", "Of it"),
        (1, "End", "End"),
    ]
    # Each is a block of its own; a title in a sentence stays in it.
    pages = [text.text[: text.page_starts[1]], text.text[text.page_starts[1] :]]
    assert pages == [
        "We show the main results below.\n\n1 Main RESULTS\n\nText\n\n",
        "More\n\nOf it\n\n2 End",
    ]
    assert text.page_at(text.headings[1].start) == 2


def test_empty_password_opens() -> None:
    writer = writer_with(["Secret"])
    writer.encrypt(user_password="", owner_password="owner", algorithm="AES-256")  # noqa: S106
    assert parse_pdf(pdf(writer), 10).text == "Secret"


@pytest.mark.parametrize("algorithm", ["RC4-40", "RC4-128", "AES-128", "AES-256"])
def test_password_opens(algorithm: str) -> None:
    writer = writer_with(["Secret"])
    writer.encrypt("päßword", algorithm=algorithm)
    assert parse_pdf(pdf(writer), 10, password="päßword").text == "Secret"  # noqa: S106


@pytest.mark.parametrize(
    ("password", "says"), [(None, "with its password"), ("wrong", "with the right one")]
)
def test_locked_file_is_refused(password: str | None, says: str) -> None:
    writer = writer_with(["Secret"])
    writer.encrypt("password", algorithm="AES-256")
    with pytest.raises(UnreadableFileError, match=says) as caught:
        parse_pdf(pdf(writer), 10, password)
    assert caught.value.code == "encrypted"


def test_metadata_of_the_info_dictionary() -> None:
    writer = writer_with(["Text"])
    writer.add_metadata(
        {"/Title": "Bees", "/Author": "Anna", "/CreationDate": "D:20240131120000+01'00'"}
    )
    metadata = parse_pdf(pdf(writer), 10).metadata
    assert metadata == {
        "title": "Bees",
        "author": "Anna",
        "created": "2024-01-31T12:00:00+01:00",
    }


def test_metadata_of_xmp() -> None:
    writer = writer_with(["Text"])
    writer.xmp_metadata = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        b'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title><rdf:Alt>'
        b'<rdf:li xml:lang="x-default">Bees</rdf:li></rdf:Alt></dc:title><dc:creator><rdf:Seq>'
        b"<rdf:li>Anna</rdf:li><rdf:li>Ben</rdf:li></rdf:Seq></dc:creator>"
        b"</rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    metadata = parse_pdf(pdf(writer), 10).metadata
    assert (metadata["title"], metadata["author"]) == ("Bees", "Anna, Ben")


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("D:2024", "2024"),
        ("D:20240131", "2024-01-31"),
        ("D:20240131120000Z", "2024-01-31T12:00:00+00:00"),
        ("D:20240131120000-05'30", "2024-01-31T12:00:00-05:30"),
        ("31 January", "31 January"),
    ],
)
def test_iso_date(date: str, expected: str) -> None:
    assert iso_date(date) == expected


def test_empty_pages_are_no_text() -> None:
    with pytest.raises(UnreadableFileError, match="right file") as caught:
        parse_pdf(pdf(writer_with(["", ""])), 10)
    assert caught.value.code == "no_text"


def test_scan_without_tesseract_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    writer = writer_with(["", "First words", "", "", "Last words"])
    for index in (0, 2, 3):
        add_image(writer, writer.pages[index], Image.new("L", (8, 8)))
    text = parse_pdf(pdf(writer), 10)
    assert text.unreadable_pages == (1, 3, 4)
    assert str(text.unreadable_reason).startswith("Pages 1, 3-4 need OCR. Install Tesseract")
    assert text.ocr_pages == ()

    scan = writer_with([""])
    add_image(scan, scan.pages[0], Image.new("L", (8, 8)))
    with pytest.raises(UnreadableFileError, match="Page 1 needs OCR") as caught:
        parse_pdf(pdf(scan), 10)
    assert caught.value.code == "no_text"


def test_text_layer_of_a_scan_is_kept() -> None:
    writer = writer_with(["3 Tr"])
    page = writer.pages[0]
    contents = page["/Contents"].get_object()
    assert isinstance(contents, DecodedStreamObject)
    contents.set_data(b"BT /F1 12 Tf 3 Tr 72 700 Td (Recognised words) Tj ET")
    hidden = parse_pdf_or_none(pdf(writer))
    add_image(writer, page, Image.new("L", (8, 8), 255))
    assert (hidden, parse_pdf(pdf(writer), 10).text) == (None, "Recognised words")


def parse_pdf_or_none(data: bytes) -> str | None:
    try:
        return parse_pdf(data, 10).text
    except UnreadableFileError:
        return None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"%PDF-1.7\n", id="header only"),
        pytest.param(b"%PDF-1.7\n" + b"\0\xff[<<(" * 1000, id="junk"),
        pytest.param(pdf(writer_with(["Text"]))[:300], id="truncated"),
        pytest.param(pdf(writer_with([])), id="no pages"),
    ],
)
def test_damaged(data: bytes) -> None:
    assert refusal(data) == "damaged"


def test_too_many_pages() -> None:
    data = pdf(writer_with(["Text"] * 4))
    assert refusal(data, max_pages=3) == "too_many_pages"
    assert len(parse_pdf(data, max_pages=4).page_starts) == 4


def test_declared_pages_are_refused_without_reading_them() -> None:
    data = pdf(writer_with(["Text"])).replace(b"/Count 1\n", b"/Count 10000\n")
    assert b"/Count 10000" in data
    assert refusal(data) == "too_many_pages"


def test_page_listed_a_million_times_is_read_once() -> None:
    writer = writer_with(["Text"])
    tree = writer.root_object["/Pages"]
    assert isinstance(tree, DictionaryObject)
    kids = tree["/Kids"]
    assert isinstance(kids, ArrayObject)
    inner = writer._add_object(
        DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Pages"),
                NameObject("/Count"): NumberObject(1),
                NameObject("/Kids"): ArrayObject([kids[0]] * 1000),
            }
        )
    )
    tree[NameObject("/Kids")] = ArrayObject([inner] * 1000)
    assert parse_pdf(pdf(writer), 100).text == "Text"


def test_cyclic_page_tree_is_damaged() -> None:
    writer = writer_with(["Text"])
    tree = writer.root_object["/Pages"]
    assert isinstance(tree, DictionaryObject)
    tree[NameObject("/Kids")] = ArrayObject([writer.root_object.raw_get("/Pages")])
    assert refusal(pdf(writer)) == "damaged"


def test_one_bad_page_does_not_lose_the_others() -> None:
    writer = writer_with(["First", "Bad", "Third"])
    damage(writer, writer.pages[1])
    text = parse_pdf(pdf(writer), 10)
    assert (text.text, text.unreadable_pages) == ("First\n\n\n\nThird", (2,))
    assert text.unreadable_reason == "Page 2 is damaged and could not be read."


def test_page_that_pdfium_does_not_read_is_read_by_pypdf() -> None:
    writer = writer_with(["First", "Second"])
    # A stream that is written into the page: against the standard, and pypdf accepts it.
    writer.pages[1][NameObject("/Contents")] = writer.pages[1]["/Contents"].get_object()
    assert parse_pdf(pdf(writer), 10).text == "First\n\nSecond"


def test_libraries_stay_silent(capsys: pytest.CaptureFixture[str]) -> None:
    parse_pdf(pdf(writer_with(["Text"])) + b"junk" * 10, 10)
    assert refusal(b"%PDF-1.7\n junk") == "damaged"
    for library in ("pypdf._reader", "pypdfium2"):
        assert not logging.getLogger(library).isEnabledFor(logging.ERROR)
    assert capsys.readouterr() == ("", "")
