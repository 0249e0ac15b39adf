"""Office formats and books: text, headings, tables and places, or a clear refusal."""

import re
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from pptx import Presentation

from ingest.errors import UnreadableFileError
from ingest.parsers import media_types
from ingest.parsers.parse import parse
from ingest.texts import CanonicalText
from tests.ingest.parsers.office import (
    make_docx,
    make_epub,
    make_odt,
    make_pptx,
    make_xlsx,
    make_zip,
)
from tests.ingest.parsers.reading import headings, place_of

PRICES = "| Size | Price |\n| --- | --- |\n| small | 5 |"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def read(path: Path, data: bytes, media_type: str) -> CanonicalText:
    path.write_bytes(data)
    return parse(path, media_type, max_pages=10)


def paragraph(text: str, style: str = "Normal") -> str:
    style_part = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>'
    return f"<w:p>{style_part}<w:r><w:t>{text}</w:t></w:r></w:p>"


def word_row(*cells: str) -> str:
    inner = "".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in cells)
    return f"<w:tr>{inner}</w:tr>"


def test_word(path: Path) -> None:
    table = f"<w:tbl>{word_row('Size', 'Price')}{word_row('small', '5')}</w:tbl>"
    body = paragraph("Bees", "Heading1") + paragraph("They dance &amp; sleep.") + table
    text = read(path, make_docx(body), media_types.DOCX)
    assert text.text == f"Bees\n\nThey dance & sleep.\n\n{PRICES}"
    assert headings(text) == [(1, "Bees")]


def test_word_leaves_deleted_text_out(path: Path) -> None:
    deleted = "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>"
    assert read(path, make_docx(paragraph("kept") + deleted), media_types.DOCX).text == "kept"


def test_a_page_break_in_word_parts_words(path: Path) -> None:
    breaks = (
        '<w:t>one</w:t><w:br w:type="page"/><w:t>two</w:t><w:br w:type="column"/><w:t>three</w:t>'
    )
    body = f"<w:p><w:r>{breaks}</w:r></w:p>"
    assert read(path, make_docx(body), media_types.DOCX).text == "one\ntwo\nthree"


def test_slides(path: Path) -> None:
    data = make_pptx(
        [("Intro", "first\nsecond"), ("", "no title"), ("End", "bye")],
        [["Size", "Price"], ["small", "5"]],
    )
    text = read(path, data, media_types.PPTX)
    assert text.text == f"Intro\n\nfirst\nsecond\n\nno title\n\nEnd\n\nbye\n\n{PRICES}"
    assert headings(text) == [(1, "Intro"), (1, "End")]
    assert [place_of(text, words) for words in ("first", "no title", "small")] == [
        "slide 1",
        "slide 2",
        "slide 3",
    ]
    assert [text.page_at(text.text.index(words)) for words in ("first", "small")] == [1, 3]


def test_what_each_slide_repeats_is_left_out(path: Path) -> None:
    presentation = Presentation(BytesIO(make_pptx([("Bees", "They dance.")])))
    [slide] = presentation.slides
    for running in slide.slide_layout.placeholders:
        if running.placeholder_format.idx >= 10:  # date, footer and number
            slide.shapes._spTree.append(deepcopy(running._element))
    slide.placeholders[11].text = "ACME, in confidence"
    file = BytesIO()
    presentation.save(file)
    assert b"ACME" in ZipFile(file).read("ppt/slides/slide1.xml")
    assert read(path, file.getvalue(), media_types.PPTX).text == "Bees\n\nThey dance."


def test_slides_saved_as_strict_are_read(path: Path) -> None:
    files = ZipFile(BytesIO(make_pptx([("Bees", "They dance.")], [["Size"], ["small"]])))
    names = re.compile(
        rb"http://schemas\.openxmlformats\.org/(presentationml|drawingml"
        rb"|officeDocument)/2006/"
    )
    strict = {
        name: names.sub(rb"http://purl.oclc.org/ooxml/\1/", files.read(name))
        for name in files.namelist()
    }
    text = read(path, make_zip(strict), media_types.PPTX)
    assert text.text == "Bees\n\nThey dance.\n\n| Size |\n| --- |\n| small |"


def test_workbook_names_sheet_and_row_as_the_program_shows_them(path: Path) -> None:
    cells = {"B3": "Size", "C3": "Price", "B4": "small", "C4": 5, "B6": "big", "C6": 7.25}
    data = make_xlsx({"Prices": cells, "Empty": {}, "Flags": {"A1": True}})
    text = read(path, data, media_types.XLSX)
    assert text.text == f"Prices\n\n{PRICES}\n| big | 7.25 |\n\nFlags\n\n| TRUE |\n| --- |"
    assert headings(text) == [(1, "Prices"), (1, "Flags")]
    assert place_of(text, "Size") == "sheet Prices, row 3"
    assert place_of(text, "7.25") == "sheet Prices, row 6"
    assert place_of(text, "TRUE") == "sheet Flags, row 1"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimited_text(path: Path, delimiter: str) -> None:
    rows = [["Size", "Price"], [f'"very{delimiter} ""small"""', "5"], [], ["big", "7"]]
    data = "\n".join(delimiter.join(row) for row in rows).encode("utf-16")
    text = read(path, data, media_types.CSV)
    cell = f'very{delimiter} "small"'.replace("\t", "").replace("|", "\\|")
    cell = " ".join(cell.split()) if delimiter != "\t" else 'very "small"'
    assert text.text == f"| Size | Price |\n| --- | --- |\n| {cell} | 5 |\n| big | 7 |"
    assert place_of(text, "big") == "row 4"


def test_a_cell_of_several_lines(path: Path) -> None:
    data = b'Bee,Notes\n"honey","dances,\n\nand hums"\nbumble,loud\n'
    text = read(path, data, media_types.CSV)
    rows = ["| Bee | Notes |", "| --- | --- |", "| honey | dances, and hums |", "| bumble | loud |"]
    assert text.text == "\n".join(rows)
    assert place_of(text, "loud") == "row 3"


def test_prose_named_csv_is_not_lost(path: Path) -> None:
    text = read(path, b"Some notes about bees.\nThey dance.\n", media_types.CSV)
    assert "Some notes about bees." in text.text
    assert "They dance." in text.text


def test_open_document(path: Path) -> None:
    note = "<text:note><text:note-body><text:p>In the dark.</text:p></text:note-body></text:note>"
    items = (
        "<text:list><text:list-item><text:p>one</text:p><text:list><text:list-item>"
        "<text:p>two</text:p></text:list-item></text:list></text:list-item></text:list>"
    )
    rows = "".join(
        "<table:table-row>"
        + "".join(f"<table:table-cell><text:p>{c}</text:p></table:table-cell>" for c in cells)
        + "</table:table-row>"
        for cells in (("Size", "Price"), ("small", "5"))
    )
    body = (
        '<text:h text:outline-level="2">Bees</text:h>'
        f"<text:p>They<text:s/>dance{note}.</text:p>{items}<table:table>{rows}</table:table>"
        "<text:tracked-changes><text:p>gone</text:p></text:tracked-changes>"
    )
    text = read(path, make_odt(body), media_types.ODT)
    assert text.text == f"Bees\n\nThey dance (In the dark.).\n\n- one\n  - two\n\n{PRICES}"
    assert headings(text) == [(2, "Bees")]


def odt_cell(text: str, attributes: str = "") -> str:
    return f"<table:table-cell {attributes}><text:p>{text}</text:p></table:table-cell>"


def odt_row(*cells: str, attributes: str = "") -> str:
    return f"<table:table-row {attributes}>{''.join(cells)}</table:table-row>"


def test_open_document_repeats_rows_and_columns(path: Path) -> None:
    head = odt_row(odt_cell("Size"), odt_cell("Price", 'table:number-columns-repeated="2"'))
    empty = odt_row("<table:table-cell/>", attributes='table:number-rows-repeated="1000000"')
    row = odt_row(odt_cell("small"), odt_cell("5"), odt_cell("6"), attributes="{}")
    rows = row.replace("{}", 'table:number-rows-repeated="2"')
    body = f"<table:table><table:table-header-rows>{head}</table:table-header-rows>{empty}{rows}"
    text = read(path, make_odt(f"{body}</table:table>"), media_types.ODT)
    small = "| small | 5 | 6 |"
    assert text.text == f"| Size | Price | Price |\n| --- | --- | --- |\n{small}\n{small}"


def test_open_document_does_not_repeat_without_end(path: Path) -> None:
    many = 'table:number-columns-repeated="999999999"'
    row = odt_row(odt_cell("x", many), attributes='table:number-rows-repeated="999999999"')
    body = f"<table:table>{row * 50}</table:table>"
    assert read(path, make_odt(body), media_types.ODT).text.count("x") < 101_000


def test_open_document_reads_tables_in_cells_once(path: Path) -> None:
    inner = f"<table:table>{odt_row(odt_cell('a'), odt_cell('b'))}</table:table>"
    cell = f"<table:table-cell><text:p>One</text:p>{inner}</table:table-cell>"
    body = (
        f"<table:table>{odt_row(odt_cell('Size'), odt_cell('Price'))}{odt_row(cell, odt_cell('5'))}"
    )
    text = read(path, make_odt(f"{body}</table:table>"), media_types.ODT)
    assert text.text == "| Size | Price |\n| --- | --- |\n| One a b | 5 |"


def test_open_document_parts_a_text_box_from_the_words_around_it(path: Path) -> None:
    body = "<text:p>one<office:box><text:p>two</text:p></office:box>three</text:p>"
    assert read(path, make_odt(body), media_types.ODT).text.split() == ["one", "two", "three"]


def test_open_document_text_boxes_stand_behind_their_paragraph(path: Path) -> None:
    rows = odt_row(odt_cell("Size"), odt_cell("Price")) + odt_row(odt_cell("small"), odt_cell("5"))
    box = f"<text:p>Prices</text:p><table:table>{rows}</table:table>"
    frame = f"<drawing:frame><drawing:text-box>{box}</drawing:text-box></drawing:frame>"
    text = read(path, make_odt(f"<text:p>Bees{frame} fly.</text:p>"), media_types.ODT)
    assert text.text == "Bees fly.\n\nPrices\n\n| Size | Price |\n| --- | --- |\n| small | 5 |"


def test_open_document_leaves_descriptions_of_pictures_and_line_ends_out(path: Path) -> None:
    told = "<svg-compatible:title>logo</svg-compatible:title>"
    told += "<svg-compatible:desc>A bee</svg-compatible:desc>"
    body = f"<text:p>Bees\n   <drawing:frame>{told}</drawing:frame>fly.</text:p>"
    assert read(path, make_odt(body), media_types.ODT).text == "Bees fly."


def test_open_document_finds_headings_that_are_items_of_a_list(path: Path) -> None:
    item = '<text:list-item><text:h text:outline-level="{0}">{1}</text:h></text:list-item>'
    inner = f"<text:list>{item.format(2, 'Dance')}</text:list>"
    body = (
        f"<text:list>{item.format(1, 'Bees')}<text:list-item>{inner}</text:list-item></text:list>"
    )
    text = read(path, make_odt(f"{body}<text:p>In the dark.</text:p>"), media_types.ODT)
    assert headings(text) == [(1, "Bees"), (2, "Dance")]
    assert text.text == "Bees\n\nDance\n\nIn the dark."


def test_open_document_leaves_readings_out_of_words(path: Path) -> None:
    inner = "<text:ruby-base>{0}</text:ruby-base><text:ruby-text>{1}</text:ruby-text>"
    ruby = f"<text:ruby>{inner}</text:ruby>"
    body = f"<text:p>{ruby.format('蜜', 'みつ')}{ruby.format('蜂', 'ばち')}</text:p>"
    assert read(path, make_odt(body), media_types.ODT).text == "蜜蜂"


def test_book(path: Path) -> None:
    chapters = ["<html><h1>One</h1><p>Hives.</p></html>", "<html><img/></html>", "<p>Last.</p>"]
    text = read(path, make_epub(chapters), media_types.EPUB)
    assert text.text == "Bees\n\nOne\n\nHives.\n\nLast."
    assert headings(text) == [(1, "Bees"), (2, "One")]


def test_a_book_without_some_of_its_chapters_is_read_in_part(path: Path) -> None:
    text = read(path, make_epub(["<p>One.</p>", "", "<p>Three.</p>"]), media_types.EPUB)
    assert text.text == "Bees\n\nOne.\n\nThree."
    assert text.unreadable_reason == (
        "A part of the book is missing or damaged (c 1.xhtml); export it anew and upload it again."
    )
    reason = read(path, make_epub(["<p>One.</p>", *[""] * 7]), media_types.EPUB).unreadable_reason
    assert reason == (
        "7 parts of the book are missing or damaged (c 1.xhtml, c 2.xhtml, c 3.xhtml, c 4.xhtml, "
        "c 5.xhtml and more); export it anew and upload it again."
    )


def test_chapters_are_read_whole_and_the_table_of_contents_is_none(path: Path) -> None:
    package = (
        "<package xmlns:dc='http://purl.org/dc/elements/1.1/'><manifest><item id='c' href='c.xhtml'"
        "/><item id='n' href='n.xhtml' properties='scripted nav'/></manifest><spine>"
        "<itemref idref='n'/><itemref idref='c'/></spine></package>"
    )
    chapter = "<header><h1>One</h1></header><p>Text</p><aside>A note.</aside><footer>End</footer>"
    more = {"OPS__book.opf": package, "OPS__c.xhtml": chapter, "OPS__n.xhtml": "<p>Contents</p>"}
    text = read(path, make_epub([], **more), media_types.EPUB)
    assert text.text == "One\n\nText\n\nA note.\n\nEnd"


def test_scrambled_fonts_do_not_make_a_book_unreadable(path: Path) -> None:
    fonts = '<encryption><CipherReference URI="OPS/a.otf"/></encryption>'
    data = make_epub(["<p>Text.</p>"], **{"META-INF__encryption.xml": fonts})
    assert read(path, data, media_types.EPUB).text.endswith("Text.")


def test_restructured_text_includes_nothing(path: Path) -> None:
    secret = path.with_name("secret.txt")
    secret.write_text("xyzzy")
    source = (
        "Bees\n====\n\nThey *dance*.\n\n- one\n- two\n\n"
        f".. include:: {secret}\n\n.. raw:: html\n\n   <p>xyzzy</p>\n\n"
        "Prices\n------\n\n=====  =====\nSize   Price\n=====  =====\nsmall  5\n=====  =====\n"
    )
    text = read(path, source.encode(), media_types.RST)
    assert text.text == f"Bees\n\nThey dance.\n\n- one\n- two\n\nPrices\n\n{PRICES}"
    assert headings(text) == [(1, "Bees"), (2, "Prices")]


def test_restructured_text_keeps_what_is_written_for_sphinx(path: Path) -> None:
    source = """
Bees
====

.. versionadded:: 3.2
   They *dance*.

.. py:function:: dance(time)
   :noindex:

   Shows the way.

   .. deprecated:: 4.0

.. code-block:: python
   :linenos:

   dance(5)

Prices
======

+-------+-------+
| Size  | Price |
+-------+-------+
| small |
+-------+
"""
    text = read(path, source.encode(), media_types.RST)
    assert text.text == (
        "Bees\n\n3.2\n\nThey dance.\n\ndance(time)\n\nShows the way.\n\n4.0\n\npython\n\n"
        "dance(5)\n\nPrices\n\n"
        "+-------+-------+\n| Size  | Price |\n+-------+-------+\n| small |\n+-------+"
    )
    assert headings(text) == [(2, "Bees"), (2, "Prices")]


def test_restructured_text_shows_what_sphinx_shows_of_references(path: Path) -> None:
    source = (
        "See :ref:`the hive <hive>`, :py:func:`~bees.dance`, :class:`!Bee`, :doc:`bees`,\n"
        ":sub:`2` and :option:`python -c`.\n"
    )
    text = read(path, source.encode(), media_types.RST).text
    assert text == "See the hive, bees.dance, Bee, bees, 2 and python -c."


LOCKED_ZIP = bytearray(make_docx(paragraph("x")))
for _signature, _offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
    _at = LOCKED_ZIP.find(_signature)
    LOCKED_ZIP[_at + _offset] |= 1


@pytest.mark.parametrize(
    ("media_type", "data", "code"),
    [
        (media_types.DOCX, b"PK\x03\x04 cut", "damaged"),
        (media_types.DOCX, make_zip({"word/document.xml": "<w:document"}), "damaged"),
        (media_types.DOCX, bytes(LOCKED_ZIP), "encrypted"),
        (media_types.DOCX, make_docx(""), "no_text"),
        (media_types.PPTX, make_zip({"a": "b"}), "damaged"),
        (media_types.PPTX, make_pptx([("", "")]), "no_text"),
        (media_types.XLSX, make_zip({"a": "b"}), "damaged"),
        (media_types.XLSX, make_xlsx({"A": {}}), "no_text"),
        (media_types.XLS, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), "damaged"),
        (media_types.ODT, make_zip({"content.xml": "<a/>"}), "damaged"),
        (media_types.ODT, make_odt("<text:p>x", ""), "damaged"),
        (media_types.ODT, make_odt("", "<encryption-data/>"), "encrypted"),
        (media_types.EPUB, make_zip({"mimetype": "application/epub+zip"}), "damaged"),
        (media_types.EPUB, make_epub(["", ""]), "damaged"),
        (
            media_types.EPUB,
            make_epub(
                ["<p>x</p>"],
                **{"META-INF__encryption.xml": '<e><CipherReference URI="OPS/text/c"/></e>'},
            ),
            "encrypted",
        ),
        (media_types.MSG, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), "damaged"),
        (media_types.RTF, rb"{\rtf1}", "no_text"),
    ],
)
def test_what_cannot_be_read_says_why(path: Path, media_type: str, data: bytes, code: str) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        read(path, data, media_type)
    assert caught.value.code == code
    assert "upload" in str(caught.value)


def test_archive_bomb_is_refused_before_it_is_unpacked(path: Path) -> None:
    bomb = make_zip({"word/document.xml": bytes(40 * 1024**2)})
    assert len(bomb) < 100_000
    for media_type in (media_types.DOCX, media_types.XLSX, media_types.ODT, media_types.EPUB):
        with pytest.raises(UnreadableFileError, match="unpacks to 40 MiB") as caught:
            read(path, bomb, media_type)
        assert caught.value.code == "too_large"


ENTITY_BOMB = "".join(
    f'<!ENTITY {name} "{inner * 10}">'
    for name, inner in zip("zyxwvutb", ["xyzzy", *(f"&{n};" for n in "zyxwvut")], strict=True)
)
ENTITY_MAKERS = {
    media_types.ODT: lambda doctype: make_odt("<text:p>one &b; two</text:p>", doctype=doctype),
    media_types.DOCX: lambda doctype: make_docx(paragraph("one &b; two"), doctype),
}


@pytest.mark.parametrize("media_type", ENTITY_MAKERS)
def test_entities_that_grow_are_refused(path: Path, media_type: str) -> None:
    data = ENTITY_MAKERS[media_type](f"<!DOCTYPE x [{ENTITY_BOMB}]>")
    with pytest.raises(UnreadableFileError) as caught:
        read(path, data, media_type)
    assert caught.value.code == "damaged"


@pytest.mark.parametrize("media_type", ENTITY_MAKERS)
def test_entities_read_no_file(path: Path, media_type: str) -> None:
    secret = path.with_name("secret")
    secret.write_text("xyzzy")
    data = ENTITY_MAKERS[media_type](f'<!DOCTYPE x [<!ENTITY b SYSTEM "file://{secret}">]>')
    assert read(path, data, media_type).text.split() == ["one", "two"]
