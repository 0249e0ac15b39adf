"""What people wrote beside the cells of a workbook (XLSX): notes, and threads of comments."""

import re
from collections.abc import Iterator
from zipfile import ZipFile

from lxml import etree

from ingest.parsers.row_texts import Parts, RowText, RowTexts, row_texts_by_sheet

_NOTES, _THREADS = "comments", "threadedComment"
_CELL = re.compile(r"[A-Z]{1,3}([0-9]{1,7})")


def comments_by_sheet(archive: ZipFile) -> dict[str, RowTexts]:
    """Return the comments of each sheet that has any, by its name."""
    return row_texts_by_sheet(archive, (_NOTES, _THREADS), _comments)


def _comments(parts: Parts) -> Iterator[RowText]:
    texts: dict[str, str] = {}
    # Threads last: each leaves a note on its cell that tells older programs of it.
    for notes in parts[_NOTES]:
        texts |= _notes(notes)
    for threads in parts[_THREADS]:
        texts |= _threads(threads)
    for cell, text in texts.items():
        if (place := _CELL.fullmatch(cell)) and text.strip():
            yield RowText(int(place[1]), f"Comment on {cell}: {' '.join(text.split())}")


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
