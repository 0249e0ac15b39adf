"""Heads: the lines above the text of a passage, which tell where the text belongs."""

from bisect import bisect_right
from dataclasses import dataclass

from ingest.sections import Sections
from ingest.tables import Table, Tables, cell_ends
from ingest.token_positions import MAX_CHARACTERS_PER_TOKEN, TokenStarts
from retrieval.chunks import make_passage


@dataclass(frozen=True, slots=True)
class Head:
    """The lines above a text.

    Attributes:
        headings: titles of the sections around the text, outermost first.
        table_header: header row of the table that the text continues.
        token_count: tokens of these lines.
    """

    headings: tuple[str, ...] = ()
    table_header: str = ""
    token_count: int = 0

    def passage(self, text: str) -> str:
        """Return the head and a text."""
        return make_passage(self.headings, self.table_header, text)


class Heads:
    """The heads that chunks of one text may have.

    Heading path and table header take at most a quarter of the limit each: the path loses its
    outermost titles, the header its last cells.
    """

    def __init__(
        self,
        text: str,
        sections: Sections,
        tables: Tables,
        tokenize: TokenStarts,
        max_tokens: int,
    ) -> None:
        self._text = text
        self._sections = sections
        self._tables = tables
        self._tokenize = tokenize
        self._quarter = max_tokens // 4
        self._paths: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._headers: dict[Table, str] = {}
        self._heads: dict[tuple[tuple[str, ...], str], Head] = {}

    def at(self, start: int) -> list[Head]:
        """Return the heads for a text that begins at `start`: the fullest first, none at last."""
        path = self._path(start)
        header = self._header(start)
        kinds = dict.fromkeys([(path, header), (path, ""), ((), "")])
        return [self._head(*kind) for kind in kinds]

    def _path(self, start: int) -> tuple[str, ...]:
        titles = self._sections.at(start).titles
        if titles not in self._paths:
            paths = (titles[first:] for first in range(len(titles) + 1))
            self._paths[titles] = next(path for path in paths if self._fits(path, ""))
        return self._paths[titles]

    def _header(self, start: int) -> str:
        table = self._tables.at(start)
        if table is None or start < table.header_end:
            return ""
        if table not in self._headers:
            self._headers[table] = self._shortened(self._text[table.start : table.header_end])
        return self._headers[table]

    def _shortened(self, row: str) -> str:
        row = row.strip()
        ends = [0, *cell_ends(row)]
        starts = self._tokenize(row)
        if len(starts) > self._quarter:
            ends = ends[: bisect_right(ends, starts[self._quarter])]
        while not self._fits((), row[: ends[-1]]):
            ends.pop()
        return row[: ends[-1]]

    def _head(self, headings: tuple[str, ...], table_header: str) -> Head:
        key = headings, table_header
        if key not in self._heads:
            self._heads[key] = Head(*key, self._count(*key))
        return self._heads[key]

    def _fits(self, headings: tuple[str, ...], table_header: str) -> bool:
        num_characters = len(make_passage(headings, table_header, ""))
        return (
            num_characters <= self._quarter * MAX_CHARACTERS_PER_TOKEN
            and self._count(headings, table_header) <= self._quarter
        )

    def _count(self, headings: tuple[str, ...], table_header: str) -> int:
        return len(self._tokenize(make_passage(headings, table_header, "")))
