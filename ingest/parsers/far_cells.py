"""Workbooks (XLSX) with cells far away from all others.

The reader of workbooks holds every cell between the first and the last, the empty ones as well: one
stray word in the last cell of a sheet takes 400 GB. Such rows and columns are moved together.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from zipfile import ZipFile

from ingest.errors import UnreadableFileError
from ingest.parsers.workbook_parts import column_number, replaced, sheet_paths

_CELL = re.compile(rb"""(\br=["'])([A-Z]{1,3})([0-9]{1,7})(?=["'])""")
_ROW = re.compile(rb"""(<(?:\w+:)?row\b[^>]*?\br=["'])([0-9]{1,7})(?=["'])""")
# A sheet without any of these is small: at most 26 columns and 99,999 rows.
_MAY_BE_FAR = (
    re.compile(rb'r="[A-Z](?:[A-Z]|[0-9]{6})'),
    re.compile(rb"r='[A-Z](?:[A-Z]|[0-9]{6})"),
)
_CELL_TAG = re.compile(rb"<(?:\w+:)?c[\s/>]")
# Empty cells that a sheet may have, about 100 MB, or else this many for each filled one.
_MAX_EMPTY = 4_000_000
_MAX_EMPTY_PER_CELL = 10
# Rows further apart become this many apart, so that an empty one is left between them.
_MAX_STEP = 2


@dataclass(frozen=True, slots=True)
class GatheredWorkbook:
    """A workbook without far cells; for each changed sheet the numbers its rows had."""

    data: bytes
    row_numbers: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def row_number(self, sheet: str, row: int) -> int:
        """Return the number that a row, counted from 1, has in the original."""
        numbers = self.row_numbers.get(sheet)
        return numbers[row - 1] if numbers else row


def gather_far_cells(archive: ZipFile, data: bytes) -> GatheredWorkbook:
    """Return the workbook, an XLSX file or another, with the far cells of its sheets moved near.

    Raises:
        UnreadableFileError: code `too_large`; a sheet is as wide and empty as it was.
    """
    changed: dict[str, bytes] = {}
    row_numbers: dict[str, Sequence[int]] = {}
    for name, path in sheet_paths(archive):
        sheet = archive.read(path)
        if not any(pattern.search(sheet) for pattern in _MAY_BE_FAR):
            continue
        rows, columns, num_cells = _extent(sheet)
        if not _is_sparse(max(rows, default=0), max(columns, default=0), num_cells):
            continue
        numbers = _numbers_after(rows)
        if _is_sparse(len(numbers), len(columns), num_cells) or _has_implied_places(sheet):
            raise UnreadableFileError(
                "too_large",
                f"The {num_cells} cells of sheet {name} are spread over {max(rows)} rows and "
                f"{max(columns)} columns, which takes too much memory; delete the empty rows and "
                "columns between them and upload the workbook again.",
            )
        changed[path] = _moved(sheet, numbers, sorted(columns))
        row_numbers[name] = numbers
    return GatheredWorkbook(replaced(archive, changed) if changed else data, row_numbers)


def _extent(sheet: bytes) -> tuple[set[int], set[int], int]:
    """Return the numbers of the rows and columns with cells, from 1, and the number of cells."""
    rows: set[bytes] = set()
    columns: set[bytes] = set()
    num_cells = 0
    for cell in _CELL.finditer(sheet):
        num_cells += 1
        columns.add(cell[2])
        rows.add(cell[3])
    return set(map(int, rows)), set(map(column_number, columns)), num_cells


def _is_sparse(num_rows: int, num_columns: int, num_cells: int) -> bool:
    return num_rows * num_columns > max(_MAX_EMPTY, _MAX_EMPTY_PER_CELL * num_cells)


def _has_implied_places(sheet: bytes) -> bool:
    """Tell whether cells do not say where they stand; other programs than Excel do that."""
    num_tags = sum(1 for _ in _CELL_TAG.finditer(sheet))
    return num_tags != sum(1 for _ in _CELL.finditer(sheet))


def _numbers_after(rows: set[int]) -> list[int]:
    """Return the former number of each row that there is after they were moved together."""
    numbers: list[int] = []
    for row, following in pairwise([0, *sorted(rows)]):
        numbers += range(row + 1, row + min(following - row, _MAX_STEP))
        numbers.append(following)
    return numbers


def _moved(sheet: bytes, numbers: Sequence[int], columns: Sequence[int]) -> bytes:
    new_rows = {number: row for row, number in enumerate(numbers, start=1)}
    new_columns = {column: _column_name(at) for at, column in enumerate(columns, start=1)}

    def move_cell(cell: re.Match[bytes]) -> bytes:
        column, row = new_columns[column_number(cell[2])], new_rows[int(cell[3])]
        return b"%s%s%d" % (cell[1], column, row)

    def move_row(row: re.Match[bytes]) -> bytes:
        return b"%s%d" % (row[1], new_rows.get(int(row[2]), len(numbers)))

    return _ROW.sub(move_row, _CELL.sub(move_cell, sheet))


def _column_name(number: int) -> bytes:
    name = b""
    while number:
        number, letter = divmod(number - 1, 26)
        name = bytes([65 + letter]) + name
    return name
