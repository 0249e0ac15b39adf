"""Rich text (RTF): headings, paragraphs, lists, tables and notes, by its control words.

The format is Microsoft's Rich Text Format Specification 1.9.1. No library that reads its structure
is maintained.
"""

import re
import sys
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from itertools import chain

from ingest.parsers.builder import BLOCK_SEPARATOR, TextBuilder
from ingest.parsers.rtf_fonts import Fonts
from ingest.parsers.rtf_styles import Styles
from ingest.parsers.rtf_table import RtfTable
from ingest.parsers.rtf_tokens import Token, tokens
from ingest.texts import CanonicalText


class _Target(Enum):
    """Where the text of a group goes."""

    BODY = auto()
    NOWHERE = auto()
    FONTS = auto()
    STYLES = auto()
    LIST_MARK = auto()
    NESTED_ROW = auto()
    NOTE = auto()
    BOX = auto()


_TARGETS = {
    "fonttbl": _Target.FONTS,
    "stylesheet": _Target.STYLES,
    "listtext": _Target.LIST_MARK,
    "pntext": _Target.LIST_MARK,
    "nesttableprops": _Target.NESTED_ROW,
    "footnote": _Target.NOTE,
    "shptxt": _Target.BOX,
    "dptxbxtext": _Target.BOX,
}
# Comments, links, headers and footers, pictures, properties of shapes, entries of indexes.
_LEFT_OUT = re.compile(
    r"annotation|atn[a-z]+|atrf[a-z]+|bkmk[a-z]+|colortbl|comment|datafield|fldinst|fldtype"
    r"|footer[flr]?|formfield|ftn(?:cn|sepc?)|header[flr]?|info|list(?:override)?table"
    r"|nonesttables|nonshppict|objdata|pict|private|revtbl|shprslt|s[npv]"
    r"|[rt]?xe|tc"
)
# Of the groups that readers may skip, those that hold text boxes.
_HOLDERS = frozenset({"shpinst", "shpgrp", "do"})
_CHARACTERS = {
    "tab": "\t",
    "line": "\n",
    "softline": "\n",
    "column": "\n",
    "emdash": "\u2014",
    "endash": "\u2013",
    "emspace": "\u2003",
    "enspace": "\u2002",
    "qmspace": "\u2005",
    "bullet": "\u2022",
    "lquote": "\u2018",
    "rquote": "\u2019",
    "ldblquote": "\u201c",
    "rdblquote": "\u201d",
    "zwj": "\u200d",
    "zwnj": "\u200c",
    "~": "\xa0",
    "_": "\u2011",
    "-": "",  # where a word may be broken
}
_PARAGRAPH_ENDS = frozenset({"par", "sect", "page", "\r", "\n"})
_TABLE_WORDS = frozenset({"trowd", "cellx", "cell", "row", "nestcell", "nestrow"})
_NUM_OUTLINE_LEVELS = 9
_MAX_LIST_LEVEL = 8
# Other marks are bullets, many of them letters of a font of symbols.
_NUMBER = re.compile(r"\(?(?:\d[\w.]*[.):]?|\w{1,8}[.):])")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NUM_CODE_UNITS = 1 << 16


@dataclass(slots=True)
class _Paragraph:
    """Properties of a paragraph; levels from 0."""

    style: int = 0
    outline_level: int | None = None
    list_number: int = 0
    list_level: int = 0
    is_in_table: bool = False
    is_in_nested_table: bool = False

    def set_property(self, word: str, number: int) -> None:
        match word:
            case "s":
                self.style = number
            case "outlinelevel":
                self.outline_level = number
            case "ls":
                self.list_number = number
            case "ilvl":
                self.list_level = max(0, min(number, _MAX_LIST_LEVEL))
            case "intbl":
                self.is_in_table = True
            case "itap":
                self.is_in_nested_table = number > 1


@dataclass(slots=True)
class _Group:
    """What holds until the closing brace."""

    target: _Target = _Target.BODY
    font: int | None = None
    num_replacements: int = 1
    is_hidden: bool = False
    is_deleted: bool = False
    paragraph: _Paragraph = field(default_factory=_Paragraph)
    is_optional: bool = False

    def inner(self) -> "_Group":
        """Return what holds at the beginning of a group within."""
        # `copy` and `replace` take seven times as long, and some files have a group for each word.
        one = self.paragraph
        paragraph = _Paragraph(
            one.style,
            one.outline_level,
            one.list_number,
            one.list_level,
            one.is_in_table,
            one.is_in_nested_table,
        )
        return _Group(
            self.target,
            self.font,
            self.num_replacements,
            self.is_hidden,
            self.is_deleted,
            paragraph,
        )

    def set_property(self, word: str, number: int | None) -> None:
        match word:
            case "pard":
                self.paragraph = _Paragraph()
            case "plain":
                self.font, self.is_hidden, self.is_deleted = None, False, False
            case "f":
                self.font = number
            case "v":
                self.is_hidden = number != 0
            case "deleted":
                self.is_deleted = number != 0
            case "uc":
                self.num_replacements = max(0, 1 if number is None else number)
            case _:
                self.paragraph.set_property(word, number or 0)


def parse_rtf(data: bytes) -> CanonicalText:
    """Return the text of the body with headings, lists, tables, notes and text boxes.

    Running headers and footers, comments, deleted text and pictures are left out; hidden text is
    counted. Broken files are read as far as they go.
    """
    reader = _Reader()
    for token in tokens(data):
        if reader.read(token):
            break
    return reader.finish()


class _Reader:
    """Follows the control words and writes a paragraph when it ends."""

    def __init__(self) -> None:
        self._builder = TextBuilder()
        self._fonts = Fonts()
        self._styles = Styles()
        self._table = RtfTable()
        self._nested_table = RtfTable()
        self._group = _Group()
        self._outer: list[_Group] = []
        # The text of the paragraph, and of the note or box in it that is open.
        self._texts: list[list[str]] = [[]]
        self._bytes = bytearray()
        self._list_mark: list[str] = []
        self._num_to_skip = 0
        self._num_hidden = 0
        self._was_item = False

    def read(self, token: Token) -> bool:
        """Take a token; return whether the document ends with it."""
        if not token.word:
            self._add_bytes(token.data)
            return False
        if token.word in _CHARACTERS or token.word == "u":
            self._add_character(token)
            return False
        self._num_to_skip = 0
        self._end_bytes()
        if token.word == "{":
            self._outer.append(self._group)
            self._group = self._group.inner()
        elif token.word == "}":
            self._close_group()
            return not self._outer
        elif self._group.target is not _Target.NOWHERE:
            self._read_word(token.word, token.number)
        return False

    def finish(self) -> CanonicalText:
        """Return what was read."""
        self._end_bytes()
        self._texts = [list(chain(*self._texts))]  # notes without an end
        self._end_paragraph()
        self._write_tables()
        return replace(self._builder.finish(), num_hidden_characters=self._num_hidden)

    def _read_word(self, word: str, number: int | None) -> None:
        group = self._group
        if word in _TARGETS:
            self._enter(_TARGETS[word])
        elif _LEFT_OUT.fullmatch(word) or (group.is_optional and word not in _HOLDERS):
            group.target = _Target.NOWHERE
        elif group.target is _Target.FONTS:
            self._fonts.read_table_word(word, number)
        elif group.target is _Target.STYLES:
            self._styles.read_word(word, number)
        elif word in _PARAGRAPH_ENDS:
            self._end_paragraph()
        elif word in _TABLE_WORDS:
            self._read_table_word(word, number)
        else:
            self._fonts.read_file_word(word, number)
            group.set_property(word, number)
        group.is_optional = word == "*"

    def _enter(self, target: _Target) -> None:
        if target is self._group.target:
            return
        self._group.target = target
        if target in (_Target.NOTE, _Target.BOX):
            self._texts.append([])
        elif target is _Target.LIST_MARK:
            self._list_mark = []

    def _close_group(self) -> None:
        closed = self._group
        if not self._outer:
            return
        self._group = self._outer.pop()
        if closed.target is _Target.STYLES:
            self._styles.end_style()
        elif closed.target is not self._group.target and len(self._texts) > 1:
            if closed.target is _Target.NOTE:
                note = " ".join(_joined(self._texts.pop()).split())
                self._texts[-1].append(f" ({note})" if note else "")
            elif closed.target is _Target.BOX:
                self._builder.block(_joined(self._texts.pop()).strip())
                self._was_item = False

    def _add_bytes(self, data: bytes) -> None:
        skipped = min(self._num_to_skip, len(data))
        self._num_to_skip -= skipped
        self._bytes += data[skipped:]

    def _end_bytes(self) -> None:
        """Decode bytes all at once: a character may have several, written in different ways."""
        if self._bytes:
            data, self._bytes = bytes(self._bytes), bytearray()
            self._add_text(self._fonts.decode(data, self._group.font))

    def _add_character(self, token: Token) -> None:
        if self._num_to_skip and token.word != "u":
            self._num_to_skip -= 1
            return
        self._end_bytes()
        if token.word != "u":
            self._add_text(_CHARACTERS[token.word])
            return
        # Numbers are signed and of 16 bits; some programs write whole code points.
        code = (token.number or 0) + _NUM_CODE_UNITS * ((token.number or 0) < 0)
        is_known = 0 <= code <= sys.maxunicode
        self._add_text(self._fonts.character(code, self._group.font) if is_known else "\ufffd")
        self._num_to_skip = self._group.num_replacements

    def _add_text(self, text: str) -> None:
        group = self._group
        if group.target is _Target.STYLES:
            self._styles.add_name(text)
        elif group.target is _Target.LIST_MARK:
            self._list_mark.append(text)
        elif group.target is _Target.FONTS:
            self._fonts.add_name(text)
        elif group.target is _Target.NOWHERE or group.is_deleted:
            return
        elif group.is_hidden:
            self._num_hidden += len(text)
        else:
            self._texts[-1].append(text)

    def _read_table_word(self, word: str, number: int | None) -> None:
        if len(self._texts) > 1:
            self._texts[-1].append(" ")
            return
        is_nested = word.startswith("nest") or self._group.target is _Target.NESTED_ROW
        table = self._nested_table if is_nested else self._table
        match word:
            case "trowd":
                table.begin_row()
            case "cellx":
                table.add_border(number or 0)
            case "cell" | "nestcell":
                self._end_paragraph_in(table)
                table.end_cell()
            case _:
                table.end_row()

    def _take_text(self) -> str:
        text = _joined(self._texts[-1]).strip()
        self._texts[-1] = []
        return text

    def _take_list_mark(self) -> str:
        """Return the number of a list item, `-` for a bullet, or nothing."""
        mark = " ".join(_joined(self._list_mark).split())
        is_item = bool(self._list_mark or self._group.paragraph.list_number)
        self._list_mark = []
        return mark if _is_number(mark) else "-" * is_item

    def _end_paragraph(self) -> None:
        paragraph = self._group.paragraph
        if len(self._texts) > 1:
            self._texts[-1].append("\n")
        elif paragraph.is_in_nested_table:
            self._end_paragraph_in(self._nested_table)
        elif paragraph.is_in_table or self._table.is_row_open:
            self._end_paragraph_in(self._table)
        else:
            self._write_tables()
            self._write_paragraph(self._take_list_mark(), self._take_text())

    def _end_paragraph_in(self, table: RtfTable) -> None:
        if table is self._table and not self._nested_table.is_empty:
            # The table around it only arranges it with other text.
            self._write_tables()
        mark, text = self._take_list_mark(), self._take_text()
        table.add_paragraph(f"{mark} {text}" if _is_number(mark) else text)

    def _write_tables(self) -> None:
        self._table.write(self._builder)
        self._nested_table.write(self._builder)

    def _write_paragraph(self, mark: str, text: str) -> None:
        level = self._outline_level()
        is_item = bool(mark and text) and level is None
        if level is not None and text:
            self._builder.heading(f"{mark} {text}" if _is_number(mark) else text, level + 1)
        elif is_item:
            indent = "  " * self._group.paragraph.list_level
            separator = "\n" if self._was_item else BLOCK_SEPARATOR
            self._builder.block(f"{indent}{mark} {text}", separator)
        else:
            self._builder.block(text)
        self._was_item = is_item

    def _outline_level(self) -> int | None:
        paragraph = self._group.paragraph
        level = paragraph.outline_level
        if level is None:
            level = self._styles.outline_level(paragraph.style)
        return level if level is not None and 0 <= level < _NUM_OUTLINE_LEVELS else None


def _is_number(mark: str) -> bool:
    return _NUMBER.fullmatch(mark) is not None


def _joined(texts: list[str]) -> str:
    """Return texts as one, with characters that were written in two halves whole."""
    text = "".join(texts)
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
