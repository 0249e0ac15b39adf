"""Builds a canonical text block by block, for formats that come as structure and not as text."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ingest.texts import CanonicalText, Heading, Place

BLOCK_SEPARATOR = "\n\n"
MAX_HEADING_LEVEL = 6
# Why parts were not read, one sentence for each; more than these nobody reads.
MAX_REASONS = 20


class TextBuilder:
    """Collects blocks; each is separated from the next by a blank line."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._headings: list[Heading] = []
        self._places: list[Place] = []
        self._page_starts: list[int] = []
        self._pending_places: list[str] = []
        self._pending_pages = 0
        self._unread: list[str] = []

    def begin_page(self) -> None:
        """Begin the next page; one that stays empty begins where the next text does."""
        self._pending_pages += 1

    def begin_place(self, label: str) -> None:
        """Name the place of what follows."""
        self._pending_places = [label]

    def heading(self, title: str, level: int) -> None:
        """Add a heading; white space in it collapses, an empty one is left out."""
        title = " ".join(title.split())
        if title:
            start = self.block(title)
            self._headings.append(
                Heading(start, start + len(title), min(level, MAX_HEADING_LEVEL), title)
            )

    def block(self, text: str, separator: str = BLOCK_SEPARATOR) -> int:
        """Add a block, of more than white space, and return where it begins."""
        text = text.strip("\n")
        if not text.strip():
            return self._length
        if self._parts:
            text = separator + text
        start = self._length + (len(separator) if self._parts else 0)
        self._parts.append(text)
        self._length += len(text)
        self._page_starts += [start] * self._pending_pages
        self._places += [Place(start, label) for label in self._pending_places]
        self._pending_pages, self._pending_places = 0, []
        return start

    def table(self, rows: Iterable[tuple[str | None, Sequence[str]]]) -> None:
        """Add a table as Markdown; its first row becomes the header.

        Args:
            rows: the place of each row, if it has one of its own, and its cells; rows without any
                text are left out.
        """
        separator = BLOCK_SEPARATOR
        for place, cells in rows:
            if any(cell.strip() for cell in cells):
                if place is not None:
                    self.begin_place(place)
                self.block(markdown_row(cells), separator)
                if separator == BLOCK_SEPARATOR:
                    self.block(markdown_row(["---"] * len(cells)), "\n")
                separator = "\n"

    def include(self, inner: CanonicalText, part: str = "", level: int = 0) -> None:
        """Add another text with its headings and places, and with what it says is not read.

        Args:
            inner: its pages are named, but do not become pages of this text.
            part: what it is, such as `attachment bees.pdf`; put in front of its places.
            level: added to the level of its headings.
        """
        if inner.unreadable_reason:
            self.add_unread(f"In {part or 'a part'}: {inner.unreadable_reason}")
        if not inner.text.strip():
            return
        text = inner.text.rstrip()
        first = len(text) - len(text.lstrip("\n"))
        shift = self.block(text) - first
        for heading in inner.headings:
            start, end = heading.start + shift, heading.end + shift
            moved = min(MAX_HEADING_LEVEL, heading.level + level)
            self._headings.append(replace(heading, start=start, end=end, level=moved))
        places = inner.places or tuple(
            Place(start, f"page {number}")
            for number, start in enumerate(inner.page_starts, start=1)
        )
        prefix = f"{part}, " if part else ""
        self._places += [Place(one.start + shift, f"{prefix}{one.label}") for one in places]

    def add_unread(self, reason: str) -> None:
        """Add a sentence about what is not read, and what to do."""
        self._unread.append(reason)

    def finish(self) -> CanonicalText:
        """Return what was built."""
        return CanonicalText(
            "".join(self._parts),
            page_starts=tuple([*self._page_starts, *[self._length] * self._pending_pages]),
            headings=tuple(self._headings),
            places=tuple(self._places),
            unreadable_reason=self._unreadable_reason(),
        )

    def _unreadable_reason(self) -> str | None:
        more = len(self._unread) - MAX_REASONS
        shown = self._unread[:MAX_REASONS] + ([f"And {more} more."] if more > 0 else [])
        return " ".join(shown) or None


def markdown_row(cells: Iterable[str]) -> str:
    """Return the cells on one line."""
    escaped = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
