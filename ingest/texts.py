"""Canonical text: the one string of a document revision that every offset refers to."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Heading:
    """A section title: `start` to `end` in the canonical text; level 1 is the outermost."""

    start: int
    end: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class Place:
    """From `start` on the text stands where `label` says: `slide 4`, `sheet Prices, row 17`."""

    start: int
    label: str


def json_fields(record: "CanonicalText | Heading | Place") -> dict[str, Any]:
    """Return the fields of a record, for the argument `default` of `json.dumps`.

    `dataclasses.asdict` copies all within a record first: a large sheet has a place for each row.
    """
    return {name: getattr(record, name) for name in record.__slots__}


@dataclass(frozen=True, slots=True)
class CanonicalText:
    r"""The text of one document revision with its page, heading and place maps.

    Attributes:
        text: Unicode, line ends are `\n`.
        page_starts: offset where each page begins, page 1 first; empty for formats without pages.
        headings: in text order.
        unreadable_pages: numbers of pages that carry no text, from 1 (scans).
        places: in text order, for formats whose parts readers do not call pages.
        unreadable_reason: why pages or attachments are unreadable and what to do, in words.
        ocr_pages: numbers of the pages whose text comes from OCR, from 1.
        num_hidden_characters: left out of the text because no reader sees them.
        metadata: what the file says about itself: `title`, `author`, `subject`, `keywords`,
            `created` and `modified` (ISO 8601), each only if given.
    """

    text: str
    page_starts: tuple[int, ...] = ()
    headings: tuple[Heading, ...] = ()
    unreadable_pages: tuple[int, ...] = ()
    places: tuple[Place, ...] = ()
    unreadable_reason: str | None = None
    ocr_pages: tuple[int, ...] = ()
    num_hidden_characters: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "CanonicalText":
        """Return the text that `json_fields` was given."""
        return cls(
            text=fields["text"],
            page_starts=tuple(fields["page_starts"]),
            headings=tuple(Heading(**heading) for heading in fields["headings"]),
            unreadable_pages=tuple(fields["unreadable_pages"]),
            places=tuple(Place(**place) for place in fields["places"]),
            unreadable_reason=fields["unreadable_reason"],
            ocr_pages=tuple(fields["ocr_pages"]),
            num_hidden_characters=fields["num_hidden_characters"],
            metadata=fields["metadata"],
        )

    def page_at(self, offset: int) -> int | None:
        """Return the page number of a character, from 1, or None without pages.

        What stands behind the last page in places of its own, such as an attachment, is on none.
        """
        if not self.page_starts:
            return None
        if self.places and offset >= self.places[0].start > self.page_starts[-1]:
            return None
        return max(1, bisect_right(self.page_starts, offset))

    def place_at(self, offset: int) -> str | None:
        """Return where a character stands, such as `page 12`, or None when there is no telling."""
        after = bisect_right(self.places, offset, key=lambda place: place.start)
        if after:
            return self.places[after - 1].label
        page = self.page_at(offset)
        return None if page is None else f"page {page}"

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
