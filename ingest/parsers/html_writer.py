"""Writes the elements of a page, one after the other, as blocks of canonical text."""

import re

from lxml.html import HtmlElement

from ingest.parsers.builder import BLOCK_SEPARATOR
from ingest.parsers.html_table import HtmlTable, is_layout_table, put_inner_tables_in_line
from ingest.parsers.numerals import letters, roman
from ingest.texts import CanonicalText, Heading


def tag_set(names: str) -> frozenset[str]:
    """Return the element names of a line of words."""
    return frozenset(names.split())


_LISTS = frozenset({"ul", "ol", "menu", "dir"})
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
# Class of lists whose items begin with their numbers.
OWN_NUMBERS = "own-numbers-of-word"
_CELLS = frozenset({"td", "th"})
_SECTIONS = frozenset({"thead", "tbody", "tfoot"})
_BLOCKS = HEADINGS | tag_set(
    "address article aside blockquote body caption center dd details div dl dt fieldset figcaption "
    "figure footer form header hr html legend li main nav p pre search section summary table tbody "
    "tfoot thead tr"
)
# What stands between a number and one that is raised or lowered behind it: 10^6 is not 106.
_SHIFTED = {"sup": "^", "sub": "_"}
# The same for parts of formulas (MathML), each behind the one before.
_FORMULAS = {"mfrac": "/", "msup": "^", "msub": "_", "msubsup": "_^"}
_NUMBER = re.compile(r"[-+\u2212]?[0-9]")
_NUMBER_ENDS = frozenset("0123456789)")
# By the type of a list, in small letters and capitals.
_NUMERALS = {"a": letters, "i": roman}
_BULLET = "- "
_WHITE_SPACE = re.compile(r"[ \t\n\r\f]+")
_AROUND_BREAK = re.compile(r" *\n *")
_SPACES = re.compile(r"  +")
_BREAKS = re.compile(r"\n{2,}")


class HtmlWriter:
    """Collects inline text until a block ends, then writes the block."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._headings: list[Heading] = []
        self._inline: list[str] = []
        self._shift = ""
        self._preformatted = 0
        # One for each open list: the next number, or what stands before every item.
        self._lists: list[int | str] = []
        self._item_mark = ""
        self._wrote_item = False
        self._tables: list[HtmlTable | None] = []

    def open(self, element: HtmlElement) -> None:
        """Begin an element and write its first text."""
        tag = element.tag
        if tag == "br":
            self._inline.append("\n")
        elif tag in _SHIFTED:
            self._shift = _SHIFTED[tag]
        elif tag in _CELLS and self._table:
            self._write_stray_text()
        elif tag in _BLOCKS or tag in _LISTS or tag in _CELLS:
            self._end_block()
            self._open_block(element)
        elif (sign := _sign_before(element)) or _is_group(element):
            self._inline.append(sign + "(" * _is_group(element))
        self.write(element.text)

    def close(self, element: HtmlElement) -> None:
        """End an element."""
        tag = element.tag
        self._shift = ""
        if tag in _CELLS and self._table:
            self._table.add_cell(element, self._take_inline())
        elif tag in HEADINGS and not self._table:
            self._write_heading(int(tag[1]))
        elif tag in _BLOCKS or tag in _LISTS or tag in _CELLS:
            self._end_block()
            self._close_block(element)
        elif _is_group(element):
            self._inline.append(")")

    def skip(self, element: HtmlElement) -> None:
        """Leave an element out, but keep the blocks around it apart and what follows it."""
        if element.tag in _BLOCKS:
            self._end_block()
        self.write(element.tail)

    def write(self, text: str | None) -> None:
        """Add text; white space collapses outside of `pre`."""
        if text:
            if self._shift and self._ends_with_number() and _NUMBER.match(text):
                self._inline.append(self._shift)
            self._shift = ""
            self._inline.append(text if self._preformatted else _WHITE_SPACE.sub(" ", text))

    def finish(self) -> CanonicalText:
        """Return what was written."""
        self._end_block()
        return CanonicalText("".join(self._parts), headings=tuple(self._headings))

    @property
    def _table(self) -> HtmlTable | None:
        return self._tables[-1] if self._tables else None

    def _ends_with_number(self) -> bool:
        return bool(self._inline) and self._inline[-1][-1] in _NUMBER_ENDS

    def _open_block(self, element: HtmlElement) -> None:
        tag = element.tag
        if tag == "pre":
            self._preformatted += 1
        elif tag in _LISTS:
            self._lists.append(_first_mark(element))
        elif tag == "li":
            self._item_mark = self._next_item_mark(element)
        elif tag == "table":
            is_layout = is_layout_table(element)
            if not is_layout:
                put_inner_tables_in_line(element)
            self._tables.append(None if is_layout else HtmlTable())

    def _close_block(self, element: HtmlElement) -> None:
        tag = element.tag
        if tag == "pre":
            self._preformatted -= 1
        elif tag in _LISTS:
            self._lists.pop()
            self._wrote_item = self._wrote_item and bool(self._lists)
        elif tag == "li":
            self._item_mark = ""
        elif tag == "tr" and self._table:
            self._table.end_row()
        elif tag in _SECTIONS and self._table:
            self._table.end_section()
        elif tag == "table":
            self._write_stray_text()
            table = self._tables.pop()
            self._write_block(table.markdown() if table else "")

    def _next_item_mark(self, item: HtmlElement) -> str:
        mark = self._lists[-1] if self._lists else _BULLET
        indent = "  " * (len(self._lists) - 1)
        if isinstance(mark, str):
            return indent + mark
        number = _number(item.get("value"), mark)
        self._lists[-1] = number + 1
        return f"{indent}{_as_shown(number, item.getparent())}. "

    def _take_inline(self) -> str:
        text = "".join(self._inline)
        self._inline.clear()
        return text

    def _write_stray_text(self) -> None:
        """Write the caption and whatever else stands in a table outside of its cells."""
        self._write_block(" ".join(self._take_inline().split()))

    def _end_block(self) -> None:
        if self._table:
            self._inline.append(" ")
            return
        text = self._take_inline()
        if self._preformatted:
            self._write_block(text.strip("\n") if text.strip() else "")
        else:
            text = _SPACES.sub(" ", _AROUND_BREAK.sub("\n", text))
            self._write_block(_BREAKS.sub("\n", text).strip())

    def _write_heading(self, level: int) -> None:
        title = " ".join(self._take_inline().split())
        if title:
            end = self._write_block(title)
            self._headings.append(Heading(end - len(title), end, level, title))

    def _write_block(self, text: str) -> int:
        if text:
            # The items of a list stand on consecutive lines.
            separator = "\n" if self._lists and self._wrote_item else BLOCK_SEPARATOR
            block = (separator if self._parts else "") + self._item_mark + text
            self._parts.append(block)
            self._length += len(block)
            self._item_mark = ""
            self._wrote_item = bool(self._lists)
        return self._length


def _first_mark(element: HtmlElement) -> int | str:
    if element.tag != "ol":
        return _BULLET
    if element.get("class") == OWN_NUMBERS:
        return ""
    return _number(element.get("start"), 1)


def _as_shown(number: int, items: HtmlElement) -> str:
    kind = items.get("type", "")
    if number == 0 or kind.lower() not in _NUMERALS:
        return str(number)
    shown = _NUMERALS[kind.lower()](number)
    return shown if kind.islower() else shown.upper()


def _number(text: str | None, default: int) -> int:
    return int(text) if text and re.fullmatch(r"[0-9]{1,6}", text) else default


def _is_group(element: HtmlElement) -> bool:
    """Whether a part of a formula needs parentheses when it is written on one line."""
    parent = element.getparent()
    return element.tag == "mrow" and len(element) > 1 and parent.tag in _FORMULAS


def _sign_before(element: HtmlElement) -> str:
    """Return what stands before a part of a formula: `/` before what a fraction divides by."""
    parent, previous = element.getparent(), element.getprevious()
    signs = "" if parent is None else _FORMULAS.get(parent.tag, "")
    if not signs or previous is None:
        return ""
    return signs[0] if previous.getprevious() is None else signs[1:]
