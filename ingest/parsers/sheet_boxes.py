"""Text boxes and other shapes with text that lie on the cells of a workbook (XLSX)."""

from collections.abc import Iterator
from zipfile import ZipFile

from lxml import etree

from ingest.parsers.row_texts import Parts, RowText, RowTexts, row_texts_by_sheet

_DRAWINGS = "drawing"


def boxes_by_sheet(archive: ZipFile) -> dict[str, RowTexts]:
    """Return the text boxes of each sheet that has any, by its name, at their upper edges."""
    return row_texts_by_sheet(archive, (_DRAWINGS,), _boxes)


def _boxes(parts: Parts) -> Iterator[RowText]:
    for drawing in parts[_DRAWINGS]:
        for anchor in drawing.iter("{*}twoCellAnchor", "{*}oneCellAnchor", "{*}absoluteAnchor"):
            row = anchor.findtext("{*}from/{*}row", "")
            for body in anchor.iter("{*}txBody"):
                # For programs that do not know the shape itself, which stands before it.
                is_fallback = next(body.iterancestors("{*}Fallback"), None) is not None
                if not is_fallback and (text := _text(body)):
                    yield RowText(int(row) + 1 if row.isdecimal() else 1, text)


def _text(body: etree._Element) -> str:
    lines = (
        "".join(piece.text or "" for piece in paragraph.iter("{*}t"))
        for paragraph in body.iter("{*}p")
    )
    return "\n".join(" ".join(line.split()) for line in lines if line.strip())
