"""Tables with ruling lines: the words of a page in the cells of a grid, as Markdown rows."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from ingest.parsers.boxes import Box, overlap
from ingest.parsers.builder import markdown_row
from ingest.parsers.cell_lines import Word, are_rows, cell_lines, cell_text, is_divided
from ingest.parsers.page_grids import Cell, Grid

_MIN_ROWS = 2
_MIN_COLUMNS = 2
_MAX_COLUMNS = 100
# Share of the cells with text, in tables with a label for each row and in others.
_MIN_FILLED = (0.33, 0.5)
# So few words may stand across a rule, so many points on either side of it.
_MAX_CROSSING = 0.08
_CROSSING = 2.0
# A cell with more words holds a part of the page and not of a table.
_MAX_WORDS = 200
# A header or a label has no more.
_MAX_LABEL_WORDS = 15
# Share of the cells whose words may stand as far apart as those of two columns.
_MAX_DIVIDED = 0.2


@dataclass(frozen=True, slots=True)
class RuledTable:
    """A table.

    Attributes:
        rows: in Markdown, with the line of dashes below the first, and the box of each.
        words: the places of its words in the list of all.
    """

    rows: list[tuple[str, Box]]
    words: list[int]


def ruled_tables(grids: Sequence[Grid], words: Sequence[Word]) -> list[RuledTable]:
    """Return the tables in grids; of grids that overlap, the smallest; what is in doubt is none.

    Args:
        grids: of one page.
        words: those in the grids and near them, in the order of the file.
    """
    tables: list[RuledTable] = []
    taken: list[Box] = []
    for grid in sorted(grids, key=lambda grid: overlap(grid.box, grid.box)):
        if any(overlap(grid.box, box) for box in taken):
            continue
        inside = [index for index, word in enumerate(words) if grid.cell_of(word.box)]
        cells = _Cells(grid, [words[index] for index in inside])
        if cells.are_table():
            tables.append(RuledTable(list(cells.markdown()), inside))
            taken.append(grid.box)
    return tables


class _Cells:
    """The words of a grid in their cells."""

    def __init__(self, grid: Grid, words: Sequence[Word]) -> None:
        cells: defaultdict[Cell, list[Word]] = defaultdict(list)
        for word in words:
            cell = grid.cell_of(word.box)
            if cell and word.text:
                cells[cell].append(word)
        self._grid = grid
        self._lines = {cell: cell_lines(inside) for cell, inside in cells.items()}
        self._rows = sorted({row for row, _ in cells})
        self._columns = sorted({column for _, column in cells})

    def are_table(self) -> bool:
        """Tell whether there are rows and columns of cells, and nothing but cells."""
        lines, area = self._lines, self._grid.area
        if len(self._rows) < _MIN_ROWS or not _MIN_COLUMNS <= len(self._columns) <= _MAX_COLUMNS:
            return False
        num_words = {cell: sum(map(len, inside)) for cell, inside in lines.items()}
        num_crossing = sum(
            _is_crossing(word, area(cell)) for cell in lines for row in lines[cell] for word in row
        )
        num_divided = sum(any(map(is_divided, inside)) for inside in lines.values())
        return (
            self._are_filled()
            and max(num_words.values()) <= _MAX_WORDS
            and self._has_short_side(num_words)
            and num_crossing <= _MAX_CROSSING * sum(num_words.values())
            and num_divided <= _MAX_DIVIDED * len(lines)
        )

    def _are_filled(self) -> bool:
        """Tell whether enough cells have text: fewer need to where each row has its label."""
        num_areas = len({self._grid.first_of(cell) for cell in product(self._rows, self._columns)})
        columns = Counter(column for _, column in self._lines)
        has_labels = max(columns.values()) == len(self._rows)
        return len(self._lines) > _MIN_FILLED[not has_labels] * num_areas

    def _has_short_side(self, num_words: Mapping[Cell, int]) -> bool:
        """Tell whether the first row or a column is short, as nothing is in a page of boxes."""
        long = {cell for cell, count in num_words.items() if count > _MAX_LABEL_WORDS}
        return self._rows[0] not in {row for row, _ in long} or any(
            column not in {column for _, column in long} for column in self._columns
        )

    def markdown(self) -> Iterator[tuple[str, Box]]:
        """Yield each row and its box."""
        dashes = "\n" + markdown_row(["---"] * len(self._columns))
        for row in self._rows:
            for texts, (bottom, top) in self._row(row):
                left, _, right, _ = self._grid.box
                yield markdown_row(texts) + dashes, (left, bottom, right, top)
                dashes = ""

    def _row(self, row: int) -> Iterator[tuple[list[str], tuple[float, float]]]:
        """Yield the texts of a row, or of the rows that no rule divides in it, and their place."""
        cells = [(row, column) for column in self._columns]
        inside = {cell: self._lines[cell] for cell in cells if cell in self._lines}
        if not are_rows([(self._grid.area(cell), lines) for cell, lines in inside.items()]):
            top, bottom = self._grid.rows[row : row + 2]
            yield [cell_text(inside.get(cell, ())) for cell in cells], (bottom, top)
            return
        words = [word for lines in inside.values() for line in lines for word in line]
        for line in cell_lines(words):
            parts = [
                [word for word in line if self._grid.cell_of(word.box) == cell] for cell in cells
            ]
            yield [cell_text([part]) for part in parts], (line[0].box[1], line[0].box[3])


def _is_crossing(word: Word, area: Box) -> bool:
    left, _, right, _ = word.box
    return left < area[0] - _CROSSING or right > area[2] + _CROSSING
