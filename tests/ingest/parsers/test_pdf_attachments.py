from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfWriter
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    NameObject,
    NumberObject,
    TextStringObject,
)

from ingest.errors import UnreadableFileError
from ingest.parsers import media_types
from ingest.parsers.parse import parse
from ingest.parsers.pdf import parse_pdf
from ingest.texts import CanonicalText
from tests.ingest.parsers.office import make_xlsx
from tests.ingest.parsers.pdf_files import damage, make_pdf, pdf, writer_with
from tests.ingest.parsers.reading import headings, place_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.pdf"


def read(path: Path, writer: PdfWriter, password: str | None = None) -> CanonicalText:
    path.write_bytes(pdf(writer))
    return parse(path, media_types.PDF, max_pages=10, password=password)


def embedded_files(writer: PdfWriter) -> Any:
    """Return the tree of the names of the attachments."""
    names: Any = writer.root_object["/Names"]
    return names["/EmbeddedFiles"]


def annotate(writer: PdfWriter, page: int, kind: str, **more: object) -> None:
    """Pin something to a page."""
    annotation = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Annot"),
            NameObject("/Subtype"): NameObject(f"/{kind}"),
            NameObject("/Rect"): ArrayObject(map(NumberObject, (10, 10, 30, 30))),
            **{NameObject(f"/{name}"): value for name, value in more.items()},
        }
    )
    annotations: Any = writer.pages[page].setdefault(NameObject("/Annots"), ArrayObject())
    annotations.append(writer._add_object(annotation))


def pin(writer: PdfWriter, page: int, name: str, data: bytes) -> None:
    """Pin a compressed file to a page."""
    content = DecodedStreamObject()
    content.set_data(data)
    key = NameObject("/F")
    packed = DictionaryObject({key: writer._add_object(content.flate_encode())})
    file = DictionaryObject({key: TextStringObject(name), NameObject("/EF"): packed})
    annotate(writer, page, "FileAttachment", FS=file, Contents=TextStringObject(name))


def note(writer: PdfWriter, kind: str, text: str, flags: int = 4) -> None:
    annotate(writer, 0, kind, Contents=TextStringObject(text), F=NumberObject(flags))


def test_attachments_stand_behind_the_pages(path: Path) -> None:
    inner = writer_with(["Bees live in hives.", "They dance."])
    writer = writer_with(["See the files.", "Second page"])
    writer.add_attachment("prices.xlsx", make_xlsx({"Prices": {"A1": "Size", "A2": "small"}}))
    writer.add_attachment("bees.pdf", pdf(inner))
    text = read(path, writer)
    assert text.text == (
        "See the files.\n\nSecond page\n\nAttachment bees.pdf\n\nBees live in hives.\n\n"
        "They dance.\n\nAttachment prices.xlsx\n\nPrices\n\n| Size |\n| --- |\n| small |"
    )
    assert headings(text) == [
        (1, "Attachment bees.pdf"),
        (1, "Attachment prices.xlsx"),
        (2, "Prices"),
    ]
    assert place_of(text, "Second") == "page 2"
    assert place_of(text, "They dance") == "attachment bees.pdf, page 2"
    assert place_of(text, "small") == "attachment prices.xlsx, sheet Prices, row 2"
    assert [text.page_at(text.text.index(one)) for one in ("Second", "They dance")] == [2, None]
    assert text.unreadable_reason is None


def test_a_portfolio_whose_cover_has_no_text_is_read(path: Path) -> None:
    writer = writer_with([""])
    writer.root_object[NameObject("/Collection")] = DictionaryObject()
    writer.add_attachment("bees.txt", b"Bees live in hives.")
    assert read(path, writer).text.strip() == "Attachment bees.txt\n\nBees live in hives."


def test_files_pinned_to_a_page_are_read_once(path: Path) -> None:
    writer = writer_with(["First", "Second"])
    writer.add_attachment("bees.txt", b"Bees live in hives.")
    annotate(writer, 0, "FileAttachment", FS=embedded_files(writer)["/Names"][1])
    pin(writer, 1, "wasps.txt", b"Wasps live in nests.")
    assert read(path, writer).text == (
        "First\n\nSecond\n\nAttachment bees.txt\n\nBees live in hives.\n\n"
        "Attachment wasps.txt\n\nWasps live in nests."
    )


def test_names_of_attachments_may_be_a_tree_that_never_ends(path: Path) -> None:
    writer = writer_with(["Text"])
    writer.add_attachment("bees.txt", b"Bees live in hives.")
    root = embedded_files(writer)
    leaf = writer._add_object(DictionaryObject({NameObject("/Names"): root.pop("/Names")}))
    branch = writer._add_object(DictionaryObject({NameObject("/Kids"): ArrayObject([leaf])}))
    end = writer._add_object(root)
    root[NameObject("/Kids")] = ArrayObject([branch, end, leaf])
    assert read(path, writer).text == "Text\n\nAttachment bees.txt\n\nBees live in hives."


def test_attachments_of_a_locked_file_are_read(path: Path) -> None:
    writer = writer_with(["Text"])
    writer.add_attachment("bees.txt", b"Bees live in hives.")
    writer.encrypt("secret", algorithm="AES-256")
    text = read(path, writer, password="secret")  # noqa: S106
    assert text.text == "Text\n\nAttachment bees.txt\n\nBees live in hives."


def test_settings_for_printing_are_no_document(path: Path) -> None:
    writer = writer_with(["Text"])
    writer.add_attachment("Press Quality.joboptions", b"<< /ASCII85EncodePages false >>")
    assert read(path, writer).text == "Text"


def test_what_is_not_read_of_attachments_is_told(path: Path) -> None:
    locked = writer_with(["Text"])
    locked.encrypt("secret", algorithm="AES-256")
    broken = writer_with(["Text"])
    damage(broken, broken.pages[0])
    writer = writer_with(["Text"])
    writer.add_attachment("1.mp3", b"ID3\x04\x00\x00\x00\x00")
    writer.add_attachment("2.pdf", pdf(locked))
    writer.add_attachment("3.pdf", pdf(broken))
    writer.add_attachment("4.txt", b"Bees")
    text = read(path, writer)
    assert text.text.endswith("Attachment 4.txt\n\nBees")
    assert text.unreadable_pages == ()
    first, second, third = (text.unreadable_reason or "").split("Attachment ")[1:]
    assert first.startswith("1.mp3 was not read: 1.mp3 is of a kind that is not supported")
    assert second.startswith("2.pdf was not read: The PDF is locked with a password")
    assert third.startswith("3.pdf was not read: The PDF is damaged")


def test_attachments_that_unpack_to_too_much_are_not_read(path: Path) -> None:
    writer = writer_with(["Text"])
    pin(writer, 0, "zeros.txt", bytes(80_000_000))
    path.write_bytes(pdf(writer))
    assert path.stat().st_size < 1_000_000
    text = parse(path, media_types.PDF, max_pages=10)
    assert text.text == "Text\n\nAttachment zeros.txt"
    assert text.unreadable_reason == (
        "Attachment zeros.txt was not read: It unpacks to too much; save it and upload it as a "
        "file of its own."
    )


def test_attachments_within_attachments_have_an_end(path: Path) -> None:
    writer = writer_with(["Text 0"])
    for depth in range(1, 6):
        outer = writer_with([f"Text {depth}"])
        outer.add_attachment(f"{depth}.pdf", pdf(writer))
        writer = outer
    text = read(path, writer)
    assert [f"Text {depth}" in text.text for depth in range(6)] == [False, False, *[True] * 4]
    assert "2.pdf is an attachment within too many others" in (text.unreadable_reason or "")


def test_notes_stand_behind_the_text_of_their_page() -> None:
    writer = writer_with(["Bees live in hives.", "Second page"])
    note(writer, "Text", "Is that\nso?")
    note(writer, "Highlight", "live in hives")  # what it marks
    note(writer, "StrikeOut", "Wasps do not.")
    note(writer, "Text", "hidden", flags=2)
    note(writer, "Popup", "Is that so?")
    note(writer, "Link", "a link")
    text = parse_pdf(pdf(writer), 10)
    assert text.text == (
        "Bees live in hives.\n\nComment: Is that so?\n\nComment: Wasps do not.\n\nSecond page"
    )
    assert text.page_at(text.text.index("Wasps")) == 1


def test_a_page_with_nothing_but_a_note_is_read() -> None:
    writer = writer_with([""])
    note(writer, "Text", "Bees")
    assert parse_pdf(pdf(writer), 10).text == "Comment: Bees"
    with pytest.raises(UnreadableFileError, match="right file"):
        parse_pdf(make_pdf(""), 10)
