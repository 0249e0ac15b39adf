import logging
from collections.abc import Sequence
from io import BytesIO

import pytest
from pypdf import PdfWriter
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    NameObject,
    NumberObject,
)

from ingest.errors import UnreadableFileError
from ingest.parsers.pdf import clean, parse_pdf


def writer_with(pages: Sequence[str]) -> PdfWriter:
    """Return a document with the lines of each text on a page of its own."""
    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for text in pages:
        page = writer.add_blank_page(595, 842)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
        show = " ".join(f"({line}) Tj T*" for line in text.split("\n") if line)
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 14 TL 72 770 Td {show} ET".encode())
        page[NameObject("/Contents")] = stream
    return writer


def pdf(writer: PdfWriter) -> bytes:
    buffer = BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def refusal(data: bytes, max_pages: int = 100) -> str:
    with pytest.raises(UnreadableFileError) as caught:
        parse_pdf(data, max_pages)
    return caught.value.code


def test_pages_are_joined_and_mapped() -> None:
    text = parse_pdf(pdf(writer_with(["First page", "", "Third page\nsecond line"])), 3)
    assert text.text == "First page\n\n\n\nThird page\nsecond line"
    assert text.page_starts == (0, 12, 14)
    assert [text.page_at(text.text.index(w)) for w in ("First", "Third", "second")] == [1, 3, 3]
    assert text.unreadable_pages == (2,)


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
        (1, "Main results", "Main  RESULTS"),
        (2, "of It", "Of it"),
        (1, "End", "End"),
    ]


def test_clean() -> None:
    assert clean("\ufb01le \ufb03 e\u0301\x00\x07 \t\r\nnext\ud800  \n\n") == "file ffi é\nnext"


def test_empty_password_opens() -> None:
    writer = writer_with(["Secret"])
    writer.encrypt(user_password="", owner_password="owner", algorithm="AES-256")  # noqa: S106
    assert parse_pdf(pdf(writer), 10).text == "Secret"


def test_password_is_refused() -> None:
    writer = writer_with(["Secret"])
    writer.encrypt("password", algorithm="AES-256")
    with pytest.raises(UnreadableFileError, match="save a copy without the password") as caught:
        parse_pdf(pdf(writer), 10)
    assert caught.value.code == "encrypted"


def test_scan_is_refused() -> None:
    with pytest.raises(UnreadableFileError, match="OCR") as caught:
        parse_pdf(pdf(writer_with(["", ""])), 10)
    assert caught.value.code == "no_text"


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


def test_page_listed_a_million_times_is_refused_quickly() -> None:
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
    assert refusal(pdf(writer)) == "too_many_pages"


def test_cyclic_page_tree_is_damaged() -> None:
    writer = writer_with(["Text"])
    tree = writer.root_object["/Pages"]
    assert isinstance(tree, DictionaryObject)
    tree[NameObject("/Kids")] = ArrayObject([writer.root_object.raw_get("/Pages")])
    assert refusal(pdf(writer)) == "damaged"


def test_one_bad_page_does_not_lose_the_others() -> None:
    writer = writer_with(["First", "Bad", "Third"])
    writer.pages[1][NameObject("/Contents")] = NumberObject(7)
    text = parse_pdf(pdf(writer), 10)
    assert (text.text, text.unreadable_pages) == ("First\n\n\n\nThird", (2,))


def test_pypdf_stays_silent(capsys: pytest.CaptureFixture[str]) -> None:
    parse_pdf(pdf(writer_with(["Text"])) + b"junk" * 10, 10)
    assert refusal(b"%PDF-1.7\n junk") == "damaged"
    assert not logging.getLogger("pypdf._reader").isEnabledFor(logging.ERROR)
    assert capsys.readouterr() == ("", "")
