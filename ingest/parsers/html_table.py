"""Tables of a page as Markdown rows."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lxml.html import HtmlElement

from ingest.parsers.builder import markdown_row

_NOT_IN_DATA = ("h1", "h2", "h3", "h4", "h5", "h6", "pre")
_LISTS = ("ul", "ol")
_SECTIONS = ("thead", "tbody", "tfoot")
# A longer table within a cell is one of its own, and the cell a place on the page.
_MAX_INNER_CHARACTERS = 300
# The HTML standard allows no more; rows have no such limit, they end with the table.
_MAX_COLUMN_SPAN = 1000
# Cells that a table may have for each one written, before its spans are taken for an attack.
_MAX_EXPANSION = 10
_FREE_CELLS = 200
_DIGITS = re.compile(r"\s*([0-9]{1,6})")


def is_layout_table(table: HtmlElement) -> bool:
    """Tell whether a table arranges parts of a page; its cells are then ordinary blocks."""
    if table.get("role") in ("presentation", "none"):
        return True
    # A list in a cell is kept on the line of its row when header cells prove that rows matter.
    has_header = next(table.iter("th"), None) is not None
    blocks = _NOT_IN_DATA if has_header else _NOT_IN_DATA + _LISTS
    if next(table.iter(*blocks), None) is not None:
        return True
    inner = list(table.iterdescendants("table"))
    is_long = any(len(" ".join(one.itertext())) > _MAX_INNER_CHARACTERS for one in inner)
    return is_long or (bool(inner) and not _begins_with_header(table))


def _begins_with_header(table: HtmlElement) -> bool:
    """Tell whether the first row names two columns or more, and nothing else."""
    sections = table.iterchildren(*_SECTIONS, "tr")
    first = next(sections, None)
    row = first if first is None or first.tag == "tr" else next(first.iterchildren("tr"), None)
    tags = [] if row is None else [cell.tag for cell in row]
    return len(tags) > 1 and set(tags) == {"th"}


def put_inner_tables_in_line(table: HtmlElement) -> None:
    """Make text of the tables within the cells of a data table: `Power 5 kW; Mass 7 kg`."""
    for inner in list(table.iterdescendants("table")):
        rows = list(inner.iter("tr"))
        for row in rows:
            row.tail = " " if row is rows[-1] else "; "
        for cell in inner.iter("td", "th"):
            cell.tail = " " if cell.getnext() is not None else None
        for paragraph in inner.iter("p", "div"):
            if paragraph.getnext() is not None:
                paragraph.tail = f" {paragraph.tail or ''}"
        for part in list(inner.iter("table", *_SECTIONS, "tr", "td", "th", "p", "div")):
            part.tag = "span"


@dataclass(frozen=True, slots=True)
class _Cell:
    """A cell with how many columns and rows it covers; 0 rows are all of its section."""

    text: str
    is_header: bool
    num_columns: int
    num_rows: int


@dataclass(frozen=True, slots=True)
class _Span:
    """Columns from `first` to before `last`, covered in rows before `end_row`."""

    first: int
    last: int
    end_row: int


@dataclass(frozen=True, slots=True)
class _Row:
    """Cells with the column that each begins in; `end` is one past the last column."""

    cells: Sequence[_Cell]
    columns: Sequence[int]
    end: int

    def texts(self, columns: Sequence[int]) -> list[str]:
        """Return a text for each of `columns` up to the end, empty where no cell begins."""
        begun = {column: cell.text for column, cell in zip(self.columns, self.cells, strict=True)}
        return [begun.get(column, "") for column in columns[: bisect_left(columns, self.end)]]


class HtmlTable:
    """Collects the cells of one table, row by row."""

    def __init__(self) -> None:
        self._rows: list[list[_Cell]] = []
        self._cells: list[_Cell] = []
        # One past the last row of each section (`thead`, `tbody`).
        self._section_ends: list[int] = []

    def add_cell(self, element: HtmlElement, text: str) -> None:
        """Add a cell to the current row."""
        num_columns = min(max(1, _number(element, "colspan")), _MAX_COLUMN_SPAN)
        num_rows = _number(element, "rowspan")
        self._cells.append(_Cell(text.strip(), element.tag == "th", num_columns, num_rows))

    def end_row(self) -> None:
        """End the current row."""
        if self._cells:
            self._rows.append(self._cells)
        self._cells = []

    def end_section(self) -> None:
        """End the current section; no cell reaches from one into the next."""
        self.end_row()
        self._section_ends.append(len(self._rows))

    def markdown(self) -> str:
        """Return the rows, one on each line, without empty ones.

        The text of a cell stands in the first of the columns and rows that it covers.
        """
        self.end_section()
        rows = [row for row in self._placed() if any(cell.text for cell in row.cells)]
        if not rows:
            return ""
        # A column in which no cell begins is only somebody's way to say `the whole row`.
        columns = sorted({column for row in rows for column in row.columns})
        texts = [row.texts(columns) for row in rows]
        lines = [markdown_row(cells) for cells in texts]
        if _is_header(rows[0].cells, is_data=len(rows) > 1 and len(columns) > 1):
            lines.insert(1, markdown_row(["---"] * len(texts[0])))
        return "\n".join(lines)

    def _placed(self) -> Sequence[_Row]:
        """Return the rows with their columns; without the spans when these ask for too much."""
        most = _FREE_CELLS + _MAX_EXPANSION * sum(map(len, self._rows))
        rows: list[_Row] = []
        spans: list[_Span] = []
        section_ends = iter(self._section_ends)
        section_end = 0
        for number, cells in enumerate(self._rows):
            while number >= section_end:
                section_end = next(section_ends)
            spans = sorted((one for one in spans if number < one.end_row), key=_first)
            row = _place(cells, spans)
            rows.append(row)
            spans += _spans_below(row, number, section_end)
            most -= len(spans) + len(cells)
            if most < 0:
                break
        begun = sorted({column for row in rows for column in row.columns})
        if most < 0 or sum(bisect_left(begun, row.end) for row in rows) > most:
            return [_Row(cells, range(len(cells)), len(cells)) for cells in self._rows]
        return rows


def _place(cells: Sequence[_Cell], spans: Sequence[_Span]) -> _Row:
    """Put cells in the columns that no span from above covers; `spans` are in order."""
    columns = []
    column, above = 0, iter(spans)
    span = next(above, None)
    for cell in cells:
        while span is not None and span.first <= column:
            column = max(column, span.last)
            span = next(above, None)
        columns.append(column)
        column += cell.num_columns
    return _Row(cells, columns, max(column, *(one.last for one in spans), 0))


def _spans_below(row: _Row, number: int, section_end: int) -> Iterator[_Span]:
    for column, cell in zip(row.columns, row.cells, strict=True):
        end_row = min(number + cell.num_rows, section_end) if cell.num_rows else section_end
        if end_row > number + 1:
            yield _Span(column, column + cell.num_columns, end_row)


def _is_header(cells: Sequence[_Cell], *, is_data: bool) -> bool:
    """Tell whether the first row names the columns: few authors mark it as such."""
    filled = [cell.is_header for cell in cells if cell.text]
    return all(filled) or (is_data and not any(filled))


def _first(span: _Span) -> int:
    return span.first


def _number(element: HtmlElement, name: str) -> int:
    """Return the number that an attribute begins with, 1 without any (HTML standard)."""
    found = _DIGITS.match(element.get(name, "1"))
    return int(found.group(1)) if found else 1
