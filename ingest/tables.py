"""Tables in a canonical text: rows that begin with `|`, a line of dashes below the first.

A blank line between rows is the end of a page.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass

# Both begin at their first bar.
_ROW = r"\| [^\n]*+ (?:\n|\Z)"
_DASHES = r"\| (?=[^\n]*-) [|:\-\t\ ]*+ (?:\n|\Z)"
_TABLE = re.compile(
    rf"""
    ^ [^\S\n]*+ \| [^\n]*+ (?P<header_end>\n)
      [^\S\n]*+ (?P<dashes>{_DASHES})
    (?: [^\S\n]*+ (?P<first_row>{_ROW})
        (?: \n?+ [^\S\n]*+ (?! {_ROW} [^\S\n]*+ {_DASHES}) {_ROW} )*+ )?+
    """,
    re.MULTILINE | re.VERBOSE,
)
# The end of a cell: a bar that is not escaped. Backslashes are taken in pairs.
_CELL_END = re.compile(r"(?<!\\)(?:\\\\)*+\|")


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        start: first character of the line with the header row.
        header_end: one past the header row.
        end: one past the last row.
        glued: where the line of dashes and the first row begin, which stay with the header.
    """

    start: int
    header_end: int
    end: int
    glued: tuple[int, ...]


class Tables:
    """The tables of one text."""

    def __init__(self, text: str) -> None:
        self.all = [_table(match) for match in _TABLE.finditer(text)]
        self._starts = [table.start for table in self.all]

    def at(self, offset: int) -> Table | None:
        """Return the table around a character."""
        position = bisect_right(self._starts, offset) - 1
        if position >= 0 and offset < self.all[position].end:
            return self.all[position]
        return None


def _table(match: re.Match[str]) -> Table:
    lines = (match.start("dashes"), match.start("first_row"))
    return Table(
        start=match.start(),
        header_end=match.start("header_end"),
        end=match.end(),
        glued=tuple(start for start in lines if start >= 0),
    )


def cell_ends(row: str) -> list[int]:
    """Return where a row can be cut off, in order: one past each cell, and at its end."""
    bars = [match.end() for match in _CELL_END.finditer(row)]
    return [*bars[1:], len(row)]
