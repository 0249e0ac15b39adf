"""What cells of an old workbook (XLS) show around their numbers, and as errors ([MS-XLS])."""

import struct
from collections.abc import Iterator
from io import BytesIO

from olefile import OleFileIO

from ingest.parsers.archive import OLE_ERRORS
from ingest.parsers.sheet_formats import (
    BinaryCell,
    SheetFormats,
    formats_of_cells,
    number_formats,
)

_STREAM = "Workbook"  # of Excel 97 and newer
_BEGIN, _END, _LOCKED = 0x0809, 0x000A, 0x002F
_FORMAT, _STYLE, _SHEET = 0x041E, 0x00E0, 0x0085
_NUMBERS = frozenset({0x0203, 0x027E})
_SEVERAL_NUMBERS, _FORMULA, _ERROR = 0x00BD, 0x0006, 0x0205
_HEADER = struct.Struct("<HH")  # kind and size of a record
_CELL = struct.Struct("<HHH")  # row and column, from 0, and style
_FORMULA_ERROR = struct.Struct("<6xBxBxxxH")
_IS_ERROR = (2, 0xFFFF)


def formats_of_xls(data: bytes) -> dict[str, SheetFormats]:
    """Return what the cells of each sheet show, by its name; of locked and broken files nothing."""
    try:
        with OleFileIO(BytesIO(data)) as file:
            return _formats(file.openstream(_STREAM).read())
    except OLE_ERRORS:
        return {}


def _formats(stream: bytes) -> dict[str, SheetFormats]:
    codes: dict[str, str] = {}
    styles: list[str] = []
    starts: dict[str, int] = {}
    for kind, record in _records(stream, 0):
        if kind == _LOCKED:
            return {}
        if kind == _FORMAT:
            codes[str(_HEADER.unpack_from(record)[0])] = _text(record[4:])
        elif kind == _STYLE:
            styles.append(str(_HEADER.unpack_from(record)[1]))
        elif kind == _SHEET:
            starts[_text(record[7:])] = int.from_bytes(record[:4], "little")
    formats = number_formats(codes, styles)
    return {
        name: formats_of_cells(_cells(stream, start), formats) for name, start in starts.items()
    }


def _records(stream: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    """Yield kind and content of what is in the workbook or a sheet, but not in charts within."""
    depth = 0
    while start + _HEADER.size <= len(stream):
        kind, size = _HEADER.unpack_from(stream, start)
        start += _HEADER.size
        depth += (kind == _BEGIN) - (kind == _END)
        if depth == 1:
            yield kind, stream[start : start + size]
        elif not depth:
            return
        start += size


def _cells(stream: bytes, start: int) -> Iterator[BinaryCell]:
    for kind, record in _records(stream, start):
        if kind in _NUMBERS or kind in (_FORMULA, _ERROR):
            row, column, style = _CELL.unpack_from(record)
            yield BinaryCell(row + 1, column + 1, style, _error(kind, record))
        elif kind == _SEVERAL_NUMBERS:
            row, column = _HEADER.unpack_from(record)
            for at in range(4, len(record) - 2, 6):
                column += 1
                style = int.from_bytes(record[at : at + 2], "little")
                yield BinaryCell(row + 1, column, style)


def _error(kind: int, record: bytes) -> int | None:
    if kind == _ERROR:  # or a truth value
        return record[6] if record[7] else None
    if kind == _FORMULA:
        what, code, mark = _FORMULA_ERROR.unpack_from(record)
        return code if (what, mark) == _IS_ERROR else None
    return None


def _text(data: bytes) -> str:
    """Return the characters behind a byte that tells how many bytes each of them has."""
    return data[1:].decode("utf-16-le" if data[0] & 1 else "latin-1")
