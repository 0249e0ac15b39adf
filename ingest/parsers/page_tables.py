"""Tables without ruling lines: rows whose cells stand in the same columns."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from statistics import median

from ingest.parsers.builder import markdown_row
from ingest.parsers.page_lines import Line

Row = list[Line]  # the parts of a row, from left to right

_MIN_ROWS = 3
_MIN_COLUMNS = 2
_MIN_ROWS_OF_CELLS = 2
# Rows with a single cell, such as the title of a group or a wrapped one, in one go.
_MAX_SINGLE_ROWS = 2
# A gap of so many heights of a row ends a table.
_MAX_ROW_GAP = 3.0
_BIN = 2.0
# So few of the rows may cross the gap between two columns.
_MAX_CROSSING = 0.1
_MAX_CELL_WORDS = 6
# Share of cells that are filled, in tables of numbers and in others.
_MIN_FILLED = (0.6, 0.85)
_MIN_NUMBERS = 0.5
# A part that shares this much of its width with a second column stands across both.
_ACROSS = 0.3


def find_tables(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """Return the first row and one past the last of each table; what is in doubt is none."""
    tables: list[tuple[int, int]] = []
    start = 0
    while start < len(rows):
        if len(rows[start]) == 1:
            start += 1
            continue
        end = _run_end(rows, start)
        run = rows[start:end]
        columns = _columns(run)
        for first, last in _fitting(run, columns):
            if _is_table(run[first:last], columns):
                tables.append((start + first, start + last))
        start = end
    return tables


def table_lines(rows: Sequence[Row]) -> list[Line]:
    """Return the rows of a table in Markdown, with the first one as the header."""
    columns = _columns(rows)
    lines: list[Line] = []
    for row in rows:
        cells = [""] * len(columns)
        for part in row:
            at = _column_of(part, columns)
            cells[at] = f"{cells[at]} {part.text}".strip()
        text = markdown_row(cells)
        if not lines:
            text += "\n" + markdown_row(["---"] * len(columns))
        line = joined(row)
        line.text, line.in_table, line.starts_paragraph = text, True, not lines
        lines.append(line)
    return lines


def joined(parts: Sequence[Line], separator: str = " ") -> Line:
    """Return the parts as one line."""
    return Line(
        separator.join(part.text for part in parts),
        min(part.left for part in parts),
        min(part.bottom for part in parts),
        max(part.right for part in parts),
        max(part.top for part in parts),
        max(part.size for part in parts),
    )


def _run_end(rows: Sequence[Row], start: int) -> int:
    """Return one past the last row of cells that may belong to a table beginning at `start`."""
    end, num_single = start + 1, 0
    for index in range(start + 1, len(rows)):
        row, above = rows[index], rows[index - 1]
        gap = above[0].bottom - row[0].top
        if gap > _MAX_ROW_GAP * (row[0].top - row[0].bottom) or row[0].rows:
            break
        num_single = num_single + 1 if len(row) == 1 else 0
        if num_single > _MAX_SINGLE_ROWS:
            break
        if len(row) > 1:
            end = index + 1
    return end


def _columns(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """Return left and right of the columns, between the gaps that next to no row crosses."""
    rows = [row for row in rows if len(row) > 1]
    if not rows:
        return []
    left = min(row[0].left for row in rows)
    num_bins = int((max(part.right for row in rows for part in row) - left) / _BIN) + 2
    changes = [0] * (num_bins + 1)
    for row in rows:
        for part in row:
            changes[int((part.left - left) / _BIN)] += 1
            changes[int((part.right - left) / _BIN) + 1] -= 1
    covered = [count > _MAX_CROSSING * len(rows) for count in accumulate(changes)]
    columns, begin = [], -1
    for index, is_covered in enumerate(covered):
        if is_covered and begin < 0:
            begin = index
        elif not is_covered and begin >= 0:
            columns.append((left + begin * _BIN, left + index * _BIN))
            begin = -1
    return columns


def _fitting(
    rows: Sequence[Row], columns: Sequence[tuple[float, float]]
) -> Iterator[tuple[int, int]]:
    """Yield the stretches of rows of which no part stands across two columns."""
    start = 0
    for index, row in enumerate([*rows, None]):
        if row is None or any(_is_across(part, columns) for part in row):
            if index > start:
                yield start, index
            start = index + 1


def _is_across(part: Line, columns: Sequence[tuple[float, float]]) -> bool:
    least = _ACROSS * (part.right - part.left)
    return sum(width > least for width in _shared(part, columns)) > 1


def _column_of(part: Line, columns: Sequence[tuple[float, float]]) -> int:
    shared = _shared(part, columns)
    return shared.index(max(shared))


def _shared(part: Line, columns: Sequence[tuple[float, float]]) -> list[float]:
    """Return the width that a part has in common with each column, below 0 where there is none."""
    first, last = part.left, part.right
    return [
        (right if right < last else last) - (left if left > first else first)
        for left, right in columns
    ]


def _is_table(rows: Sequence[Row], columns: Sequence[tuple[float, float]]) -> bool:
    cells = [row for row in rows if len(row) > 1]
    if len(columns) < _MIN_COLUMNS or len(rows) < _MIN_ROWS or len(cells) < _MIN_ROWS_OF_CELLS:
        return False
    used = {_column_of(part, columns) for row in rows for part in row}
    texts = [part.text for row in cells for part in row[1:]]
    num_numbers = sum(any(map(str.isdigit, text)) for text in texts)
    is_numeric = num_numbers >= _MIN_NUMBERS * len(texts)
    filled = sum(len(row) for row in cells) / (len(cells) * len(used))
    num_words = median(len(text.split()) for text in texts)
    return filled >= _MIN_FILLED[not is_numeric] and num_words <= _MAX_CELL_WORDS
