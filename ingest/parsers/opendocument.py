"""OpenDocument text (ODT): headings, paragraphs, lists, tables and notes of content.xml.

The format is OASIS Open Document Format for Office Applications 1.3.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from zipfile import BadZipFile

from lxml import etree

from ingest.errors import UnreadableFileError
from ingest.parsers.archive import encrypted, open_archive
from ingest.parsers.builder import TextBuilder
from ingest.texts import CanonicalText

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_SKIPPED = {
    f"{_TEXT}tracked-changes",
    f"{_OFFICE}annotation",
    f"{_TEXT}sequence-decls",
    f"{_TEXT}ruby-text",  # between the characters of a word
}
_SPACES = {f"{_TEXT}tab": "\t", f"{_TEXT}line-break": "\n"}
_ROW_GROUPS = {f"{_TABLE}{name}" for name in ("table-header-rows", "table-row-group", "table-rows")}
_PARAGRAPHS = {f"{_TEXT}p", f"{_TEXT}h"}
# Equal spaces, cells or rows one after the other, and such cells of a document in all.
_MAX_REPEATED = 100
_MAX_REPEATED_CELLS = 100_000


def parse_odt(data: bytes) -> CanonicalText:
    """Return the text of the body.

    Raises:
        UnreadableFileError: code `damaged`, `encrypted` or `too_large`.
    """
    with open_archive(data) as archive:
        try:
            if b"encryption-data" in archive.read("META-INF/manifest.xml"):
                raise encrypted()
            content = archive.read("content.xml")
            root = etree.fromstring(content, safe_xml_parser())
        except (KeyError, BadZipFile, etree.XMLSyntaxError) as error:
            raise UnreadableFileError(
                "damaged", "The document is damaged; save it anew and upload it again."
            ) from error
    builder = TextBuilder()
    repeats = _Repeats()
    for body in root.iter(f"{_OFFICE}text"):
        _add_blocks(builder, body, repeats)
    return builder.finish()


def safe_xml_parser(*, recover: bool = False) -> etree.XMLParser:
    """Return a parser that expands no entities and loads nothing.

    Args:
        recover: take what there is of broken XML, instead of refusing it.
    """
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        recover=recover,
    )


@dataclass(slots=True)
class _Repeats:
    """How often elements stand for several; counts cells, so that no bomb goes off."""

    cells_left: int = _MAX_REPEATED_CELLS

    def of(self, element: etree._Element, attribute: str, num_cells: int) -> int:
        wanted = min(_count(element, attribute), _MAX_REPEATED)
        granted = max(1, min(wanted, self.cells_left // max(1, num_cells)))
        self.cells_left -= (granted - 1) * num_cells
        return granted


def _add_blocks(builder: TextBuilder, parent: etree._Element, repeats: _Repeats) -> None:
    for element in parent:
        tag = element.tag
        if tag == f"{_TEXT}h":
            level = element.get(f"{_TEXT}outline-level", "1")
            builder.heading(_inline(element), int(level) if level.isdigit() else 1)
        elif tag == f"{_TEXT}p":
            builder.block(_inline(element).strip())
        elif tag == f"{_TEXT}list" and next(element.iter(f"{_TEXT}h"), None) is None:
            builder.block("\n".join(_items(element)))
        elif tag == f"{_TABLE}table":
            builder.table((None, row) for row in _rows(element, repeats))
        elif tag not in _SKIPPED and isinstance(tag, str):
            _add_blocks(builder, element, repeats)


def _items(parent: etree._Element, depth: int = 0) -> Iterator[str]:
    for item in parent:
        for element in item:
            if element.tag == f"{_TEXT}list":
                yield from _items(element, depth + 1)
            elif text := " ".join(_inline(element).split()):
                yield f"{'  ' * depth}- {text}"


def _rows(parent: etree._Element, repeats: _Repeats) -> Iterator[list[str]]:
    """Yield the cells of each row, also of rows in groups, but not of tables within cells."""
    for element in parent:
        if element.tag == f"{_TABLE}table-row":
            cells = list(_cells(element, repeats))
            count = repeats.of(element, "number-rows-repeated", len(cells)) if any(cells) else 1
            yield from [cells] * count
        elif element.tag in _ROW_GROUPS:
            yield from _rows(element, repeats)


def _cells(row: etree._Element, repeats: _Repeats) -> Iterator[str]:
    for cell in row:
        yield from [" ".join(_paragraphs(cell))] * repeats.of(cell, "number-columns-repeated", 1)


def _paragraphs(parent: etree._Element) -> Iterator[str]:
    """Yield the paragraphs of a cell, also of its lists and tables, each on one line."""
    for element in parent:
        if element.tag in _PARAGRAPHS:
            yield " ".join(_inline(element).split())
        elif element.tag not in _SKIPPED:
            yield from _paragraphs(element)


def _count(element: etree._Element, attribute: str) -> int:
    count = element.get(f"{_TABLE}{attribute}", "1")
    return int(count) if count.isdigit() else 1


def _inline(element: etree._Element) -> str:
    parts = [element.text or ""]
    for child in element:
        if child.tag == f"{_TEXT}s":
            count = child.get(f"{_TEXT}c", "1")
            parts.append(" " * (min(int(count), _MAX_REPEATED) if count.isdigit() else 1))
        elif child.tag in _SPACES:
            parts.append(_SPACES[child.tag])
        elif child.tag == f"{_TEXT}note":
            parts.append(f" ({' '.join(_note(child).split())})")
        elif child.tag not in _SKIPPED and isinstance(child.tag, str):
            inner = _inline(child)
            # The paragraph of a text box within this one.
            parts.append(f" {inner} " if child.tag in _PARAGRAPHS else inner)
        parts.append(child.tail or "")
    return "".join(parts)


def _note(note: etree._Element) -> str:
    return " ".join(_inline(body) for body in note.iter(f"{_TEXT}note-body"))
