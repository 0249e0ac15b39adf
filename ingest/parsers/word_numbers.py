"""The numbers that Word puts before paragraphs (ISO/IEC 29500-1, 17.9), such as `4.2` or `(b)`.

They are nowhere in the text of the file: each follows from the paragraphs before it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lxml import etree

from ingest.parsers.numerals import letters, roman
from ingest.parsers.word_styles import child_value, inherited, value_of

NUM_LEVELS = 9
_LIST, _LEVEL = "numPr/numId", "numPr/ilvl"
_GONE = ("del", "moveFrom", "vanish")
_UNNUMBERED = frozenset({"bullet", "none"})
_REFERENCE = re.compile("%([1-9])")


@dataclass(frozen=True, slots=True)
class _Level:
    """How one level of a list counts; `restart` is the lowest level that begins it anew, from 1."""

    format: str
    text: str
    start: int
    restart: int
    style: str
    is_legal: bool


@dataclass(slots=True)
class _Definition:
    """An abstract numbering: its levels, and how far they have counted by now."""

    levels: dict[int, _Level]
    style_link: str
    counts: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _List:
    """A numbering (`w:num`): a definition, levels of its own, and numbers that it begins with."""

    definition: str
    levels: Mapping[int, _Level]
    starts: dict[int, int]


class Numbering:
    """Counts the numbered paragraphs of a file, part by part."""

    def __init__(self, numbering: etree._Element, styles: etree._Element) -> None:
        """Read the definitions.

        Args:
            numbering: `w:numbering`.
            styles: `w:styles`.
        """
        self._definitions = {
            value_of(one, "abstractNumId"): _Definition(
                _levels(one), child_value(one, "numStyleLink")
            )
            for one in numbering.iterchildren("{*}abstractNum")
        }
        self._lists = {
            value_of(one, "numId"): _read_list(one) for one in numbering.iterchildren("{*}num")
        }
        self._list_of_style = inherited(
            styles, lambda one: child_value(one, f"pPr/{_LIST}") or None
        )
        self._level_of_style = inherited(
            styles, lambda one: child_value(one, f"pPr/{_LEVEL}") or None
        )

    def write(self, root: etree._Element) -> None:
        """Put its number before the text of each paragraph that has one."""
        for paragraph in root.iter("{*}p"):
            properties = paragraph.find("{*}pPr")
            if properties is None or _is_gone(properties):
                continue
            label = self._next_label(properties)
            # A number alone says something in a table only.
            is_cell = etree.QName(paragraph.getparent()).localname == "tc"
            if label and (is_cell or any(text.text for text in paragraph.iter("{*}t"))):
                word = etree.QName(root).namespace
                run = etree.Element(f"{{{word}}}r")
                etree.SubElement(run, f"{{{word}}}t").text = f"{label} "
                properties.addnext(run)

    def _next_label(self, properties: etree._Element) -> str:
        """Count a paragraph, and return its number; of a bullet, or without a list, nothing."""
        style = child_value(properties, "pStyle")
        # There is no list 0; it takes a paragraph out of the list of its style.
        found = self._lists.get(
            child_value(properties, _LIST) or self._list_of_style.get(style) or ""
        )
        definition = self._definition(found)
        if found is None or definition is None:
            return ""
        levels = {**definition.levels, **found.levels}
        linked = (str(number) for number, one in levels.items() if style and one.style == style)
        named = child_value(properties, _LEVEL) or next(linked, self._level_of_style.get(style))
        level = _number(named or "", 0)
        if level not in levels:
            return ""
        _count(definition.counts, level, levels, found.starts)
        return _label(levels[level], definition.counts, levels)

    def _definition(self, found: _List | None) -> _Definition | None:
        definition = None if found is None else self._definitions.get(found.definition)
        if definition is None or not definition.style_link:
            return definition
        linked = self._lists.get(self._list_of_style.get(definition.style_link) or "")
        return None if linked is None else self._definitions.get(linked.definition)


def _is_gone(properties: etree._Element) -> bool:
    """Whether a paragraph was deleted, moved away or hidden, so that it is not counted."""
    return any(properties.find(f"{{*}}rPr/{{*}}{mark}") is not None for mark in _GONE)


def _number(text: str, default: int) -> int:
    return int(text) if text.isdecimal() else default


def _read_list(one: etree._Element) -> _List:
    levels: dict[int, _Level] = {}
    starts: dict[int, int] = {}
    for override in one.iterchildren("{*}lvlOverride"):
        levels |= _levels(override)
        if start := child_value(override, "startOverride"):
            starts[_number(value_of(override, "ilvl"), 0)] = _number(start, 1)
    return _List(child_value(one, "abstractNumId"), levels, starts)


def _levels(parent: etree._Element) -> dict[int, _Level]:
    return {
        number: _Level(
            # Formats that Word 2007 does not know stand within alternatives.
            format=next((value_of(one, "val") for one in level.iter("{*}numFmt")), "decimal"),
            text=child_value(level, "lvlText"),
            start=_number(child_value(level, "start"), 1),
            restart=_number(child_value(level, "lvlRestart"), number),
            style=child_value(level, "pStyle"),
            is_legal=level.find("{*}isLgl") is not None,
        )
        for level in parent.iterchildren("{*}lvl")
        if (number := _number(value_of(level, "ilvl"), 0)) < NUM_LEVELS
    }


def _count(
    counts: dict[int, int], level: int, levels: Mapping[int, _Level], starts: dict[int, int]
) -> None:
    """Count a paragraph; lists of one definition count on, unless one has its own first number."""
    if (start := starts.pop(level, None)) is not None:
        counts[level] = start
    else:
        counts[level] = counts[level] + 1 if level in counts else levels[level].start
    for deeper in [one for one in counts if one > level]:
        # A list beside this one may have a level that this one lacks.
        if deeper not in levels or level < levels[deeper].restart:
            del counts[deeper]


def _label(own: _Level, counts: Mapping[int, int], levels: Mapping[int, _Level]) -> str:
    if own.format in _UNNUMBERED:
        return ""

    def shown(reference: re.Match[str]) -> str:
        number = int(reference[1]) - 1
        if number not in levels:
            return ""
        level = levels[number]
        # Of a level that was left out, Word shows the first number.
        return _format(counts.get(number, level.start), "decimal" if own.is_legal else level.format)

    return _REFERENCE.sub(shown, own.text).strip()


def _format(number: int, kind: str) -> str:
    """Return a number as Word writes it; in the many formats of other scripts, in digits."""
    if kind in _UNNUMBERED:
        return ""
    if kind == "decimalZero":
        return f"{number:02}"
    if number > 0 and kind in {"lowerLetter", "upperLetter"}:
        return letters(number).upper() if kind == "upperLetter" else letters(number)
    if number > 0 and kind in {"lowerRoman", "upperRoman"}:
        return roman(number).upper() if kind == "upperRoman" else roman(number)
    return str(number)
