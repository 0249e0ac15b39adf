"""Small office files, written by hand where no library of ours writes them."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import xlsxwriter
from pptx import Presentation
from pptx.util import Inches

_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_RELATIONSHIPS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE_DOCUMENT = (
    "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
)
_ODF = "urn:oasis:names:tc:opendocument:xmlns"


def make_zip(entries: Mapping[str, str | bytes]) -> bytes:
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def make_docx(body: str, doctype: str = "", **parts: str) -> bytes:
    """Return a Word file; the parts, such as `styles`, are WordprocessingML with the prefix w."""
    return make_zip(
        {
            f"word/{name}.xml": f'<w:{name} xmlns:w="{_W}">{part}</w:{name}>'
            for name, part in parts.items()
            if part
        }
        | {
            "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/'
            'content-types"><Default Extension="xml" ContentType="application/xml"/><Default '
            'Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships'
            f'+xml"/><Override PartName="/word/document.xml" ContentType="{_WORD}"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{_RELATIONSHIPS}"><Relationship Id="rId1" '
            f'Type="{_OFFICE_DOCUMENT}" Target="word/document.xml"/></Relationships>',
            "word/document.xml": f'{doctype}<w:document xmlns:w="{_W}"><w:body>{body}</w:body>'
            "</w:document>",
        }
    )


def make_pptx(slides: Sequence[tuple[str, str]], table: Sequence[Sequence[str]] = ()) -> bytes:
    """Return a presentation of slides with a title and a text; the table is on the last."""
    presentation = Presentation()
    for title, text in slides:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = text
    if table:
        size = [Inches(number) for number in (1, 5, 4, 1)]
        grid = slide.shapes.add_table(len(table), len(table[0]), *size).table
        for row, cells in enumerate(table):
            for column, text in enumerate(cells):
                grid.cell(row, column).text = text
    buffer = BytesIO()
    presentation.save(buffer)
    return buffer.getvalue()


def make_xlsx(sheets: Mapping[str, Mapping[str, object]]) -> bytes:
    """Return a workbook: sheet name -> cell such as `B2` -> value."""
    buffer = BytesIO()
    with xlsxwriter.Workbook(buffer) as workbook:
        for name, cells in sheets.items():
            sheet = workbook.add_worksheet(name)
            for cell, value in cells.items():
                sheet.write(cell, value)
    return buffer.getvalue()


def make_odt(body: str, manifest: str = "", doctype: str = "", styles: str = "") -> bytes:
    """Return an OpenDocument text.

    Texts have the prefixes text, table, style and office; drawing and svg-compatible as well.
    """
    prefixes = ("office", "text", "table", "style", "drawing", "svg-compatible")
    namespaces = " ".join(f'xmlns:{name}="{_ODF}:{name}:1.0"' for name in prefixes)
    return make_zip(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "META-INF/manifest.xml": f"<manifest>{manifest}</manifest>",
            "content.xml": f"{doctype}<office:document-content {namespaces}><office:body>"
            f"<office:text>{body}</office:text></office:body></office:document-content>",
            "styles.xml": f"<office:document-styles {namespaces}><office:styles>{styles}"
            "</office:styles></office:document-styles>",
        }
    )


def make_epub(chapters: Sequence[str], **more: str) -> bytes:
    """Return a book titled Bees; a keyword adds an entry, with `__` for a slash.

    An empty chapter is in the list of chapters, but not in the file.
    """
    numbers = range(len(chapters))
    items = "".join(f'<item id="c{n}" href="text/c%20{n}.xhtml"/>' for n in numbers)
    spine = "".join(f'<itemref idref="c{n}"/>' for n in numbers)
    entries: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container><rootfiles><rootfile full-path="OPS/book.opf"/>'
        "</rootfiles></container>",
        "OPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>Bees</dc:title>'
        f"</metadata><manifest>{items}</manifest><spine>{spine}</spine></package>",
    }
    entries |= {f"OPS/text/c {n}.xhtml": text for n, text in enumerate(chapters) if text}
    entries |= {name.replace("__", "/"): text for name, text in more.items()}
    return make_zip(entries)
