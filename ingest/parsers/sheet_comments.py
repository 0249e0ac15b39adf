"""What people wrote beside the cells of a workbook (XLSX): notes, and threads of comments."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zipfile import ZipFile

from lxml import etree

from ingest.parsers.opendocument import safe_xml_parser
from ingest.parsers.workbook_parts import relations, sheet_paths

_NOTES, _THREADS = "comments", "threadedComment"
_CELL = re.compile(r"[A-Z]{1,3}([0-9]{1,7})")


@dataclass(frozen=True, slots=True)
class Comment:
    """A note on a cell, or a thread of comments; `row` counts from 1."""

    cell: str
    row: int
    text: str


@dataclass(frozen=True, slots=True)
class SheetComments:
    """The comments of a sheet, by row; `is_damaged` when some could not be read."""

    comments: Sequence[Comment] = ()
    is_damaged: bool = False


def comments_by_sheet(archive: ZipFile) -> dict[str, SheetComments]:
    """Return the comments of each sheet that has any, by its name."""
    found = {name: _comments(archive, path) for name, path in sheet_paths(archive)}
    return {name: one for name, one in found.items() if one.comments or one.is_damaged}


def _comments(archive: ZipFile, sheet: str) -> SheetComments:
    texts: dict[str, str] = {}
    is_damaged = False
    related = list(relations(archive, sheet))
    # Threads last: each leaves a note on its cell that tells older programs of it.
    for kind, read in ((_NOTES, _notes), (_THREADS, _threads)):
        for path in (one.path for one in related if one.kind == kind):
            try:
                texts |= read(etree.fromstring(archive.read(path), safe_xml_parser()))
            except etree.XMLSyntaxError:
                is_damaged = True
    return SheetComments(sorted(_on_cells(texts), key=lambda one: one.row), is_damaged)


def _on_cells(texts: dict[str, str]) -> Iterator[Comment]:
    for cell, text in texts.items():
        if (place := _CELL.fullmatch(cell)) and text.strip():
            yield Comment(cell, int(place[1]), " ".join(text.split()))


def _notes(root: etree._Element) -> dict[str, str]:
    return {
        note.get("ref", ""): "".join(piece.text or "" for piece in note.iter("{*}t"))
        for note in root.iter("{*}comment")
    }


def _threads(root: etree._Element) -> dict[str, str]:
    texts: dict[str, str] = {}
    for comment in root.iter("{*}threadedComment"):
        cell, text = comment.get("ref", ""), comment.findtext("{*}text") or ""
        texts[cell] = f"{texts[cell]}\n{text}" if cell in texts else text
    return texts
