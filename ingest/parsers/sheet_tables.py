"""Which rows of a sheet are a table, and which are the titles above it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

# The number of a row and its cells; an empty one is "".
Row = tuple[int, Sequence[Any]]

# Rows below a header that are looked at for numbers.
_MAX_SAMPLE = 20


@dataclass(slots=True)
class SheetTable:
    """Rows with a single cell, and below them a table whose first row is the header.

    Both may be empty; titles without a table are notes.
    """

    titles: list[Row] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)


def sheet_tables(rows: Iterable[Row]) -> Iterator[SheetTable]:
    """Yield the tables of a sheet one below the other, given the rows that are not empty.

    An empty row ends a table only if a header comes next; others just set rows apart.
    """
    table = SheetTable()
    waiting: list[Row] = []
    for block in _blocks(rows):
        start = next((at for at, row in enumerate(block) if len(_filled(row)) > 1), len(block))
        if 0 < start < len(block) and _is_single_column(block[start - 1], block[start:]):
            start -= 1
        waiting += block[:start]
        body = block[start:]
        if not body:
            continue
        if not table.rows or _begins_table(body, table.rows[0], has_title=bool(waiting)):
            if table.rows:
                yield table
            table = SheetTable(waiting, body)
        else:
            table.rows += [*waiting, *body]
        waiting = []
    if not table.rows:
        table, waiting = SheetTable(rows=waiting), []  # a single column
    yield table
    yield SheetTable(waiting)


def _blocks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield the rows between empty ones."""
    block: list[Row] = []
    for row in rows:
        if block and row[0] != block[-1][0] + 1:
            yield block
            block = []
        block.append(row)
    if block:
        yield block


def _begins_table(body: Sequence[Row], header: Row, *, has_title: bool) -> bool:
    """Tell whether rows have a header of their own, and do not go on below the last one."""
    columns, others = _filled(body[0]), _filled(header)
    if columns[0] < others[0] or columns[-1] > others[-1]:
        return True
    if not all(isinstance(body[0][1][column], str) for column in columns):
        return False
    below = [row[1][column] for row in body[1:_MAX_SAMPLE] for column in columns]
    return has_title or not all(isinstance(cell, str) for cell in below)


def _is_single_column(header: Row, body: Sequence[Row]) -> bool:
    """Tell whether a row heads one column of numbers, names on their left, as pandas writes."""
    columns = _filled(header)
    if len(columns) != 1 or _filled(body[0]) != [columns[0] - 1, columns[0]]:
        return False
    below = [row[1][columns[0]] for row in body[:_MAX_SAMPLE]]
    return not any(isinstance(cell, str) and cell.strip() for cell in below)


def _filled(row: Row) -> list[int]:
    return [column for column, cell in enumerate(row[1]) if str(cell).strip()]
