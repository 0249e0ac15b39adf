"""A table of RTF, which has no element of its own there: rows follow each other."""

from collections.abc import Iterator, Sequence

from ingest.parsers.builder import TextBuilder

# Borders that are less apart (in twips, 1/1440 inch) are the same; authors draw them by hand.
_SAME_BORDER = 60
# Word has no more columns. Files that do are no tables but attacks.
_MAX_COLUMNS = 64


class RtfTable:
    """Collects the cells of one table; the right borders of cells tell their columns."""

    def __init__(self) -> None:
        self.is_row_open = False
        self._rows: list[tuple[list[str], list[int]]] = []
        self._borders: list[int] = []
        self._cells: list[str] = []
        self._paragraphs: list[str] = []

    @property
    def is_empty(self) -> bool:
        """Whether nothing was added since the last table was written."""
        return not (self._rows or self._cells or self._paragraphs)

    def begin_row(self) -> None:
        """Begin the definition of a row, before or behind its cells."""
        self.is_row_open = True
        self._borders = []

    def add_border(self, right: int) -> None:
        """Add the right border of the next cell of the row, in twips."""
        self._borders.append(right)

    def add_paragraph(self, text: str) -> None:
        """Add a paragraph to the current cell."""
        self._paragraphs.append(text)

    def end_cell(self) -> None:
        """End the current cell."""
        self._cells.append(" ".join(filter(None, self._paragraphs)))
        self._paragraphs = []

    def end_row(self) -> None:
        """End the current row."""
        if self._paragraphs:
            self.end_cell()
        if self._cells:
            self._rows.append((self._cells, list(self._borders)))
        self._cells = []
        self.is_row_open = False

    def write(self, builder: TextBuilder) -> None:
        """Write the table as Markdown and begin a new one; a single column only frames text."""
        self.end_row()
        rows = list(self._in_columns())
        if any(len(cells) > 1 for cells in rows):
            builder.table((None, cells) for cells in rows)
        else:
            for cells in rows:
                builder.block(cells[0])
        self._rows = []

    def _in_columns(self) -> Iterator[Sequence[str]]:
        columns = _columns([border for _, borders in self._rows for border in borders])
        num_columns = len(set(columns.values()))
        for cells, borders in self._rows:
            ends = [columns[border] for border in borders]
            is_told = len(ends) == len(cells) and ends == sorted(set(ends))
            if is_told and num_columns <= _MAX_COLUMNS:
                row = [""] * num_columns
                # A cell stands in the first of the columns that it reaches over.
                for text, previous in zip(cells, [-1, *ends], strict=False):
                    row[previous + 1] = text
                yield row
            else:
                yield cells


def _columns(borders: list[int]) -> dict[int, int]:
    """Return for each right border the column, from 0, that ends there."""
    columns: dict[int, int] = {}
    column, last = -1, None
    for border in sorted(set(borders)):
        if last is None or border - last > _SAME_BORDER:
            column, last = column + 1, border
        columns[border] = column
    return columns
