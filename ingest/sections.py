"""Sections: the stretches of a text between its headings, with the titles above each."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from ingest.texts import CanonicalText, Heading
from retrieval.chunks import Chunk
from retrieval.sentence_ranking import HeadsIn, SectionHead


@dataclass(frozen=True, slots=True)
class Section:
    """The text from one heading to the next.

    Attributes:
        start: first character of the heading, or 0 before the first heading.
        end: one past the last character, the start of the next section.
        body_start: first character after the heading that is not white space; `end` when there is
            nothing but the heading.
        path: the headings around the section and its own, outermost first.
    """

    start: int
    end: int
    body_start: int
    path: tuple[Heading, ...]

    @property
    def is_bare(self) -> bool:
        """Whether the section is a heading without text."""
        return self.body_start >= self.end

    @property
    def titles(self) -> tuple[str, ...]:
        """The titles of the path; equal to `CanonicalText.heading_path(start)`."""
        return tuple(heading.title for heading in self.path)

    def shares_parent(self, other: "Section") -> bool:
        """Tell whether a later section lies within the section around this one."""
        parent = self.path[:-1]
        return other.path[: len(parent)] == parent


class Sections:
    """The sections of one text."""

    def __init__(self, text: CanonicalText) -> None:
        self.all = sections_of(text)
        self._starts = [section.start for section in self.all]

    def at(self, offset: int) -> Section:
        """Return the section around a character."""
        return self.all[bisect_right(self._starts, offset) - 1]

    def heads(self, start: int, end: int) -> list[SectionHead]:
        """Return the heads of the sections that begin between two offsets; not of one without."""
        first, last = bisect_left(self._starts, start), bisect_left(self._starts, end)
        return [
            SectionHead(one.start, one.path[-1].end, one.titles)
            for one in self.all[first:last]
            if one.path
        ]


def make_heads_in(text_of: Callable[[str, str], CanonicalText | None]) -> HeadsIn:
    """Return what tells which sections begin in a chunk.

    Args:
        text_of: gives the text of a document's revision, or None where it is not kept; called once
            for each.
    """

    @cache
    def sections(document_id: str, revision: str) -> Sections | None:
        text = text_of(document_id, revision)
        return None if text is None else Sections(text)

    def heads_in(chunk: Chunk) -> list[SectionHead]:
        found = sections(chunk.document_id, chunk.revision)
        return [] if found is None else found.heads(chunk.start, chunk.end)

    return heads_in


def sections_of(text: CanonicalText) -> list[Section]:
    """Return the sections in text order; they cover the text without gaps."""
    starts = [heading.start for heading in text.headings]
    paths = list(_paths(text.headings))
    bodies = [_skip_space(text.text, heading.end) for heading in text.headings]
    if not starts or starts[0] > 0:
        starts, paths, bodies = [0, *starts], [(), *paths], [_skip_space(text.text, 0), *bodies]
    ends = [*starts[1:], len(text.text)]
    return [Section(*fields) for fields in zip(starts, ends, bodies, paths, strict=True)]


def _paths(headings: tuple[Heading, ...]) -> Iterator[tuple[Heading, ...]]:
    path: tuple[Heading, ...] = ()
    for heading in headings:
        path = (*(outer for outer in path if outer.level < heading.level), heading)
        yield path


def _skip_space(text: str, offset: int) -> int:
    while offset < len(text) and text[offset].isspace():
        offset += 1
    return offset
