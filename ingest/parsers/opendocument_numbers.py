"""The numbers that OpenDocument texts show before headings and items (ODF 1.3, 5.3 and 16.30).

They are nowhere in the text of the file: each follows from what stands before it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lxml import etree

from ingest.parsers.numerals import letters, roman

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
_ID = "{http://www.w3.org/XML/1998/namespace}id"
_LEVELS = range(1, 11)
_NUMERALS = {"a": letters, "i": roman}


@dataclass(frozen=True, slots=True)
class _Level:
    """How one level counts, and of how many levels its label shows the numbers."""

    format: str
    prefix: str
    suffix: str
    num_shown: int
    start: int


_Levels = Mapping[int, _Level]
_Counts = dict[int, int]


@dataclass(frozen=True, slots=True)
class ListPlace:
    """One level of an open list, from 1, with how far each level has counted by now."""

    numbering: "Numbering"
    levels: _Levels
    counts: _Counts
    level: int = 1

    def inner(self, element: etree._Element) -> "ListPlace":
        """Return that of a list within an item."""
        levels = self.numbering.levels_of(element) or self.levels
        return ListPlace(self.numbering, levels, self.counts, self.level + 1)

    def next_label(self, item: etree._Element) -> str:
        """Count an item, and return its number; of a bullet, nothing."""
        if item.tag != f"{_TEXT}list-item":  # a header has none
            return ""
        return _next_label(self.levels, self.counts, self.level, item.get(f"{_TEXT}start-value"))


@dataclass(slots=True)
class Numbering:
    """Counts the headings and lists of a text, in order."""

    lists: Mapping[str, _Levels]
    outline: _Levels
    unnumbered: frozenset[str]
    _outline_counts: _Counts = field(default_factory=dict)
    _counts_of_lists: dict[str, _Counts] = field(default_factory=dict)

    @classmethod
    def read(cls, parts: Iterable[etree._Element]) -> "Numbering":
        """Return that of the styles in parts of a file."""
        roots = list(parts)
        return cls(
            lists={
                one.get(f"{_STYLE}name", ""): _levels(one)
                for root in roots
                for one in root.iter(f"{_TEXT}list-style")
            },
            outline={
                level: one
                for root in roots
                for outline in root.iter(f"{_TEXT}outline-style")
                for level, one in _levels(outline).items()
            },
            unnumbered=frozenset(
                one.get(f"{_STYLE}name", "")
                for root in roots
                for one in root.iter(f"{_STYLE}style")
                if one.get(f"{_STYLE}list-style-name") == ""
            ),
        )

    def open(self, element: etree._Element) -> ListPlace:
        """Return the place at the beginning of a list that is within no other."""
        style = element.get(f"{_TEXT}style-name", "")
        continued = element.get(f"{_TEXT}continue-list", "")
        if element.get(f"{_TEXT}continue-numbering") == "true":
            continued = continued or style
        counts = self._counts_of_lists.get(continued, {}) if continued else {}
        # By its style the next one continues the last; identifiers are never equal to styles.
        for name in (style, element.get(_ID, "")):
            self._counts_of_lists[name] = counts
        return ListPlace(self, self.levels_of(element), counts)

    def levels_of(self, element: etree._Element) -> _Levels:
        """Return the levels of the style that a list names."""
        return self.lists.get(element.get(f"{_TEXT}style-name", ""), {})

    def heading_label(self, heading: etree._Element, level: int) -> str:
        """Count a heading that is in no list, and return its number."""
        if (
            heading.get(f"{_TEXT}is-list-header") == "true"
            or heading.get(f"{_TEXT}style-name") in self.unnumbered
        ):
            return ""
        start = heading.get(f"{_TEXT}start-value")
        if heading.get(f"{_TEXT}restart-numbering") == "true":
            self._outline_counts.pop(level, None)
        return _next_label(self.outline, self._outline_counts, level, start)


def _levels(style: etree._Element) -> dict[int, _Level]:
    return {
        level: _Level(
            # Bullets and pictures have no format.
            format=one.get(f"{_STYLE}num-format", ""),
            prefix=one.get(f"{_STYLE}num-prefix", ""),
            suffix=one.get(f"{_STYLE}num-suffix", ""),
            num_shown=_number(one.get(f"{_TEXT}display-levels"), 1),
            start=_number(one.get(f"{_TEXT}start-value"), 1),
        )
        for one in style.iterchildren("*")
        if (level := _number(one.get(f"{_TEXT}level"), 0)) in _LEVELS
    }


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() else default


def _next_label(levels: _Levels, counts: _Counts, level: int, start: str | None) -> str:
    own = levels.get(level)
    if own is None:
        return ""
    counts[level] = _number(start, counts.get(level, own.start - 1) + 1)
    for deeper in [one for one in counts if one > level]:
        del counts[deeper]
    if not own.format:
        return ""
    shown = [
        _formatted(counts.get(one, levels[one].start), levels[one].format)
        for one in range(max(1, level - own.num_shown + 1), level + 1)
        if one in levels and levels[one].format
    ]
    return f"{own.prefix}{'.'.join(shown)}{own.suffix}".strip()


def _formatted(number: int, kind: str) -> str:
    write = _NUMERALS.get(kind.lower())
    if write is None or number < 1:
        return str(number)
    return write(number) if kind.islower() else write(number).upper()
