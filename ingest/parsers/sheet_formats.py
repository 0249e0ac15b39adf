"""What cells of a workbook (XLSX) show around their numbers: `%`, `$`, `kg` (ECMA-376, 18.8.31)."""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from zipfile import ZipFile

from lxml import etree

from ingest.parsers.opendocument import safe_xml_parser
from ingest.parsers.workbook_parts import column_number, sheet_paths

_STYLES = "xl/styles.xml"
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
class _Format:
    """What stands before and behind a number, of which so many times as much is shown."""

    before: str
    behind: str
    times: int

    def apply(self, value: float, write: Callable[[float], str]) -> ShownNumber:
        text = write(abs(value) * self.times)
        sign = "-" if value < 0 else ""
        return ShownNumber(value, f"{sign}{self.before}{text}{self.behind}")


@dataclass(slots=True)
class _Run:
    """Cells of one format, one below the other."""

    last: int
    format: _Format


class SheetFormats:
    """The formats of the cells of one sheet."""

    def __init__(self) -> None:
        # By column, with the rows in which they begin.
        self._runs: dict[int, tuple[list[int], list[_Run]]] = {}

    def add(self, row: int, column: int, found: _Format) -> None:
        """Add that of a cell; rows and columns count from 1, and rows go down."""
        firsts, runs = self._runs.setdefault(column, ([], []))
        if runs and runs[-1].format is found and runs[-1].last == row - 1:
            runs[-1].last = row
        else:
            firsts.append(row)
            runs.append(_Run(row, found))

    def shown(
        self, row: int, cells: Sequence[object], write: Callable[[float], str]
    ) -> Sequence[object]:
        """Return the cells of a row, numbers as they are shown; `write` writes a plain one."""
        changed = list(cells)
        for column, (firsts, runs) in self._runs.items():
            value = changed[column - 1] if column <= len(changed) else None
            at = bisect_right(firsts, row) - 1
            if isinstance(value, float) and at >= 0 and row <= runs[at].last:
                changed[column - 1] = runs[at].format.apply(value, write)
        return changed


def formats_by_sheet(archive: ZipFile) -> dict[str, SheetFormats]:
    """Return the formats of the cells of each sheet, by its name."""
    styles = _styles(archive)
    if not styles:
        return {}
    pattern = re.compile(
        rb"""<(?:\w+:)?c(?=\s[^<>]*?\bs=["'](%s)["'])\s[^<>]*?\br=["']([A-Z]{1,3})([0-9]{1,7})["']"""
        % "|".join(map(str, styles)).encode()
    )
    found: dict[str, SheetFormats] = {}
    for name, path in sheet_paths(archive):
        formats = found[name] = SheetFormats()
        for cell in pattern.finditer(archive.read(path)):
            formats.add(int(cell[3]), column_number(cell[2]), styles[int(cell[1])])
    return found


def _styles(archive: ZipFile) -> Mapping[int, _Format]:
    """Return the formats that show something around a number, by the style of a cell."""
    if _STYLES not in archive.namelist():
        return {}
    root = etree.fromstring(archive.read(_STYLES), safe_xml_parser())
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


def _read(code: str) -> _Format | None:
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
    return _Format(before, behind, times) if has_digits and (before or behind) else None
