"""What cells of a workbook (XLSX) show around their numbers: `%`, `$`, `kg` (ECMA-376, 18.8.31).

And what they show instead of a value that a formula does not have: `#DIV/0!`.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from zipfile import ZipFile

from lxml import etree

from ingest.parsers.opendocument import safe_xml_parser
from ingest.parsers.workbook_parts import STYLES, column_number, sheet_paths

# Those that a file need not spell out; the currency of others is that of the reader.
_BUILT_IN = {"9": "0%", "10": "0.00%"}
_PERCENT = "%"
# A currency with its language; colours and conditions; room of the width of a sign, and padding.
_TOKEN = re.compile(
    r"""\[\$(?P<currency>[^\]-]*)[^\]]*\]|\[[^\]]*\]|"(?P<quoted>[^"]*)"|\\(?P<escaped>.)"""
    r"""|[_*].|(?P<digits>[#0?][#0?.,]*)|(?P<other>.)""",
    re.DOTALL,
)
_SIGNS = frozenset(" $€£¥%+-()")
_ERROR_MARKS = (b't="e"', b"t='e'")
_ERROR = re.compile(
    rb"""<(?:\w+:)?c(?=\s[^<>]*?\bt=["']e["'])\s[^<>]*?\br=["']([A-Z]{1,3})([0-9]{1,7})["'][^<>]*+>"""
    rb"""(?:\s*+<(?:\w+:)?f\b[^<>]*+(?:(?<=/)>|>[^<]*+</[^<>]*+>))?+\s*+<(?:\w+:)?v>(\#[^<]*+)<"""
)


class ShownNumber(float):
    """A number that its cell shows with something around it.

    Attributes:
        text: how it is shown, with all of its digits.
    """

    __slots__ = ("text",)
    text: str

    def __new__(cls, value: float, text: str) -> "ShownNumber":
        """Make a number that is equal to a plain one."""
        number = super().__new__(cls, value)
        number.text = text
        return number


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """What stands before and behind a number, of which so many times as much is shown."""

    before: str
    behind: str
    times: int

    def apply(self, value: object, write: Callable[[float], str]) -> object:
        """Return a number as it is shown, and anything else as it is."""
        if not isinstance(value, float):
            return value
        text = write(abs(value) * self.times)
        sign = "-" if value < 0 else ""
        return ShownNumber(value, f"{sign}{self.before}{text}{self.behind}")


@dataclass(frozen=True, slots=True)
class ShownText:
    """What a cell shows in place of its value."""

    text: str

    def apply(self, value: object, write: Callable[[float], str]) -> object:
        """Return the text."""
        del value, write
        return self.text


CellFormat = NumberFormat | ShownText


@dataclass(slots=True)
class _Run:
    """Cells of one format, one below the other."""

    last: int
    format: CellFormat


class SheetFormats:
    """The formats of the cells of one sheet."""

    def __init__(self) -> None:
        # By column and kind, with the rows in which they begin.
        self._runs: dict[tuple[int, type[CellFormat]], tuple[list[int], list[_Run]]] = {}

    def add(self, row: int, column: int, found: CellFormat, num_rows: int = 1) -> None:
        """Add that of a cell, or of several one below the other.

        Rows and columns count from 1; for each kind of format rows go down.
        """
        firsts, runs = self._runs.setdefault((column, type(found)), ([], []))
        last = row + num_rows - 1
        if runs and runs[-1].format == found and runs[-1].last == row - 1:
            runs[-1].last = last
        else:
            firsts.append(row)
            runs.append(_Run(last, found))

    def shown(
        self, row: int, cells: Sequence[object], write: Callable[[float], str]
    ) -> Sequence[object]:
        """Return the cells of a row as they are shown; `write` writes a plain number."""
        changed = list(cells)
        for (column, _), (firsts, runs) in self._runs.items():
            at = bisect_right(firsts, row) - 1
            if column <= len(changed) and at >= 0 and row <= runs[at].last:
                changed[column - 1] = runs[at].format.apply(changed[column - 1], write)
        return changed


def formats_by_sheet(archive: ZipFile) -> dict[str, SheetFormats]:
    """Return the formats of the cells of each sheet with any, by its name."""
    styles = _styles(archive)
    pattern = re.compile(
        rb"""<(?:\w+:)?c(?=\s[^<>]*?\bs=["'](%s)["'])\s[^<>]*?\br=["']([A-Z]{1,3})([0-9]{1,7})["']"""
        % "|".join(map(str, styles)).encode()
    )
    found: dict[str, SheetFormats] = {}
    for name, path in sheet_paths(archive):
        sheet = archive.read(path)
        formats = SheetFormats()
        if styles:
            for cell in pattern.finditer(sheet):
                formats.add(int(cell[3]), column_number(cell[2]), styles[int(cell[1])])
        has_errors = any(mark in sheet for mark in _ERROR_MARKS)
        for cell in _ERROR.finditer(sheet) if has_errors else ():
            text = ShownText(cell[3].decode("ascii", "replace"))
            formats.add(int(cell[2]), column_number(cell[1]), text)
        if styles or has_errors:
            found[name] = formats
    return found


def _styles(archive: ZipFile) -> Mapping[int, NumberFormat]:
    """Return the formats that show something around a number, by the style of a cell."""
    if STYLES not in archive.namelist():
        return {}
    root = etree.fromstring(archive.read(STYLES), safe_xml_parser())
    codes = _BUILT_IN | {
        one.get("numFmtId", ""): one.get("formatCode", "") for one in root.iter("{*}numFmt")
    }
    formats = {name: _read(code) for name, code in codes.items()}
    styles = root.iterfind("{*}cellXfs/{*}xf")
    return {
        number: found
        for number, style in enumerate(styles)
        if (found := formats.get(style.get("numFmtId", "")))
    }


def _read(code: str) -> NumberFormat | None:
    """Return what a format shows around a positive number; None: nothing, or it is no such one."""
    parts = ["", ""]
    has_digits, times = False, 1
    for token in _TOKEN.finditer(code.partition(";")[0]):
        if token["digits"] is not None:
            if has_digits or token["digits"].endswith(","):
                return None  # a telephone number, a fraction; thousands, millions
            has_digits = True
        elif token["other"] and token["other"] not in _SIGNS:
            return None  # a date, a power of ten, a text
        else:
            times = 100 if token["other"] == _PERCENT else times
            literal = token["currency"] or token["quoted"] or token["escaped"] or token["other"]
            parts[has_digits] += literal or ""
    before, behind = parts[0].lstrip(), parts[1].rstrip()
    return NumberFormat(before, behind, times) if has_digits and (before or behind) else None
