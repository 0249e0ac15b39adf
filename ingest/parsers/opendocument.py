"""OpenDocument text (ODT): headings, paragraphs, lists, tables and notes of content.xml.

The format is OASIS Open Document Format for Office Applications 1.3.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from zipfile import BadZipFile, ZipFile

from lxml import etree

from ingest.errors import UnreadableFileError
from ingest.parsers.archive import encrypted, open_archive
from ingest.parsers.builder import TextBuilder
from ingest.parsers.opendocument_numbers import ListPlace, Numbering
from ingest.texts import CanonicalText

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_PICTURE = "{urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0}"
_TEXT_BOX = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}text-box"
_STYLES = "styles.xml"
_SKIPPED = {
    f"{_TEXT}tracked-changes",
    f"{_OFFICE}annotation",
    f"{_TEXT}sequence-decls",
    f"{_TEXT}ruby-text",  # between the characters of a word
    f"{_TEXT}number",  # how some programs show an item, which is counted here
    f"{_PICTURE}title",  # what a picture shows, told in place of it
    f"{_PICTURE}desc",
}
_SPACES = {f"{_TEXT}tab": "\t", f"{_TEXT}line-break": "\n"}
_ROW_GROUPS = {f"{_TABLE}{name}" for name in ("table-header-rows", "table-row-group", "table-rows")}
_PARAGRAPHS = {f"{_TEXT}p", f"{_TEXT}h"}
_WHITE_SPACE = re.compile(r"[ \t\n\r]+")
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
            styles = _styles(archive)
        except (KeyError, BadZipFile, etree.XMLSyntaxError) as error:
            raise UnreadableFileError(
                "damaged", "The document is damaged; save it anew and upload it again."
            ) from error
    reader = _Reader(Numbering.read([root] if styles is None else [styles, root]))
    for body in root.iter(f"{_OFFICE}text"):
        reader.add_blocks(body)
    return reader.builder.finish()


def _styles(archive: ZipFile) -> etree._Element | None:
    """Return the styles, without which the text is read all the same."""
    try:
        return etree.fromstring(archive.read(_STYLES), safe_xml_parser())
    except (KeyError, BadZipFile, etree.XMLSyntaxError):
        return None


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


@dataclass(slots=True)
class _Reader:
    """Writes the blocks of a body, one after the other."""

    numbering: Numbering
    builder: TextBuilder = field(default_factory=TextBuilder)
    repeats: _Repeats = field(default_factory=_Repeats)

    def add_blocks(self, parent: etree._Element) -> None:
        for element in parent:
            tag = element.tag
            if tag == f"{_TEXT}h":
                label = self.numbering.heading_label(element, _level(element))
                self._add_heading(element, label)
            elif tag == f"{_TEXT}list":
                self._add_list(element, self.numbering.open(element))
            else:
                self._add_block(element)

    def _add_block(self, element: etree._Element) -> None:
        tag = element.tag
        if tag == f"{_TEXT}p":
            boxes: list[etree._Element] = []
            self.builder.block(_inline(element, boxes).strip())
            for box in boxes:
                self.add_blocks(box)
        elif tag == f"{_TABLE}table":
            self.builder.table((None, row) for row in self._rows(element))
        elif tag not in _SKIPPED and isinstance(tag, str):
            self.add_blocks(element)

    def _add_heading(self, element: etree._Element, label: str) -> None:
        title = _inline(element)
        self.builder.heading(f"{label} {title}" if title.strip() else "", _level(element))

    def _add_list(self, element: etree._Element, place: ListPlace) -> None:
        if next(element.iter(f"{_TEXT}h"), None) is None:
            self.builder.block("\n".join(_items(element, place)))
            return
        for item in element:
            label: str | None = None
            for part in item:
                if part.tag == f"{_TEXT}list":
                    self._add_list(part, place.inner(part))
                    continue
                if part.tag not in _PARAGRAPHS:
                    self._add_block(part)
                    continue
                label = place.next_label(item) if label is None else ""
                if part.tag == f"{_TEXT}h":
                    self._add_heading(part, label)
                else:
                    self.builder.block(f"{label} {_inline(part).strip()}".lstrip())

    def _rows(self, parent: etree._Element) -> Iterator[list[str]]:
        """Yield the cells of each row, also of rows in groups, but not of tables within cells."""
        for element in parent:
            if element.tag == f"{_TABLE}table-row":
                cells = list(self._cells(element))
                attribute = "number-rows-repeated"
                count = self.repeats.of(element, attribute, len(cells)) if any(cells) else 1
                yield from [cells] * count
            elif element.tag in _ROW_GROUPS:
                yield from self._rows(element)

    def _cells(self, row: etree._Element) -> Iterator[str]:
        for cell in row:
            text = " ".join(self._paragraphs(cell))
            yield from [text] * self.repeats.of(cell, "number-columns-repeated", 1)

    def _paragraphs(self, parent: etree._Element) -> Iterator[str]:
        """Yield the paragraphs of a cell, also of its lists and tables, each on one line."""
        for element in parent:
            if element.tag in _PARAGRAPHS:
                yield " ".join(_inline(element).split())
            elif element.tag == f"{_TEXT}list":
                for line in _items(element, self.numbering.open(element), bullet=""):
                    yield line.strip()
            elif element.tag not in _SKIPPED:
                yield from self._paragraphs(element)


def _level(heading: etree._Element) -> int:
    level = heading.get(f"{_TEXT}outline-level", "1")
    return int(level) if level.isdigit() else 1


def _items(parent: etree._Element, place: ListPlace, bullet: str = "-") -> Iterator[str]:
    """Yield the lines of a list; what follows in an item stands below its first line."""
    indent = "  " * (place.level - 1)
    for item in parent:
        mark: str | None = None
        for element in item:
            if element.tag == f"{_TEXT}list":
                yield from _items(element, place.inner(element), bullet)
                continue
            if element.tag in _SKIPPED or not isinstance(element.tag, str):
                continue
            is_first = mark is None
            if mark is None:
                mark = place.next_label(item) or bullet
            text = " ".join(_inline(element).split())
            # A number alone says something in a table only.
            if text or (is_first and not bullet and mark):
                yield f"{indent}{mark if is_first else ' '} {text}"


def _count(element: etree._Element, attribute: str) -> int:
    count = element.get(f"{_TABLE}{attribute}", "1")
    return int(count) if count.isdigit() else 1


def _inline(element: etree._Element, boxes: list[etree._Element] | None = None) -> str:
    """Return the text of a paragraph; its text boxes are added to `boxes`, or else a part of it."""
    parts = [_collapsed(element.text)]
    for child in element:
        if child.tag == f"{_TEXT}s":
            count = child.get(f"{_TEXT}c", "1")
            parts.append(" " * (min(int(count), _MAX_REPEATED) if count.isdigit() else 1))
        elif child.tag in _SPACES:
            parts.append(_SPACES[child.tag])
        elif child.tag == f"{_TEXT}note":
            parts.append(f" ({' '.join(_note(child).split())})")
        elif child.tag == _TEXT_BOX and boxes is not None:
            boxes.append(child)
        elif child.tag not in _SKIPPED and isinstance(child.tag, str):
            inner = _inline(child, boxes)
            # The paragraph of a text box within this one.
            parts.append(f" {inner} " if child.tag in _PARAGRAPHS else inner)
        parts.append(_collapsed(child.tail))
    return "".join(parts)


def _collapsed(text: str | None) -> str:
    return _WHITE_SPACE.sub(" ", text or "")


def _note(note: etree._Element) -> str:
    return " ".join(_inline(body) for body in note.iter(f"{_TEXT}note-body"))
