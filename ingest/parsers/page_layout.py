"""The reading order of a page: columns, rows and paragraphs, from where its lines stand."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from ingest.parsers.page_lines import Line
from ingest.parsers.page_tables import Row, find_tables, joined, table_lines
from ingest.parsers.spacing import separator

# Either side of a gutter between columns there are so many lines ...
_MIN_COLUMN_LINES = 4
# ... with so many spaces, not the short cells of a table.
_MIN_SPACES = 2
# Italics and raised numbers reach into their neighbours, by a share of the type size.
_LEEWAY = 0.3
_BIN = 2.0
_MIN_GUTTER_BINS = 3
# A line stands across a gutter when it covers this share of the columns on both sides.
_ACROSS = 0.15
_FILLED = 0.8
_MIN_TABLE_ROWS = 3
_MIN_CELLS = 3
_MIN_SIDEWAYS_CHARACTERS = 3
_MAX_COLUMNS = 4
# So many lines of the right column begin at one place.
_MIN_ALIGNED = 0.4
# Lines further apart than this multiple of the usual distance are of two paragraphs.
_PARAGRAPH_DISTANCE = 1.3
_SAME_SIZE = 0.12
# Shorter ones may be indices and exponents.
_MIN_TYPE_CHARACTERS = 4
_INDENT = (0.7, 3.5)


def in_reading_order(lines: Sequence[Line]) -> list[Line]:
    """Return the lines as they are read, those of a row joined, tables as Markdown rows.

    The order of the file is kept where it can be the order of reading. Otherwise the page is read
    by place: cut into columns, from left to right, between the lines that stand across them.
    """
    if all(_follows(*pair) for pair in pairwise(lines)):
        return _with_paragraphs([[line] for line in lines])
    upright = [line for line in lines if not _is_sideways(line)]
    sideways = [replace(line, starts_paragraph=True) for line in lines if _is_sideways(line)]
    regions = _streams(upright) or [_rows(one) for one in _regions(upright, _MAX_COLUMNS)]
    return [line for rows in regions for line in _with_paragraphs(rows)] + sideways


def _follows(line: Line, following: Line) -> bool:
    return following.top + following.bottom < 2 * line.bottom


def _streams(lines: Sequence[Line]) -> list[list[Row]] | None:
    """Return rows in the order of the file, or None when nobody reads in that order."""
    gutter = _gutter(lines)
    if gutter is not None and _num_returns(lines, gutter) >= _MIN_COLUMN_LINES - 1:
        return None
    if not lines:
        return []
    streams: list[list[Line]] = [list(lines[:1])]
    for line, following in pairwise(lines):
        # After a line comes one below it or one to the right of it, be that in the next column.
        if _follows(line, following) or following.left > line.right - _LEEWAY * line.size:
            streams[-1].append(following)
        else:
            streams.append([following])
    streams.sort(key=lambda stream: -max(line.top for line in stream))
    for above, below in pairwise(streams):
        if min(map(_middle, above)) < max(map(_middle, below)):
            return None
    return [_consecutive_rows(stream) for stream in streams]


def _num_returns(lines: Sequence[Line], gutter: float) -> int:
    """Return how often prose goes from the right of a gutter back to its left."""
    prose = [line for line in lines if line.text.count(" ") >= _MIN_SPACES]
    return sum(
        line.left >= gutter >= following.right and _follows(line, following)
        for line, following in pairwise(prose)
    )


def _consecutive_rows(lines: Sequence[Line]) -> list[Row]:
    rows: list[Row] = []
    for line in lines:
        last = rows[-1][-1] if rows else None
        if last and line.left > last.right - _LEEWAY * line.size and _is_same_row(rows[-1], line):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [_cells(row) for row in rows]


def _is_sideways(line: Line) -> bool:
    height, width = line.top - line.bottom, line.right - line.left
    return len(line.text) >= _MIN_SIDEWAYS_CHARACTERS and height > 3 * width


def _middle(line: Line) -> float:
    return (line.top + line.bottom) / 2


def _regions(lines: Sequence[Line], max_columns: int) -> list[list[Line]]:
    """Return the columns of a page and what stands across them, in reading order."""
    gutter = _gutter(lines) if max_columns > 1 else None
    if gutter is None:
        return [list(lines)]
    regions: list[list[Line]] = []
    across: list[Line] = []
    left: list[Line] = []
    right: list[Line] = []

    def flush() -> None:
        if across:
            regions.append(across[:])
        for side in (left, right):
            if side:
                regions.extend(_regions(side, max_columns - 1))
            side.clear()
        across.clear()

    edges = min(line.left for line in lines), max(line.right for line in lines)
    rows = _rows(lines)
    for row, is_across in zip(rows, _across(rows, gutter, edges), strict=True):
        if is_across:
            if left or right:
                flush()
            across += row
        else:
            for part in row:
                (left if part.left + part.right < 2 * gutter else right).append(part)
    flush()
    return regions


def _across(rows: Sequence[Row], gutter: float, edges: tuple[float, float]) -> list[bool]:
    """Tell which rows stand across a gutter: long lines, and tables with cells on both sides."""
    are_long = [_has_long_part(row, gutter, edges) for row in rows]
    are_cells = [_has_cells_on_both_sides(row, gutter, edges) for row in rows]
    across = are_long[:]
    for index in range(len(rows) - _MIN_TABLE_ROWS + 1):
        table = slice(index, index + _MIN_TABLE_ROWS)
        if all(are_cells[table]):
            across[table] = are_cells[table]
    return across


def _has_long_part(row: Row, gutter: float, edges: tuple[float, float]) -> bool:
    first, last = edges
    return any(
        gutter - part.left > _ACROSS * (gutter - first)
        and part.right - gutter > _ACROSS * (last - gutter)
        for part in row
    )


def _has_cells_on_both_sides(row: Row, gutter: float, edges: tuple[float, float]) -> bool:
    left = [part for part in row if part.left + part.right < 2 * gutter]
    right = row[len(left) :]
    num_short = sum(part.text.count(" ") < _MIN_SPACES for part in row)
    return (
        len(row) >= _MIN_CELLS
        and num_short > len(row) / 2
        and bool(left)
        and bool(right)
        and not _fills(left, gutter - edges[0])
        and not _fills(right, edges[1] - gutter)
    )


def _fills(parts: Sequence[Line], width: float) -> bool:
    return len(parts) == 1 and parts[0].right - parts[0].left > _FILLED * width


def _gutter(lines: Sequence[Line]) -> float | None:
    """Return the middle of the gap between two columns of prose that has most lines beside it."""
    prose = [line for line in lines if line.text.count(" ") >= _MIN_SPACES]
    if len(prose) < 2 * _MIN_COLUMN_LINES:
        return None
    best, best_count = None, 0
    for gap in _gaps(prose):
        left = [line for line in prose if line.right <= gap]
        right = [line for line in prose if line.left >= gap]
        count = min(len(left), len(right))
        if count > best_count and _are_columns(left, right):
            best, best_count = gap, count
    return best


def _gaps(lines: Sequence[Line]) -> Iterator[float]:
    """Yield where fewer lines stand than on either side."""
    first = min(line.left for line in lines)
    num_bins = int((max(line.right for line in lines) - first) / _BIN) + 2
    changes = [0] * (num_bins + 1)
    for line in lines:
        changes[int((line.left - first) / _BIN)] += 1
        changes[int((line.right - first) / _BIN) + 1] -= 1
    runs: list[tuple[int, int, int]] = []  # first bin, one past the last, number of lines
    for index, count in enumerate(accumulate(changes)):
        if runs and runs[-1][2] == count:
            runs[-1] = (runs[-1][0], index + 1, count)
        else:
            runs.append((index, index + 1, count))
    for before, run, after in zip(runs, runs[1:], runs[2:], strict=False):
        start, end, count = run
        if count < before[2] and count < after[2] and end - start >= _MIN_GUTTER_BINS:
            yield first + (start + end) / 2 * _BIN


def _are_columns(left: Sequence[Line], right: Sequence[Line]) -> bool:
    if min(len(left), len(right)) < _MIN_COLUMN_LINES:
        return False
    starts = Counter(int(line.left / _BIN) for line in right)
    num_aligned = max(starts[place] + starts[place + 1] for place in list(starts))
    if num_aligned < _MIN_ALIGNED * len(right):
        return False
    # One beside the other, not one below the other.
    tops = [max(line.top for line in column) for column in (left, right)]
    bottoms = [min(line.bottom for line in column) for column in (left, right)]
    lower = min(top - bottom for top, bottom in zip(tops, bottoms, strict=True))
    return min(tops) - max(bottoms) > lower / 2


def _rows(lines: Sequence[Line]) -> list[Row]:
    """Return the lines as rows from top to bottom, the parts of each from left to right."""
    rows: list[Row] = []
    for line in sorted(lines, key=_middle, reverse=True):
        if rows and _is_same_row(rows[-1], line):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [_cells(sorted(row, key=lambda part: part.left)) for row in rows]


def _is_same_row(row: Row, line: Line) -> bool:
    if line.rows or row[0].rows:
        return False
    tallest = row[0] if len(row) == 1 else max(row, key=lambda part: part.top - part.bottom)
    shared = min(tallest.top, line.top) - max(tallest.bottom, line.bottom)
    if shared < 0.5 * min(tallest.top - tallest.bottom, line.top - line.bottom):
        return False
    return all(
        min(part.right, line.right) - max(part.left, line.left)
        <= 0.5 * min(part.right - part.left, line.right - line.left)
        for part in row
    )


def _cells(row: Row) -> Row:
    """Return the row with parts that belong together joined: raised numbers, signs of numbers."""
    cells = row[:1]
    for part in row[1:]:
        before = cells[-1]
        between = separator(before.text, before.box, part.text, part.box)
        if between is None:
            cells.append(part)
        else:
            cells[-1] = joined([before, part], between)
    return cells


def _with_paragraphs(rows: Sequence[Row]) -> list[Line]:
    """Return the rows as lines, with marks where paragraphs start."""
    ruled = [(at, at + 1) for at, row in enumerate(rows) if row[0].rows]
    tables = sorted([*find_tables(rows), *ruled])
    lines: list[Line] = []
    end = 0
    for start, after in [*tables, (len(rows), len(rows))]:
        prose = [row[0] if len(row) == 1 else joined(row) for row in rows[end:start]]
        _mark_paragraphs(prose)
        lines += prose
        if start < after:
            lines += rows[start][0].rows or table_lines(rows[start:after])
        end = after
    return lines


def _mark_paragraphs(lines: Sequence[Line]) -> None:
    """Mark the lines that start a paragraph: by distance, type size or indent."""
    if not lines:
        return
    lines[0].starts_paragraph = not lines[0].text[:1].islower()
    usual = _usual(above.bottom - line.bottom for above, line in pairwise(lines))
    for above, line, below in zip(lines[:-1], lines[1:], [*lines, lines[-1]][2:], strict=True):
        distance = above.bottom - line.bottom
        if distance < 0:  # the next column
            line.starts_paragraph = not line.text[:1].islower()
        else:
            line.starts_paragraph = (
                distance > _PARAGRAPH_DISTANCE * usual
                or _is_indented(above, line, below)
                or _is_of_other_size(above, line)
            )


def _usual(distances: Iterable[float]) -> float:
    """Return the distance of lines within a paragraph: the one most often seen."""
    counts = Counter(round(distance) for distance in distances if distance > 1)
    return float(counts.most_common(1)[0][0]) if counts else float("inf")


def _is_indented(above: Line, line: Line, below: Line) -> bool:
    size = max(1.0, line.size)
    least, most = _INDENT
    return (
        least * size < line.left - above.left < most * size
        and abs(above.left - below.left) < size / 4
    )


def _is_of_other_size(above: Line, line: Line) -> bool:
    if min(len(above.text), len(line.text)) < _MIN_TYPE_CHARACTERS:
        return False
    return abs(above.size - line.size) > _SAME_SIZE * max(above.size, line.size)
