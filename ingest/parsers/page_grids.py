"""Grids of ruling lines on a page, and the cells between them."""

from bisect import bisect, bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, product
from math import nan
from statistics import fmean

from ingest.parsers.boxes import Box

# How far from each other rules may end that are meant to meet, and double rules lie, in points.
_NEAR = 3.0
# Shorter rules are marks and letters.
_MIN_LENGTH = 8.0
# Two rules that stand out of a grid by so much make a side that is open.
_OPEN = 8.0
_MIN_OPEN_RULES = 2
# A row from side to side of a table without rules there is lower than that.
_MAX_ROW_BETWEEN = 24.0
# Of two rows or columns.
_MIN_EDGES = 3
# Charts and drawings have more crossings and cells.
_MAX_CROSSINGS = 40_000
_MAX_CELLS = 10_000

Cell = tuple[int, int]
"""Row and column, from 0 at the top left."""
_Rule = tuple[float, float, float]  # where it lies, where it starts and ends
_Group = tuple[list[_Rule], list[_Rule]]  # horizontal and vertical


class Grid:
    """Rows and columns between ruling lines.

    Attributes:
        columns: the edges of the columns, from left to right.
        rows: the edges of the rows, from the top down.
    """

    def __init__(self, horizontal: Sequence[_Rule], vertical: Sequence[_Rule]) -> None:
        columns = _edges(vertical, horizontal)
        rows = _edges(horizontal, vertical)
        rows.reverse()
        self.columns, self.rows = columns, rows
        self._falling = [-edge for edge in rows]
        self._first: dict[Cell, Cell] = {}
        self._last: dict[Cell, Cell] = {}
        self._join_cells(horizontal, vertical)

    @property
    def box(self) -> Box:
        """The box around all cells."""
        return self.columns[0], self.rows[-1], self.columns[-1], self.rows[0]

    def cell_of(self, box: Box) -> Cell | None:
        """Return the cell in which the middle of a box lies, None outside the grid."""
        left, bottom, right, top = box
        column = bisect(self.columns, (left + right) / 2) - 1
        row = bisect(self._falling, -(bottom + top) / 2) - 1
        return self._first.get((row, column))

    def first_of(self, cell: Cell) -> Cell:
        """Return the first of the cells that no rule divides from this one."""
        return self._first[cell]

    def area(self, first: Cell) -> Box:
        """Return the box around all cells that no rule divides from the first of them."""
        row, column = self._last[first]
        return (
            self.columns[first[1]],
            self.rows[row + 1],
            self.columns[column + 1],
            self.rows[first[0]],
        )

    @property
    def is_whole(self) -> bool:
        """Whether all areas between rules are rectangles, as those of a table."""
        areas = Counter(self._first.values())
        return all(
            count == (last[0] - first[0] + 1) * (last[1] - first[1] + 1)
            for first, count in areas.items()
            for last in [self._last[first]]
        )

    def _join_cells(self, horizontal: Sequence[_Rule], vertical: Sequence[_Rule]) -> None:
        """Find the first cell of each area without a rule through it."""
        left, above = self._ruled_left(vertical), self._ruled_above(horizontal)
        first = self._first
        for cell in product(range(len(self.rows) - 1), range(len(self.columns) - 1)):
            row, column = cell
            first[cell] = cell
            if column and cell not in left:
                self._join(cell, (row, column - 1))
            if row and cell not in above:
                self._join(cell, (row - 1, column))
        for cell in first:
            root = first[cell] = self._root(cell)
            row, column = self._last.get(root, root)
            self._last[root] = max(row, cell[0]), max(column, cell[1])

    def _ruled_left(self, vertical: Iterable[_Rule]) -> set[Cell]:
        """Return the cells whose left side has a rule along its middle."""
        middles = [-(above + below) / 2 for above, below in pairwise(self.rows)]
        return {
            (row, bisect_left(self.columns, at))
            for at, start, end in vertical
            for row in range(bisect_left(middles, -end), bisect(middles, -start))
        }

    def _ruled_above(self, horizontal: Iterable[_Rule]) -> set[Cell]:
        """Return the cells whose upper side has a rule along its middle."""
        middles = [(left + right) / 2 for left, right in pairwise(self.columns)]
        return {
            (bisect_left(self._falling, -at), column)
            for at, start, end in horizontal
            for column in range(bisect_left(middles, start), bisect(middles, end))
        }

    def _root(self, cell: Cell) -> Cell:
        while self._first[cell] != cell:
            cell = self._first[cell]
        return cell

    def _join(self, cell: Cell, other: Cell) -> None:
        one, two = self._root(cell), self._root(other)
        self._first[max(one, two)] = min(one, two)


def find_grids(rules: Sequence[Box]) -> list[Grid]:
    """Return the grids of rules that meet, of two rows and two columns or more.

    Args:
        rules: boxes whose one side is thin, the other one longer.
    """
    horizontal, vertical = [], []
    for left, bottom, right, top in rules:
        if right - left > top - bottom:
            horizontal.append(((bottom + top) / 2, left, right))
        else:
            vertical.append(((left + right) / 2, bottom, top))
    horizontal, vertical = list(_whole(horizontal)), list(_whole(vertical))
    if not vertical or len(horizontal) * len(vertical) > _MAX_CROSSINGS:
        return []
    grids = []
    for across, down in _with_rows_between(list(_meeting(horizontal, vertical))):
        if len(across) * len(down) <= _MAX_CELLS:
            grid = Grid(across, down)
            if min(len(grid.rows), len(grid.columns)) >= _MIN_EDGES and grid.is_whole:
                grids.append(grid)
    return grids


def _whole(pieces: Sequence[_Rule]) -> Iterator[_Rule]:
    """Yield rules without the breaks in them, double ones as one."""
    pieces = sorted(pieces)
    start = 0
    for index in range(1, len(pieces) + 1):
        if index < len(pieces) and pieces[index][0] - pieces[start][0] <= _NEAR:
            continue
        yield from _joined(pieces[start:index])
        start = index


def _joined(pieces: Sequence[_Rule]) -> Iterator[_Rule]:
    """Yield the rules of pieces that lie on one line."""
    at = fmean(piece[0] for piece in pieces)
    ends = sorted(piece[1:] for piece in pieces)
    start, end = ends[0]
    for following, its_end in [*ends[1:], (float("inf"), 0.0)]:
        if following > end + _NEAR:
            if end - start >= _MIN_LENGTH:
                yield at, start, end
            start = following
        end = max(end, its_end)


def _meeting(horizontal: Sequence[_Rule], vertical: Sequence[_Rule]) -> Iterator[_Group]:
    """Yield the horizontal and vertical rules that meet each other, directly or over others."""
    group = list(range(len(horizontal)))  # each is of the group of another, or its first

    def root(index: int) -> int:
        while group[index] != index:
            group[index] = index = group[group[index]]
        return index

    heights = [at for at, _, _ in horizontal]
    crossed: list[tuple[_Rule, int]] = []
    for rule in vertical:
        at, start, end = rule
        first = -1
        for index in range(bisect_left(heights, start - _NEAR), bisect(heights, end + _NEAR)):
            _, left, right = horizontal[index]
            if left - _NEAR <= at <= right + _NEAR:
                one = root(index)
                first = one if first < 0 else first
                group[one] = first
        if first >= 0:
            crossed.append((rule, first))
    for first in sorted({root(index) for _, index in crossed}):
        yield (
            [rule for index, rule in enumerate(horizontal) if root(index) == first],
            [rule for rule, index in crossed if root(index) == first],
        )


def _with_rows_between(groups: Sequence[_Group]) -> Iterator[_Group]:
    """Yield groups of rules; those of a table between whose parts a row goes from side to side.

    No rule crosses such a row where the sides of the table are open.
    """
    above: _Group | None = None
    for group in sorted(groups, key=lambda group: -max(at for at, _, _ in group[0])):
        if above and _continues(above, group):
            above = above[0] + group[0], above[1] + group[1]
        else:
            if above:
                yield above
            above = group
    if above:
        yield above


def _continues(above: _Group, below: _Group) -> bool:
    (left, right), (its_left, its_right) = _open_sides(above), _open_sides(below)
    lowest, highest = min(at for at, _, _ in above[0]), max(at for at, _, _ in below[0])
    return (
        abs(left - its_left) <= _NEAR
        and abs(right - its_right) <= _NEAR
        and 0 < lowest - highest <= _MAX_ROW_BETWEEN
    )


def _open_sides(group: _Group) -> tuple[float, float]:
    """Return left and right of the horizontal rules; not a number where a vertical one is."""
    across, down = group
    left, right = min(start for _, start, _ in across), max(end for _, _, end in across)
    first, last = min(down)[0], max(down)[0]
    return left if left < first - _OPEN else nan, right if right > last + _OPEN else nan


def _edges(rules: Sequence[_Rule], crossing: Sequence[_Rule]) -> list[float]:
    """Return where rules lie, in ascending order, and where those that cross them end far out."""
    edges = sorted({at for at, _, _ in rules})
    crossing = sorted(crossing)
    before = [start < edges[0] - _OPEN for _, start, _ in crossing]
    after = [end > edges[-1] + _OPEN for _, _, end in crossing]
    if _is_open(before):
        edges.insert(0, min(start for _, start, _ in crossing))
    if _is_open(after):
        edges.append(max(end for _, _, end in crossing))
    return edges


def _is_open(are_out: Sequence[bool]) -> bool:
    """Tell whether a side is open, of which so many of the rules across it stand out."""
    num_out = sum(are_out)
    return num_out >= _MIN_OPEN_RULES and (
        num_out >= len(are_out) / 2 or (are_out[0] and are_out[-1])
    )
