"""What cells of a sheet show around their numbers: `%`, `$`, `kg` (ECMA-376, 18.8.31).

And what they show instead of a value that a formula does not have: `#DIV/0!`.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

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
# How the codes of errors are shown ([MS-XLS], 2.5.10).
_ERRORS = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}


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
        if not isinstance(value, int | float) or isinstance(value, bool):
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


class BinaryCell(NamedTuple):
    """A cell of a binary workbook: its place, counted from 1, and how it is shown.

    Attributes:
        style: the number of its style.
        error: the code of the error that it holds.
    """

    row: int
    column: int
    style: int
    error: int | None = None


def formats_of_cells(
    cells: Iterable[BinaryCell], formats: Mapping[int, NumberFormat]
) -> SheetFormats:
    """Return the formats of the cells of a sheet, by the formats of its styles."""
    found = SheetFormats()
    for row, column, style, error in cells:
        if error in _ERRORS:
            found.add(row, column, ShownText(_ERRORS[error]))
        elif style in formats:
            found.add(row, column, formats[style])
    return found


def number_formats(codes: Mapping[str, str], styles: Iterable[str]) -> Mapping[int, NumberFormat]:
    """Return the formats that show something around a number, by the number of the style.

    Args:
        codes: of the formats of a workbook, by what its styles call them.
        styles: what each of them calls its format.
    """
    formats = {name: _read(code) for name, code in (_BUILT_IN | dict(codes)).items()}
    return {number: found for number, name in enumerate(styles) if (found := formats.get(name))}


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
