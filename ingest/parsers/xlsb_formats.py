"""What cells of a binary workbook (XLSB) show around their numbers, and as errors ([MS-XLSB])."""

import struct
from collections.abc import Iterator, Mapping
from zipfile import ZipFile

from ingest.parsers.archive import ZIP_ERRORS
from ingest.parsers.office_parts import relations
from ingest.parsers.sheet_formats import (
    BinaryCell,
    NumberFormat,
    SheetFormats,
    formats_of_cells,
    number_formats,
)

WORKBOOK = "xl/workbook.bin"
_STYLES = "xl/styles.bin"
_SHEET, _ROW, _FORMAT, _STYLE, _BEGIN_STYLES, _END_STYLES = 156, 0, 44, 47, 617, 618
_NUMBERS = frozenset({2, 5, 9})
_ERRORS = frozenset({3, 11})
_CELL = struct.Struct("<II")  # column, from 0; style, with a byte of flags above it
_STYLE_MASK = 0xFFFFFF
_MARK = 0x80
_MAX_BYTES = 4  # of a kind or a size


def formats_of_xlsb(archive: ZipFile) -> dict[str, SheetFormats]:
    """Return what the cells of each sheet show, by its name; nothing of a broken workbook."""
    try:
        return _formats(archive)
    except (*ZIP_ERRORS, IndexError, struct.error):
        return {}


def _formats(archive: ZipFile) -> dict[str, SheetFormats]:
    formats = _styles(archive)
    paths = {one.identifier: one.path for one in relations(archive, WORKBOOK)}
    found: dict[str, SheetFormats] = {}
    for kind, record in _records(archive.read(WORKBOOK)):
        if kind == _SHEET:
            identifier, end = _text(record, 8)
            name, _ = _text(record, end)
            if path := paths.get(identifier):
                found[name] = formats_of_cells(_cells(archive.read(path)), formats)
    return found


def _styles(archive: ZipFile) -> Mapping[int, NumberFormat]:
    codes: dict[str, str] = {}
    styles: list[str] = []
    is_of_cells = False
    for kind, record in _records(archive.read(_STYLES)) if _STYLES in archive.namelist() else ():
        if kind == _FORMAT:
            codes[str(_number(record, 0))] = _text(record, 2)[0]
        elif kind in (_BEGIN_STYLES, _END_STYLES):
            is_of_cells = kind == _BEGIN_STYLES
        elif kind == _STYLE and is_of_cells:
            styles.append(str(_number(record, 2)))
    return number_formats(codes, styles)


def _cells(sheet: bytes) -> Iterator[BinaryCell]:
    row = 0
    for kind, record in _records(sheet):
        if kind == _ROW:
            row = int.from_bytes(record[:4], "little") + 1
        elif kind in _NUMBERS or kind in _ERRORS:
            column, style = _CELL.unpack_from(record)
            error = record[_CELL.size] if kind in _ERRORS else None
            yield BinaryCell(row, column + 1, style & _STYLE_MASK, error)


def _records(part: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(part):
        kind, at = _varying(part, at)
        size, at = _varying(part, at)
        yield kind, part[at : at + size]
        at += size


def _varying(part: bytes, at: int) -> tuple[int, int]:
    """Return a number in bytes of seven bits, of which all but the last are marked, and its end."""
    number = 0
    for place in range(_MAX_BYTES):
        number |= (part[at + place] & ~_MARK) << 7 * place
        if not part[at + place] & _MARK:
            return number, at + place + 1
    raise ValueError


def _text(record: bytes, at: int) -> tuple[str, int]:
    """Return a text that begins with its length, and where it ends."""
    start = at + 4
    end = start + 2 * int.from_bytes(record[at:start], "little")
    return record[start:end].decode("utf-16-le"), end


def _number(record: bytes, at: int) -> int:
    return int.from_bytes(record[at : at + 2], "little")
