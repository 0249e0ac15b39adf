"""Canonical text: the one string of a document revision that every offset refers to."""

from bisect import bisect_right
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heading:
    """A section title: `start` to `end` in the canonical text; level 1 is the outermost."""

    start: int
    end: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class CanonicalText:
    r"""The text of one document revision with its page and heading maps.

    Attributes:
        text: Unicode, line ends are `\n`.
        page_starts: offset where each page begins, page 1 first; empty for formats without pages.
        headings: in text order.
        unreadable_pages: numbers of pages that carry no text, from 1 (scans).
    """

    text: str
    page_starts: tuple[int, ...] = ()
    headings: tuple[Heading, ...] = ()
    unreadable_pages: tuple[int, ...] = ()

    def page_at(self, offset: int) -> int | None:
        """Return the page number of a character, from 1, or None without pages."""
        if not self.page_starts:
            return None
        return max(1, bisect_right(self.page_starts, offset))

    def heading_path(self, offset: int) -> tuple[str, ...]:
        """Return the titles of the sections that contain a character, outermost first."""
        path: list[Heading] = []
        for heading in self.headings:
            if heading.start > offset:
                break
            while path and path[-1].level >= heading.level:
                path.pop()
            path.append(heading)
        return tuple(heading.title for heading in path)
