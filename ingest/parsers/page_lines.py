"""The lines of a PDF page as PDFium reads them, each with its box; hidden words are left out."""

import ctypes
import math
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import groupby

import pypdfium2.raw as pdfium
from pypdfium2 import PdfDocument, PdfObject, PdfPage, PdfTextPage

from ingest.parsers.boxes import Box, around, overlap, turned, within_reach
from ingest.parsers.cell_lines import Word
from ingest.parsers.cleaning import EAST_ASIAN, clean
from ingest.parsers.page_annotations import Annotations, read_annotations
from ingest.parsers.page_characters import Characters
from ingest.parsers.page_grids import find_grids
from ingest.parsers.page_rules import read_rules
from ingest.parsers.page_visibility import Visibility
from ingest.parsers.ruled_tables import RuledTable, ruled_tables

_Span = tuple[int, int]  # first character, one past the last
_Piece = tuple[_Span, Box]
_Pieces = tuple[int, list[_Piece]]  # of a line that starts at this character

# PDFium puts this in place of a hyphen at the end of a line, and no line break after it.
_HYPHEN = "\ufffe"
_LINE = re.compile(r"[^\s\ufffe](?:[^\n\ufffe]*[^\s\ufffe])?\ufffe?")
_WORD = re.compile(r"[^\s\ufffe]+\ufffe?")
# Its last digit may be raised: 10^6 is not 106.
_NUMBER = re.compile(r"\d[\d.,]*\d")
# By so much of the height of the first digit, in type so much smaller.
_RAISED, _SMALLER = 0.15, 0.9
# Dots that lead the eye to a page number; an ellipsis with a full stop has four.
_MIN_LEADERS = 5
_LEADERS = re.compile(rf"\s*(?:[.\u2026] ?){{{_MIN_LEADERS},}}")
# Wider than any space between the words of a justified line, in heights of the line.
_WIDE_GAP = 0.9
# A sign apart from its number belongs to the next word, however near the last one is.
_SIGNS = frozenset("$€£¥")
# A line with more room for each character, in heights of the line, may have a wide gap.
_WIDE_CHARACTER = 0.5
# Lines of this share of the width of the page may go across two columns.
_LONG_LINE = 0.5
_NUM_SAMPLES = 6
# Smaller images are logos, fewer shapes are rules and frames.
_PICTURE_SHARE = 0.05
_MIN_SHAPES = 50
_NUMBERED = re.compile(
    r"(?:\d{1,2}(?:\.\d{1,2})*\.?|(?:item|part|chapter|section|appendix)\s+[\w.]+)\s+\w", re.I
)
_MAX_HEADING_CHARACTERS = 100
# PDFium drops texts that are narrower, in points; readers do not see type that is smaller.
_MIN_WIDTH, _MIN_TYPE_SIZE = 0.01, 1.0


@dataclass(slots=True)
class Line:
    """A line of text, or the part of one up to a wide gap.

    Attributes:
        left, bottom, right, top: its box in points, y upwards, turned so that the text is upright.
        size: type size in points.
        starts_paragraph: a blank line belongs before it.
        in_table: a row of a table, written in Markdown.
        heading_level: 1 is the outermost, 0 no heading.
        is_bold: set in a bold font; only looked at where `may_be_heading` says so.
        rows: of a table with ruling lines, which has no other text.
    """

    text: str
    left: float = 0.0
    bottom: float = 0.0
    right: float = 0.0
    top: float = 0.0
    size: float = 0.0
    starts_paragraph: bool = False
    in_table: bool = False
    heading_level: int = 0
    is_bold: bool = False
    rows: "Sequence[Line]" = ()

    @property
    def box(self) -> Box:
        """The box around the text."""
        return self.left, self.bottom, self.right, self.top


@dataclass(slots=True)
class PageLines:
    """What is read of one page.

    Attributes:
        lines: in the order of the file.
        bottom, top: of the page, in points.
        num_hidden: characters left out because nobody sees them.
        num_objects: texts, images and drawings on the page.
        is_damaged: its text could not be read.
        lacks_text: PDFium dropped texts, which may be no more than spaces.
        annotations: what is pinned to it.
    """

    lines: list[Line]
    bottom: float = 0.0
    top: float = 0.0
    num_hidden: int = 0
    num_objects: int = 0
    is_damaged: bool = False
    lacks_text: bool = False
    annotations: Annotations = field(default_factory=Annotations)


def read_lines(document: PdfDocument, index: int) -> PageLines:
    """Return the lines of a page.

    Raises:
        PdfiumError: the page is damaged.
    """
    page = document[index]
    annotations = read_annotations(page)
    if annotations.has_drawn and pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY):
        page.close()
        page = document[index]  # what was flattened is read anew
    try:
        text_page = page.get_textpage()
        try:
            lines = _Reader(page, text_page).read()
        finally:
            text_page.close()
    finally:
        page.close()
    lines.annotations = annotations
    return lines


def may_be_heading(text: str) -> bool:
    """Tell whether a line begins with a number as headings do: `2.1 Data`, `Item 7. Risks`."""
    return len(text) <= _MAX_HEADING_CHARACTERS and _NUMBERED.match(text) is not None


def may_show_text(page: PdfPage) -> bool:
    """Tell whether a page without text holds an image or letters drawn as shapes."""
    page_box = page.get_bbox()
    least = _PICTURE_SHARE * overlap(page_box, page_box)
    num_shapes = 0
    for item in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_PATH]):
        if item.type == pdfium.FPDF_PAGEOBJ_PATH:
            num_shapes += 1
        elif overlap(item.get_bounds(), page_box) >= least:
            return True
    return num_shapes >= _MIN_SHAPES


class _Reader:
    """Reads one page line by line, and word by word only where that may tell more."""

    def __init__(self, page: PdfPage, text_page: PdfTextPage) -> None:
        self._page = page
        self._characters = Characters(text_page)
        self._text = self._characters.text
        self._turns = self._characters.quarter_turns()
        self._page_box = turned(page.get_bbox(), self._turns)
        self._visibility = Visibility(page, self._characters, self._page_box, self._turns)
        self._num_hidden = 0
        self._raised = self._raised_places()

    def read(self) -> PageLines:
        whole = self._measured(match.span() for match in _LINE.finditer(self._text))
        parts: dict[_Span, list[_Piece]] = {}
        if self._visibility.may_hide(box for _, box in whole):
            parts = self._split(whole, self._is_visible)
        elif wide := self._wide(whole):
            parts = self._split(wide)
        pieces = [(line[0][0], parts.get(line[0], [line])) for line in whole]
        pieces, tables = self._with_tables(pieces)
        lines = [line for start, its in pieces for line in self._lines(start, its, tables)]
        _, bottom, _, top = self._page_box
        num_objects = pdfium.FPDFPage_CountObjects(self._page)
        page = PageLines(lines, bottom, top, self._num_hidden, num_objects)
        if len(self._text) < num_objects or EAST_ASIAN.search(self._text):
            page.lacks_text = _has_dropped_text(self._page)
        return page

    def _measured(self, spans: Iterable[_Span]) -> list[_Piece]:
        """Return the box around the first and last letter of each span."""
        spans, text = list(spans), self._text
        boxes = self._characters.boxes(
            [(start, end - 2 if text[end - 1] == _HYPHEN else end - 1) for start, end in spans]
        )
        if self._turns:
            boxes = [turned(box, self._turns) for box in boxes]
        return list(zip(spans, boxes, strict=True))

    def _split(
        self, lines: Sequence[_Piece], is_visible: "Callable[[_Piece], bool] | None" = None
    ) -> dict[_Span, list[_Piece]]:
        """Return the parts of lines between wide gaps and hidden words."""
        words = iter(self._words(lines))
        return {span: list(self._parts(span[1], words, is_visible)) for span, _ in lines}

    def _parts(
        self, end: int, words: Iterator[_Piece], is_visible: "Callable[[_Piece], bool] | None"
    ) -> Iterator[_Piece]:
        """Yield the parts of one line; takes its words, up to `end`, from `words`."""
        part: _Piece | None = None
        for word in words:
            (first, after), (left, bottom, _, top) = word
            is_hidden = is_visible is not None and not is_visible(word)
            if part and (
                is_hidden
                or left - part[1][2] > _WIDE_GAP * (top - bottom)
                or self._text[first:after] in _SIGNS
            ):
                yield part
                part = None
            if is_hidden:
                self._num_hidden += after - first
            elif part:
                part = (part[0][0], after), around(part[1], word[1])
            else:
                part = word
            if after == end:
                break
        if part:
            yield part

    def _lines(
        self, start: int, pieces: Sequence[_Piece], tables: Mapping[_Span, Line | None]
    ) -> Iterator[Line]:
        size, is_bold = self._characters.type_size(start), self._characters.is_bold
        for (first, after), box in pieces:
            if table := tables.get((first, after)):
                yield table
                continue
            text = self._text_of((first, after))
            if not text:
                continue
            line = Line(text, *within_reach(box), size)
            if may_be_heading(text):
                line.is_bold = is_bold(first) and is_bold(after - 1)
            yield line

    def _text_of(self, span: _Span) -> str:
        start, end = span
        text = self._text[start:end].replace(_HYPHEN, "-")
        first, after = bisect_left(self._raised, start), bisect_left(self._raised, end)
        for place in reversed(self._raised[first:after]):
            text = f"{text[: place - start]}^{text[place - start :]}"
        if text.count(".") + text.count("\u2026") >= _MIN_LEADERS:
            text = _LEADERS.sub(" \u2026 ", text).strip()
        if text.isascii() and text.isprintable():
            return text
        return clean(_whole_letters(text))

    def _raised_places(self) -> list[int]:
        """Return where raised digits begin that stand behind others, in order of the text."""
        numbers = [match.span() for match in _NUMBER.finditer(self._text)]
        ends = self._measured(
            (place, place + 1) for start, end in numbers for place in (start, end - 1)
        )
        raised = (
            number
            for number, (_, first), (_, last) in zip(numbers, ends[::2], ends[1::2], strict=True)
            if _is_raised(first, last) and self._is_smaller(*number)
        )
        places = (self._first_raised(*number) for number in raised)
        return [place for place in places if self._text[place - 1].isdigit()]

    def _is_smaller(self, start: int, end: int) -> bool:
        size = self._characters.type_size
        return size(end - 1) < _SMALLER * size(start)

    def _first_raised(self, start: int, end: int) -> int:
        [(_, first), *others] = self._measured((place, place + 1) for place in range(start, end))
        return next(span[0] for span, box in others if _is_raised(first, box))

    def _with_tables(self, lines: list[_Pieces]) -> tuple[list[_Pieces], dict[_Span, Line | None]]:
        """Return lines with one piece for each ruled table, and the tables by its span."""
        grids = find_grids(read_rules(self._page, self._turns)) if lines else []
        if not grids:
            return lines, {}
        heights = [(grid.rows[-1], grid.rows[0]) for grid in grids]
        # A line may run into a grid and out again, which its box, that of its ends, does not tell.
        words = {
            span: self._words([(span, box)])
            for _, pieces in lines
            for span, box in pieces
            if any(box[3] > bottom and box[1] < top for bottom, top in heights)
        }
        found = [word for its in words.values() for word in its]
        tables: dict[_Span, Line | None] = {}
        for table in ruled_tables(grids, [Word(self._text_of(span), box) for span, box in found]):
            spans = [found[index][0] for index in table.words]
            tables |= dict.fromkeys(spans)
            tables[spans[0]] = _table(table, self._characters.type_size(spans[0][0]))
        if not tables:
            return lines, {}
        return [
            (start, [part for piece in pieces for part in _cut(piece, words, tables)])
            for start, pieces in lines
        ], tables

    def _words(self, lines: Sequence[_Piece]) -> list[_Piece]:
        return self._measured(
            match.span() for (span, _) in lines for match in _WORD.finditer(self._text, *span)
        )

    def _wide(self, lines: Sequence[_Piece]) -> list[_Piece]:
        """Return the lines that may have a wide gap."""
        long = self._long_lines(lines)
        # Half of a few samples having gaps, lines go across columns.
        samples = long[:: max(1, len(long) // _NUM_SAMPLES)]
        num_cut = sum(len(parts) > 1 for parts in self._split(samples).values())
        across = set(long) if 1 < num_cut >= len(samples) / 2 else set()
        return [
            line
            for line in lines
            if line in across
            or line[1][2] - line[1][0]
            > _WIDE_CHARACTER * (line[0][1] - line[0][0]) * (line[1][3] - line[1][1])
        ]

    def _long_lines(self, lines: Sequence[_Piece]) -> list[_Piece]:
        shortest = _LONG_LINE * (self._page_box[2] - self._page_box[0])
        return [line for line in lines if line[1][2] - line[1][0] > shortest]

    def _is_visible(self, word: _Piece) -> bool:
        (first, _), box = word
        return self._visibility.is_visible(first, box)


def _has_dropped_text(page: PdfPage) -> bool:
    """Tell whether PDFium dropped texts because they have no width.

    Those are spaces, and without their font also single letters and vertical lines.
    """
    for item in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_TEXT]):
        left, _, right, _ = item.get_bounds()
        if right - left < _MIN_WIDTH and _type_size(item) >= _MIN_TYPE_SIZE:
            return True
    return False


def _type_size(item: PdfObject) -> float:
    size = ctypes.c_float()
    pdfium.FPDFTextObj_GetFontSize(item, size)
    _, _, c, d, _, _ = item.get_matrix().get()
    return size.value * math.hypot(c, d)


def _is_raised(first: Box, other: Box) -> bool:
    height, rise = first[3] - first[1], other[1] - first[1]
    # By more than its height, it stands on another line.
    return _RAISED * height < rise < height


def _table(table: RuledTable, size: float) -> Line:
    rows = [Line(text, *within_reach(box), size, in_table=True) for text, box in table.rows]
    rows[0].starts_paragraph = True
    return Line("", *reduce(around, (row.box for row in rows)), size, rows=rows)


def _cut(
    piece: _Piece, words: Mapping[_Span, list[_Piece]], tables: Mapping[_Span, Line | None]
) -> Iterator[_Piece]:
    """Yield what is left of a piece without the words in tables, but for the first word of each."""
    its = words.get(piece[0], [])
    if not any(word[0] in tables for word in its):
        yield piece
        return
    for is_inside, run in groupby(its, lambda word: word[0] in tables):
        its = list(run)
        if is_inside:
            yield from (word for word in its if tables[word[0]])
        else:
            yield (its[0][0][0], its[-1][0][1]), reduce(around, (box for _, box in its))


def _whole_letters(text: str) -> str:
    """Return text whose surrogate pairs are one character again."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
