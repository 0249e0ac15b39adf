"""Workbooks of one sheet, `Prices`, in binary records: XLS ([MS-XLS]) and XLSB ([MS-XLSB])."""

import struct
from collections.abc import Sequence

from tests.ingest.parsers.office import make_zip
from tests.ingest.parsers.outlook import compound

_RELATIONSHIPS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "application/vnd.ms-excel.sheet.binary.macroEnabled.main"
_FIRST_OWN_FORMAT = 164
_ERRORS = {"#DIV/0!": 0x07, "#N/A": 0x2A}

Cell = tuple[str | float, int]
"""A text, number or error, and its style, which is the number of its format; 0 is a plain one."""


def make_xls(formats: Sequence[str], rows: Sequence[Sequence[Cell]]) -> bytes:
    """Return a workbook; whole numbers are in short form, several side by side in one record."""
    codes = b"".join(
        _xls(0x041E, struct.pack("<HHB", number, len(code), 1) + code.encode("utf-16-le"))
        for number, code in enumerate(formats, start=_FIRST_OWN_FORMAT)
    )
    styles = b"".join(
        _xls(0x00E0, struct.pack("<HH16x", 0, number))
        for number in (0, *range(_FIRST_OWN_FORMAT, _FIRST_OWN_FORMAT + len(formats)))
    )
    begin = _xls(0x0809, struct.pack("<HHHHII", 0x0600, 0x0005, 0, 0x07CC, 0, 6)) + codes + styles
    name = b"Prices"
    start = len(begin) + 4 + 8 + len(name) + 4
    sheet = _xls(0x0085, struct.pack("<IBBBB", start, 0, 0, len(name), 0) + name)
    cells = b"".join(
        _xls_cell(row, column, *cell)
        for row, cells in enumerate(rows)
        for column, cell in enumerate(cells)
    )
    rest = _xls(0x0809, struct.pack("<HHHHII", 0x0600, 0x0010, 0, 0x07CC, 0, 6)) + cells
    return compound({"Workbook": begin + sheet + _xls(0x000A) + rest + _xls(0x000A)})


def _xls_cell(row: int, column: int, value: str | float, style: int) -> bytes:
    place = struct.pack("<HHH", row, column, style)
    if value in _ERRORS:
        result = struct.pack("<BBBxxxH", 2, 0, _ERRORS[str(value)], 0xFFFF)
        return _xls(0x0006, place + result + struct.pack("<HIH", 0, 0, 0))
    if isinstance(value, str):
        return _xls(0x0204, place + struct.pack("<HB", len(value), 0) + value.encode("latin-1"))
    if isinstance(value, int):
        row_and_column, last = struct.pack("<HH", row, column), struct.pack("<H", column)
        return _xls(0x00BD, row_and_column + struct.pack("<HI", style, value << 2 | 2) + last)
    return _xls(0x0203, place + struct.pack("<d", value))


def _xls(kind: int, content: bytes = b"") -> bytes:
    return struct.pack("<HH", kind, len(content)) + content


def make_xlsb(formats: Sequence[str], rows: Sequence[Sequence[Cell]]) -> bytes:
    """Return a workbook like that of `make_xls`."""
    numbers = range(_FIRST_OWN_FORMAT, _FIRST_OWN_FORMAT + len(formats))
    codes = b"".join(
        _xlsb(44, struct.pack("<H", number) + _text(code))
        for number, code in zip(numbers, formats, strict=True)
    )
    # Those of named styles come before those of cells.
    named = _xlsb(626) + _xlsb(47, struct.pack("<HH12x", 0xFFFF, 9)) + _xlsb(627)
    styles = b"".join(_xlsb(47, struct.pack("<HH12x", 0, number)) for number in (0, *numbers))
    cells = b"".join(
        _xlsb(0, struct.pack("<I13x", row))
        + b"".join(_xlsb_cell(column, *cell) for column, cell in enumerate(cells))
        for row, cells in enumerate(rows)
    )
    size = struct.pack("<IIII", 0, len(rows) - 1, 0, max(map(len, rows)) - 1)
    return make_zip(
        {
            "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/'
            f'content-types"><Override PartName="/xl/workbook.bin" ContentType="{_MAIN}"/></Types>',
            "_rels/.rels": _relations(officeDocument="xl/workbook.bin"),
            "xl/_rels/workbook.bin.rels": _relations(
                worksheet="worksheets/sheet1.bin", styles="styles.bin"
            ),
            "xl/workbook.bin": _xlsb(131)
            + _xlsb(143)
            + _xlsb(156, struct.pack("<II", 0, 1) + _text("worksheet") + _text("Prices"))
            + _xlsb(144)
            + _xlsb(132),
            "xl/styles.bin": _xlsb(278)
            + _xlsb(615, struct.pack("<I", len(formats)))
            + codes
            + _xlsb(616)
            + named
            + _xlsb(617, struct.pack("<I", len(formats) + 1))
            + styles
            + _xlsb(618)
            + _xlsb(279),
            "xl/worksheets/sheet1.bin": _xlsb(129)
            + _xlsb(148, size)
            + _xlsb(145)
            + cells
            + _xlsb(146)
            + _xlsb(130),
        }
    )


def _xlsb_cell(column: int, value: str | float, style: int) -> bytes:
    place = struct.pack("<II", column, style)
    if value in _ERRORS:
        return _xlsb(3, place + bytes([_ERRORS[str(value)]]))
    if isinstance(value, str):
        return _xlsb(6, place + _text(value))
    if isinstance(value, int):
        return _xlsb(2, place + struct.pack("<I", value << 2 | 2))
    return _xlsb(5, place + struct.pack("<d", value))


def _xlsb(kind: int, content: bytes = b"") -> bytes:
    head = bytes([kind]) if kind < 0x80 else bytes([kind & 0x7F | 0x80, kind >> 7])
    size = len(content)
    return head + bytes([size & 0x7F | 0x80, size >> 7]) + content


def _text(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def _relations(**targets: str) -> str:
    entries = "".join(
        f'<Relationship Id="{kind}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for kind, target in targets.items()
    )
    return f'<Relationships xmlns="{_RELATIONSHIPS}">{entries}</Relationships>'
