"""A cell of a table is asked for by the headers of its row and column."""

import re
from collections.abc import Iterator
from itertools import pairwise

from eval.questions import Question
from eval.synthesis.corpus import Corpus, Source, digest
from ingest.tables import Table, Tables, cell_ends

MAKER = "cell"
# Of a long table rows at equal distances.
MOST_ROWS = 100
# A longer header is no header.
MOST_HEADER_CHARACTERS = 100
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d")
_WORD = re.compile(r"\w{2,}")
# As in the formulas that PDFs lay out as tables.
_FORMULA = re.compile(r"[=\u221a\u2211\u222b\u220f]|\u2026\s*\w")


def cell_questions(corpus: Corpus) -> Iterator[Question]:
    """Ask `row header, column header?` of one cell in each row; the row is the evidence.

    Above a column must stand a word or a year: other numbers, signs and formulas ask for nothing.
    """
    for source in corpus.sources.values():
        for table in Tables(source.text.text).all:
            if not source.is_back_matter(table.start):
                yield from _ask(source, table)


def _ask(source: Source, table: Table) -> Iterator[Question]:
    text = source.text.text
    columns = _cells(text[table.start : table.header_end])
    rows = list(_rows(text, table))
    step = -(-len(rows) // MOST_ROWS) or 1
    for start, end in rows[::step]:
        row = _cells(text[start:end])
        if len(row) != len(columns) or not row[0]:
            continue
        header = row[0] if any(map(str.isalpha, row[0])) else f"{columns[0]} {row[0]}"
        filled = [
            i for i in range(1, len(row)) if any(map(str.isalnum, row[i])) and _asks(columns[i])
        ]
        if filled and any(map(str.isalpha, header)):
            # Any will do, but the same one each time.
            chosen = filled[int(digest(source.name, text[start:end]), 16) % len(filled)]
            asked = f"{header.strip()}, {columns[chosen]}?"
            yield source.question(MAKER, asked, (start, end), (row[chosen],))


def _asks(column: str) -> bool:
    """Tell whether the header of a column has a word, or is a year."""
    has_words = any(any(map(str.isalpha, word)) for word in _WORD.findall(column))
    return _YEAR.fullmatch(column) is not None or (
        has_words and len(column) <= MOST_HEADER_CHARACTERS and not _FORMULA.search(column)
    )


def _rows(text: str, table: Table) -> Iterator[tuple[int, int]]:
    """Yield where the rows below the line of dashes begin and end."""
    start = text.find("\n", table.header_end + 1, table.end) + 1
    while 0 < start < table.end:
        end = text.find("\n", start, table.end)
        end = table.end if end < 0 else end
        yield start, end
        start = end + 1


def _cells(row: str) -> list[str]:
    """Return what stands in each cell, without Markdown's marks."""
    row = row.strip()
    ends = [1, *cell_ends(row)[:-1]]
    pieces = [row[start : end - 1] for start, end in pairwise(ends)]
    return [piece.strip().strip("*`_").replace("\\|", "|") for piece in pieces]
