"""PDF outlines: bookmarks become headings where their title stands on the page."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import islice

from pypdfium2 import PdfDocument, PdfiumError

from ingest.parsers.builder import BLOCK_SEPARATOR
from ingest.parsers.cleaning import clean
from ingest.texts import Heading

# What may stand before a title on its line: `2.1 `, `A. `, `Chapter 3: `.
_NUMBERING = re.compile(r"(?:(?:\w+ )?[\dIVXLC]+(?:[.-]\d+)*|[A-Z])?\W*")
_MAX_NUMBERING_CHARACTERS = 20
_MAX_OCCURRENCES = 50
_MAX_ENTRIES = 20_000


def read_outline(document: PdfDocument) -> list[tuple[int, int, str]]:
    """Return (level from 1, page index from 0, title) in outline order.

    An outline that is damaged ends early: it only adds headings, the text is complete without it.
    """
    entries: list[tuple[int, int, str]] = []
    try:
        for bookmark in islice(document.get_toc(), _MAX_ENTRIES):
            destination = bookmark.get_dest()
            page = destination.get_index() if destination else None
            title = clean(bookmark.get_title())
            if page is not None and 0 <= page < len(document) and title:
                entries.append((bookmark.level + 1, page, title))
    except (PdfiumError, ValueError):
        pass
    return entries


def locate_headings(
    outline: Sequence[tuple[int, int, str]], texts: Sequence[str], page_starts: Sequence[int]
) -> tuple[Heading, ...]:
    """Return the outline entries whose title is found on their page, in text order.

    Letter case and white space do not matter. The title must begin or end a line, so that a word
    of running text is not taken for a heading.

    Args:
        outline: as `read_outline` yields it.
        texts: the text of each page.
        page_starts: the offset of each page in the canonical text.
    """
    headings: dict[int, Heading] = {}
    pages: dict[int, _FoldedPage] = {}
    for level, page, title in outline:
        if page not in pages:
            pages[page] = _FoldedPage(texts[page])
        span = pages[page].find(title)
        if span:
            start, end = page_starts[page] + span[0], page_starts[page] + span[1]
            headings.setdefault(start, Heading(start, end, level, " ".join(title.split())))
    return tuple(heading for _, heading in sorted(headings.items()))


def set_apart(
    texts: Sequence[str], headings: Sequence[Heading], page_starts: Sequence[int]
) -> list[str]:
    """Return the texts of the pages with a blank line before and behind each heading.

    A heading in a line with more than its number stays where it is.

    Args:
        texts: the text of each page.
        headings: as `locate_headings` returns them.
        page_starts: the offset of each page in the canonical text.
    """
    apart = list(texts)
    for heading in reversed(headings):
        page = bisect_right(page_starts, heading.start) - 1
        start, end = (offset - page_starts[page] for offset in (heading.start, heading.end))
        apart[page] = _set_apart(apart[page], start, end)
    return apart


def _set_apart(text: str, start: int, end: int) -> str:
    line_start, line_end = _line_around(text, start, end)
    if text[end:line_end].strip() or not _NUMBERING.fullmatch(text, line_start, start):
        return text
    parts = (
        text[:line_start].rstrip("\n"),
        text[line_start:line_end],
        text[line_end:].lstrip("\n"),
    )
    return BLOCK_SEPARATOR.join(filter(None, parts))


def _line_around(text: str, start: int, end: int) -> tuple[int, int]:
    """Return from where to where the lines go that a span begins and ends in."""
    line_end = text.find("\n", end)
    return text.rfind("\n", 0, start) + 1, line_end if line_end >= 0 else len(text)


class _FoldedPage:
    """A page without white space and letter case, searched from top to bottom."""

    def __init__(self, text: str) -> None:
        self._text = text
        folded = [(index, letter) for index, c in enumerate(text) for letter in _fold(c)]
        self._offsets = [index for index, _ in folded]
        self._letters = "".join(letter for _, letter in folded)
        self._cursor = 0

    def find(self, title: str) -> tuple[int, int] | None:
        """Return the best span of the title, preferring what follows the last title found."""
        needle = "".join(_fold(title))
        if not needle:
            return None
        spans = self._spans(needle, self._cursor) or self._spans(needle, 0)
        if not spans:
            return None
        _, start, position = min(spans)
        self._cursor = position + len(needle)
        return start, self._offsets[self._cursor - 1] + 1

    def _spans(self, needle: str, cursor: int) -> list[tuple[int, int, int]]:
        spans = []
        for _ in range(_MAX_OCCURRENCES):
            position = self._letters.find(needle, cursor)
            if position < 0:
                break
            cursor = position + 1
            start = self._offsets[position]
            strangeness = self._strangeness(start, self._offsets[position + len(needle) - 1] + 1)
            if strangeness is not None:
                spans.append((strangeness, start, position))
        return spans

    def _strangeness(self, start: int, end: int) -> int | None:
        line_start, line_end = _line_around(self._text, start, end)
        begins_line = (
            start - line_start <= _MAX_NUMBERING_CHARACTERS
            and _NUMBERING.fullmatch(self._text, line_start, start) is not None
        )
        ends_line = not self._text[end:line_end].strip()
        return {2: 0, 1: 1}.get(begins_line + ends_line)


def _fold(text: str) -> str:
    return "".join(text.split()).casefold()
