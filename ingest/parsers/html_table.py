"""Tables of a page as Markdown rows."""

from lxml.html import HtmlElement

from ingest.parsers.builder import markdown_row

_NOT_IN_DATA = ("table", "h1", "h2", "h3", "h4", "h5", "h6", "pre")
_LISTS = ("ul", "ol")


def is_layout_table(table: HtmlElement) -> bool:
    """Tell whether a table arranges parts of a page; its cells are then ordinary blocks."""
    if table.get("role") in ("presentation", "none"):
        return True
    # A list in a cell is kept on the line of its row when header cells prove that rows matter.
    has_header = next(table.iter("th"), None) is not None
    inner = table.iter(*_NOT_IN_DATA) if has_header else table.iter(*_NOT_IN_DATA, *_LISTS)
    next(inner)  # the table itself
    return next(inner, None) is not None


class HtmlTable:
    """Collects the cells of one table."""

    def __init__(self) -> None:
        self._rows: list[str] = []
        self._cells: list[str] = []
        self._is_header = True

    def add_cell(self, text: str, *, is_header: bool) -> None:
        """Add a cell to the current row."""
        self._cells.append(text)
        self._is_header = self._is_header and is_header

    def end_row(self) -> None:
        """End the current row; an empty row is left out."""
        if any(cell.strip() for cell in self._cells):
            self._rows.append(markdown_row(self._cells))
            if self._is_header and len(self._rows) == 1:
                self._rows.append(markdown_row(["---"] * len(self._cells)))
        self._cells = []
        self._is_header = True

    def markdown(self) -> str:
        """Return the rows, one on each line."""
        self.end_row()
        return "\n".join(self._rows)
