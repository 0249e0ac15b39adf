"""Text boxes and other shapes with text that lie on the cells of a workbook (XLSX)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zipfile import ZipFile

from lxml import etree

from ingest.parsers.opendocument import safe_xml_parser
from ingest.parsers.workbook_parts import relations, sheet_paths


@dataclass(frozen=True, slots=True)
class TextBox:
    """The text of a shape, and the row of its upper edge, from 1."""

    row: int
    text: str


@dataclass(frozen=True, slots=True)
class SheetBoxes:
    """The text boxes of a sheet, by row; `is_damaged` when some could not be read."""

    boxes: Sequence[TextBox] = ()
    is_damaged: bool = False


def boxes_by_sheet(archive: ZipFile) -> dict[str, SheetBoxes]:
    """Return the text boxes of each sheet that has any, by its name."""
    found = {name: _boxes(archive, path) for name, path in sheet_paths(archive)}
    return {name: one for name, one in found.items() if one.boxes or one.is_damaged}


def _boxes(archive: ZipFile, sheet: str) -> SheetBoxes:
    boxes: list[TextBox] = []
    is_damaged = False
    for path in (one.path for one in relations(archive, sheet) if one.kind == "drawing"):
        try:
            boxes += _on_rows(etree.fromstring(archive.read(path), safe_xml_parser()))
        except etree.XMLSyntaxError:
            is_damaged = True
    return SheetBoxes(sorted(boxes, key=lambda one: one.row), is_damaged)


def _on_rows(drawing: etree._Element) -> Iterator[TextBox]:
    for anchor in drawing.iter("{*}twoCellAnchor", "{*}oneCellAnchor", "{*}absoluteAnchor"):
        row = anchor.findtext("{*}from/{*}row", "")
        for body in anchor.iter("{*}txBody"):
            # For programs that do not know the shape itself, which stands before it.
            if next(body.iterancestors("{*}Fallback"), None) is None and (text := _text(body)):
                yield TextBox(int(row) + 1 if row.isdecimal() else 1, text)


def _text(body: etree._Element) -> str:
    lines = (
        "".join(piece.text or "" for piece in paragraph.iter("{*}t"))
        for paragraph in body.iter("{*}p")
    )
    return "\n".join(" ".join(line.split()) for line in lines if line.strip())
