"""Running headers, footers and page numbers: lines at the edge of a page that repeat over pages."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from ingest.parsers.page_lines import Line, PageLines

_Key = tuple[
    str, str, int | None
]  # text before and after the page number, its distance to the page

# How far from the edge, as a share of the height of the page, and how many lines.
_ZONE = 0.15
_MAX_LINES = 4
# So many times within so many pages: left and right pages may differ, and so may chapters.
_MIN_PAGES = 3
_WINDOW = 8
_MAX_CHARACTERS = 150
# Larger than the text of the body, a line is a title that happens to come again.
_MAX_SIZE = 1.15
# Room between a running line and the body, in type sizes.
_MIN_ROOM = 0.4
# Rows between rules touch each other, in points.
_TOUCHING = 0.1
# Pages may be numbered from any place, but with words beside it a number far from that of the page,
# or with a single word, counts something else: the invoices of a file, one on each page.
_MAX_SHIFT = 100
_WORDS = re.compile(r"[^\W\d_]+(?:\W+[^\W\d_]+)+")
# Of `Page 3`, `- 3 -`, `A-3`, `3 of 16`, `3/16` what stands beside the 3.
_BARE = re.compile(
    r"[\W_]*(?:[a-z]{1,2}|page|seite|p\u00e1gina|pagina)?[\W_]*"
    r"(?:(?:/|\b[^\W\d_]{1,3}\b)\W*\d{1,4}[\W_]*)?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\d.,])\d{1,4}(?![\d.,]\d)")
_ROMAN = re.compile(r"(?=[ivxlc])(xc|xl|l?x{0,3})(ix|iv|v?i{0,3})", re.IGNORECASE)
_ROMAN_DIGITS = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}


def without_running_lines(pages: Sequence[PageLines], body_size: float) -> list[list[Line]]:
    """Return the lines of each page without the running ones.

    Args:
        pages: all pages of a document, in order.
        body_size: the type size of most of its text, in points.
    """
    edges = [_edges(page) for page in pages]
    seen: defaultdict[_Key, list[int]] = defaultdict(list)
    for index, (top, bottom) in enumerate(edges):
        for key in {key for line in (*top, *bottom) for key in _keys(line, index)}:
            seen[key].append(index)
    repeated = {key: _often(at) for key, at in seen.items() if len(at) >= _MIN_PAGES}
    bodies = []
    for index, page in enumerate(pages):
        running: set[int] = set()
        for edge in edges[index]:
            flags = [
                line.size <= _MAX_SIZE * body_size
                and any(index in repeated.get(key, ()) for key in _keys(line, index))
                for line in edge
            ]
            running.update(map(id, edge[: _num_running(page.lines, edge, flags)]))
        bodies.append([line for line in page.lines if id(line) not in running])
    return bodies


def _edges(page: PageLines) -> tuple[list[Line], list[Line]]:
    """Return the lines near the top and near the bottom, the outermost first."""
    zone = _ZONE * (page.top - page.bottom)
    lines = [line for line in _candidates(page.lines) if len(line.text) <= _MAX_CHARACTERS]
    top = [line for line in lines if line.bottom > page.top - zone]
    bottom = [line for line in lines if line.top < page.bottom + zone]
    top.sort(key=lambda line: -line.top)
    bottom.sort(key=lambda line: line.bottom)
    return top[:_MAX_LINES], bottom[:_MAX_LINES]


def _candidates(lines: Sequence[Line]) -> Iterator[Line]:
    """Yield lines outside tables, and rows of a box of few rows with rules between them.

    Of other tables that go on over pages, the header may stand on each of them.
    """
    block: list[Line] = []
    for line, following in zip(lines, [*lines[1:], None], strict=False):
        block.append(line)
        if following and following.in_table and "\n" not in following.text and line.in_table:
            continue
        if not line.in_table or (1 < len(block) <= _MAX_LINES and _are_touching(block)):
            yield from block
        block = []


def _are_touching(rows: Sequence[Line]) -> bool:
    return all(abs(above.bottom - below.top) < _TOUCHING for above, below in pairwise(rows))


def _keys(line: Line, index: int) -> Iterator[_Key]:
    """Yield what two running lines have in common: the text, or that with the page number in it."""
    text = line.text.casefold()
    yield text, "", None
    for number in _NUMBER.finditer(text):
        before, after = text[: number.start()], text[number.end() :]
        shift = int(number.group()) - index
        beside = before + after
        is_near = abs(shift) <= _MAX_SHIFT and _WORDS.search(beside)
        if is_near or _BARE.fullmatch(beside):
            yield before, after, shift
    if _ROMAN.fullmatch(text):
        yield "roman", "", _roman(text) - index


def _roman(text: str) -> int:
    digits = [_ROMAN_DIGITS[letter] for letter in text]
    following = [*digits[1:], 0]
    return sum(
        -digit if digit < after else digit for digit, after in zip(digits, following, strict=True)
    )


def _often(indices: Sequence[int]) -> set[int]:
    """Return the pages on which a line is running."""
    return {
        index
        for start in range(len(indices) - _MIN_PAGES + 1)
        for index in indices[start : start + _MIN_PAGES]
        if indices[start + _MIN_PAGES - 1] - indices[start] < _WINDOW
    }


def _num_running(lines: Sequence[Line], edge: Sequence[Line], flags: Sequence[bool]) -> int:
    """Return how many of the outermost lines are running: those with room before the body."""
    most = next((at for at, is_running in enumerate(flags) if not is_running), len(flags))
    for count in range(most, 0, -1):
        inside = {id(line) for line in edge[:count]}
        rest = [line for line in lines if id(line) not in inside]
        if all(_room(line, edge[count - 1]) >= _MIN_ROOM * line.size for line in rest):
            return count
    return 0


def _room(line: Line, other: Line) -> float:
    return max(line.bottom - other.top, other.bottom - line.top)
