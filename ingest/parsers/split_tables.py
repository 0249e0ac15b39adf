"""Tables that go on over pages: what follows on the next page has no header of its own."""

import re
from collections.abc import Sequence
from itertools import pairwise, takewhile

from ingest.parsers.page_lines import Line
from ingest.tables import cell_ends

# Edges of the same table, in type sizes.
_SAME_EDGE = 1.0
_LAST_ROWS = 3
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?![\d.,])")


def continue_tables(pages: Sequence[Sequence[Line]]) -> None:
    """Take the line of dashes from rows that continue the table at the end of the page before.

    They do where they have as many cells, begin or end at the same edge, and have a figure where
    the rows above have one. Of words alone nobody can tell whether they are a header.
    """
    header = ""
    for above, below in pairwise(pages):
        table, rest = _last_rows(above), _first_rows(below)
        if not table or not rest:
            continue
        if _has_dashes(table[0]):
            header = _first_row(table[0])
        first = _first_row(rest[0])
        if _is_same_table(table, rest) and first != header and _shares_figures(table, rest):
            rest[0].text = first


def _last_rows(lines: Sequence[Line]) -> list[Line]:
    """Return the rows of the table that ends a page."""
    rows: list[Line] = []
    for line in reversed(lines):
        if not line.in_table:
            break
        rows.insert(0, line)
        if _has_dashes(line):
            break
    return rows


def _first_rows(lines: Sequence[Line]) -> list[Line]:
    """Return the rows of the table that begins a page."""
    if not lines or not lines[0].in_table:
        return []
    return [lines[0], *takewhile(_continues, lines[1:])]


def _continues(line: Line) -> bool:
    return line.in_table and not _has_dashes(line)


def _has_dashes(line: Line) -> bool:
    return "\n" in line.text


def _first_row(line: Line) -> str:
    return line.text.partition("\n")[0]


def _is_same_table(table: Sequence[Line], rest: Sequence[Line]) -> bool:
    num_cells, num_more = (len(cell_ends(_first_row(rows[0]))) for rows in (table, rest))
    if num_cells != num_more:
        return False
    near = _SAME_EDGE * rest[0].size
    edges = (
        (min(line.left for line in rows), max(line.right for line in rows))
        for rows in (table, rest)
    )
    return any(abs(one - other) <= near for one, other in zip(*edges, strict=True))


def _shares_figures(table: Sequence[Line], rest: Sequence[Line]) -> bool:
    """Tell whether the first row has a figure in a column where one of the last rows has one."""
    first = _figures(rest[0])
    return any(first & _figures(row) for row in table[-_LAST_ROWS:] if not _has_dashes(row))


def _figures(line: Line) -> set[int]:
    """Return which cells of a row hold a number that is no year."""
    row = _first_row(line)
    ends = cell_ends(row)
    cells = [row[start:end] for start, end in pairwise([0, *ends])]
    return {
        place
        for place, cell in enumerate(cells)
        if any(map(str.isdigit, cell)) and not _YEAR.search(cell)
    }
