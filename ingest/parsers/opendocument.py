"""OpenDocument text (ODT): headings, paragraphs, lists, tables and notes of content.xml.

The format is OASIS Open Document Format for Office Applications 1.3.
"""

from collections.abc import Iterator
from zipfile import BadZipFile

from lxml import etree

from ingest.errors import UnreadableFileError
from ingest.parsers.archive import encrypted, open_archive
from ingest.parsers.builder import TextBuilder
from ingest.texts import CanonicalText

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_SKIPPED = {f"{_TEXT}tracked-changes", f"{_OFFICE}annotation", f"{_TEXT}sequence-decls"}
_SPACES = {f"{_TEXT}tab": "\t", f"{_TEXT}line-break": "\n"}
_MAX_REPEATED = 100


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
    for body in root.iter(f"{_OFFICE}text"):
        _add_blocks(builder, body)
    return builder.finish()


def safe_xml_parser() -> etree.XMLParser:
    """Return a parser that expands no entities and loads nothing."""
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)


def _add_blocks(builder: TextBuilder, parent: etree._Element, depth: int = 0) -> None:
    for element in parent:
        tag = element.tag
        if tag == f"{_TEXT}h":
            level = element.get(f"{_TEXT}outline-level", "1")
            builder.heading(_inline(element), int(level) if level.isdigit() else 1)
        elif tag == f"{_TEXT}p":
            builder.block(_inline(element).strip())
        elif tag == f"{_TEXT}list":
            builder.block("\n".join(_items(element, depth)))
        elif tag == f"{_TABLE}table":
            builder.table((None, list(_cells(row))) for row in element.iter(f"{_TABLE}table-row"))
        elif tag not in _SKIPPED and isinstance(tag, str):
            _add_blocks(builder, element, depth)


def _items(parent: etree._Element, depth: int) -> Iterator[str]:
    for item in parent:
        for element in item:
            if element.tag == f"{_TEXT}list":
                yield from _items(element, depth + 1)
            elif text := " ".join(_inline(element).split()):
                yield f"{'  ' * depth}- {text}"


def _cells(row: etree._Element) -> Iterator[str]:
    for cell in row:
        repeated = cell.get(f"{_TABLE}number-columns-repeated", "1")
        text = " ".join(" ".join(_inline(child).split()) for child in cell)
        yield from [text] * (min(int(repeated), _MAX_REPEATED) if repeated.isdigit() else 1)


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
            parts.append(_inline(child))
        parts.append(child.tail or "")
    return "".join(parts)


def _note(note: etree._Element) -> str:
    return " ".join(_inline(body) for body in note.iter(f"{_TEXT}note-body"))
