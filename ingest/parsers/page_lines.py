"""The lines of a PDF page as PDFium reads them, each with its box; hidden words are left out."""

import ctypes
import math
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import pypdfium2.raw as pdfium
from pypdfium2 import PdfDocument, PdfPage, PdfTextPage

from ingest.parsers.cleaning import clean

Box = tuple[float, float, float, float]  # left, bottom, right, top in points, y upwards
_Span = tuple[int, int]  # first character, one past the last
_Piece = tuple[_Span, Box]

# PDFium puts this in place of a hyphen at the end of a line, and no line break after it.
_HYPHEN = "\ufffe"
_LINE = re.compile(r"[^\s\ufffe](?:[^\n\ufffe]*[^\s\ufffe])?\ufffe?")
_WORD = re.compile(r"[^\s\ufffe]+\ufffe?")
# Wider than any space between the words of a justified line, in heights of the line.
_WIDE_GAP = 0.9
# A sign apart from its number belongs to the next word, however near the last one is.
_SIGNS = frozenset("$€£¥")
# A line with more room for each character, in heights of the line, may have a wide gap.
_WIDE_CHARACTER = 0.5
# Lines of this share of the width of the page may go across two columns.
_LONG_LINE = 0.5
_NUM_SAMPLES = 6
# Hidden text of fewer characters may be missed on a page that hides nothing else.
_SAMPLE_CHARACTERS = 10
_TINY_POINTS = 1.0
_WHITE = 245
_INVISIBLE_MODES = frozenset(
    {pdfium.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium.FPDF_TEXTRENDERMODE_CLIP}
)
_TEXT_ANNOTATIONS = frozenset({pdfium.FPDF_ANNOT_WIDGET, pdfium.FPDF_ANNOT_FREETEXT})
# An image of this share of the page beneath invisible text makes it a scan with its OCR.
_SCAN_SHARE = 0.5
# Smaller images are logos, fewer shapes are rules and frames.
_PICTURE_SHARE = 0.05
_MIN_SHAPES = 50
_NUMBERED = re.compile(
    r"(?:\d{1,2}(?:\.\d{1,2})*\.?|(?:item|part|chapter|section|appendix)\s+[\w.]+)\s+\w", re.I
)
_MAX_HEADING_CHARACTERS = 100
_BOLD = re.compile(rb"bold|black|heavy|medi(?!um)|[-,]bd|cmbx|sfbx", re.I)
_MAX_FONT_NAME = 100
# Pages end at 14,400 points (ISO 32000-1, annex C).
_FAR = 20_000.0
_MAX_PIXELS = 25_000_000
_LAST_OF_BASIC_PLANE = "\uffff"


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


@dataclass(slots=True)
class PageLines:
    """What is read of one page.

    Attributes:
        lines: in the order of the file.
        bottom, top: of the page, in points.
        num_hidden: characters left out because nobody sees them.
        num_objects: texts, images and drawings on the page.
        is_damaged: its text could not be read.
    """

    lines: list[Line]
    bottom: float = 0.0
    top: float = 0.0
    num_hidden: int = 0
    num_objects: int = 0
    is_damaged: bool = False


def read_lines(document: PdfDocument, index: int) -> PageLines:
    """Return the lines of a page.

    Raises:
        PdfiumError: the page is damaged.
    """
    page = document[index]
    if _has_filled_fields(page) and pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY):
        page.close()
        page = document[index]  # what was flattened is read anew
    try:
        text_page = page.get_textpage()
        try:
            return _Reader(page, text_page).read()
        finally:
            text_page.close()
    finally:
        page.close()


def _has_filled_fields(page: PdfPage) -> bool:
    """Tell whether form fields or typed notes lie on the page, which are no part of its text."""
    for number in range(pdfium.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium.FPDFPage_GetAnnot(page, number)
        kind = pdfium.FPDFAnnot_GetSubtype(annotation)
        pdfium.FPDFPage_CloseAnnot(annotation)
        if kind in _TEXT_ANNOTATIONS:
            return True
    return False


def may_be_heading(text: str) -> bool:
    """Tell whether a line begins with a number as headings do: `2.1 Data`, `Item 7. Risks`."""
    return len(text) <= _MAX_HEADING_CHARACTERS and _NUMBERED.match(text) is not None


def may_show_text(page: PdfPage) -> bool:
    """Tell whether a page without text holds an image or letters drawn as shapes."""
    page_box = page.get_bbox()
    least = _PICTURE_SHARE * _overlap(page_box, page_box)
    num_shapes = 0
    for item in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_PATH]):
        if item.type == pdfium.FPDF_PAGEOBJ_PATH:
            num_shapes += 1
        elif _overlap(item.get_bounds(), page_box) >= least:
            return True
    return num_shapes >= _MIN_SHAPES


def _bind(function: Any, result: Any, *arguments: Any) -> Callable[..., Any]:
    """Return a function of PDFium that takes plain addresses.

    Through the typed bindings a call takes eight times as long, and there are many for each page.
    """
    address = ctypes.cast(function, ctypes.c_void_p).value
    return ctypes.PYFUNCTYPE(result, *arguments)(address or 0)


_INT, _POINTER = ctypes.c_int, ctypes.c_void_p
_font_info = _bind(
    pdfium.FPDFText_GetFontInfo, ctypes.c_ulong, _POINTER, _INT, _POINTER, ctypes.c_ulong, _POINTER
)
_char_box = _bind(pdfium.FPDFText_GetLooseCharBox, _INT, _POINTER, _INT, _POINTER)
_char_matrix = _bind(pdfium.FPDFText_GetMatrix, _INT, _POINTER, _INT, _POINTER)
_font_size = _bind(pdfium.FPDFText_GetFontSize, ctypes.c_double, _POINTER, _INT)
_char_angle = _bind(pdfium.FPDFText_GetCharAngle, ctypes.c_float, _POINTER, _INT)
_char_index = _bind(pdfium.FPDFText_GetCharIndexFromTextIndex, _INT, _POINTER, _INT)
_text_object = _bind(pdfium.FPDFText_GetTextObject, _POINTER, _POINTER, _INT)
_render_mode = _bind(pdfium.FPDFTextObj_GetTextRenderMode, _INT, _POINTER)
_fill_color = _bind(pdfium.FPDFPageObj_GetFillColor, _INT, *[_POINTER] * 5)
_TWO_RECTS = struct.Struct("8f")


class _Reader:
    """Reads one page line by line, and word by word only where that may tell more."""

    def __init__(self, page: PdfPage, text_page: PdfTextPage) -> None:
        self._page = page
        self._handle = ctypes.cast(text_page.raw, _POINTER).value
        self._text = _page_text(text_page)
        # Characters that stand for nothing are in PDFium's list, but not in its text.
        self._num_characters = text_page.count_chars()
        self._is_aligned = len(self._text) == self._num_characters
        self._turns = self._quarter_turns()
        self._page_box = _turned(page.get_bbox(), self._turns)
        self._matrix = (ctypes.c_float * 6)()
        self._matrix_address = ctypes.addressof(self._matrix)
        self._canvas: _Canvas | None = None
        self._is_scan: bool | None = None
        self._is_paintable = _overlap(self._page_box, self._page_box) < _MAX_PIXELS
        self._num_hidden = 0

    def read(self) -> PageLines:
        whole = self._measured(match.span() for match in _LINE.finditer(self._text))
        parts: dict[_Span, list[_Piece]] = {}
        if self._may_hide(whole):
            parts = self._split(whole, self._is_visible)
        elif wide := self._wide(whole):
            parts = self._split(wide)
        lines = [
            line
            for piece in whole
            for line in self._lines(piece[0][0], parts.get(piece[0], (piece,)))
        ]
        _, bottom, _, top = self._page_box
        num_objects = pdfium.FPDFPage_CountObjects(self._page)
        return PageLines(lines, bottom, top, self._num_hidden, num_objects)

    def _measured(self, spans: Iterable[_Span]) -> list[_Piece]:
        """Return the box around the first and last letter of each span."""
        spans = list(spans)
        text, handle, is_aligned = self._text, self._handle, self._is_aligned
        boxes = (ctypes.c_float * (8 * len(spans)))()
        address = ctypes.addressof(boxes)
        for start, after in spans:
            first, last = start, after - 2 if text[after - 1] == _HYPHEN else after - 1
            if not is_aligned:
                first, last = _char_index(handle, start), _char_index(handle, last)
            _char_box(handle, first, address)
            _char_box(handle, last, address + 16)
            address += 32
        turns = self._turns
        measured = []
        for span, (l1, t1, r1, b1, l2, t2, r2, b2) in zip(
            spans, _TWO_RECTS.iter_unpack(bytes(boxes)), strict=True
        ):
            box = (
                l1 if l1 < l2 else l2,
                b1 if b1 < b2 else b2,
                r1 if r1 > r2 else r2,
                t1 if t1 > t2 else t2,
            )
            measured.append((span, _turned(box, turns) if turns else box))
        return measured

    def _split(
        self, lines: Sequence[_Piece], is_visible: "Callable[[_Piece], bool] | None" = None
    ) -> dict[_Span, list[_Piece]]:
        """Return the parts of lines between wide gaps and hidden words."""
        words = iter(
            self._measured(
                match.span() for (span, _) in lines for match in _WORD.finditer(self._text, *span)
            )
        )
        return {span: list(self._parts(span[1], words, is_visible)) for span, _ in lines}

    def _parts(
        self, end: int, words: Iterator[_Piece], is_visible: "Callable[[_Piece], bool] | None"
    ) -> Iterator[_Piece]:
        """Yield the parts of one line; takes its words, up to `end`, from `words`."""
        part: _Piece | None = None
        for word in words:
            (first, after), (left, bottom, right, top) = word
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
                (start, _), box = part
                around = (
                    min(box[0], left),
                    min(box[1], bottom),
                    max(box[2], right),
                    max(box[3], top),
                )
                part = (start, after), around
            else:
                part = word
            if after == end:
                break
        if part:
            yield part

    def _lines(self, start: int, pieces: Sequence[_Piece]) -> Iterator[Line]:
        size = self._type_size(start)
        for (first, after), box in pieces:
            text = self._text[first:after].replace(_HYPHEN, "-")
            if not text.isascii() or not text.isprintable():
                text = clean(_whole_letters(text))
            if not text:
                continue
            line = Line(text, *_within_reach(box), size)
            if may_be_heading(text):
                line.is_bold = self._is_bold(first) and self._is_bold(after - 1)
            yield line

    def _type_size(self, index: int) -> float:
        if not self._is_aligned:
            index = _char_index(self._handle, index)
        matrix = self._matrix
        _char_matrix(self._handle, index, self._matrix_address)
        size: float = _font_size(self._handle, index) * math.hypot(matrix[2], matrix[3])
        return round(size, 1)

    def _is_bold(self, index: int) -> bool:
        if not self._is_aligned:
            index = _char_index(self._handle, index)
        name = ctypes.create_string_buffer(_MAX_FONT_NAME)
        _font_info(self._handle, index, ctypes.addressof(name), _MAX_FONT_NAME, None)
        return _BOLD.search(name.value) is not None

    def _quarter_turns(self) -> int:
        """Return in which direction most text runs: 0 to the right, 1 up, 2 left, 3 down."""
        count = len(self._text)
        indices = (count * part // _NUM_SAMPLES for part in range(_NUM_SAMPLES))
        angles = [_char_angle(self._handle, index) for index in indices] if count else []
        turns = [round(-angle / (math.pi / 2)) % 4 for angle in angles if angle >= 0]
        return max(set(turns), key=turns.count, default=0)

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

    def _may_hide(self, lines: Sequence[_Piece]) -> bool:
        """Tell whether there may be invisible words on the page."""
        samples = range(0, self._num_characters, _SAMPLE_CHARACTERS)
        objects = {_text_object(self._handle, index) for index in samples}
        if any(one and _paint(one) is not _Paint.INK for one in objects):
            return True
        left, bottom, right, top = self._page_box
        return any(
            box[3] - box[1] < _TINY_POINTS
            or box[0] < left
            or box[1] < bottom
            or box[2] > right
            or box[3] > top
            for _, box in lines
        )

    def _is_visible(self, word: _Piece) -> bool:
        (first, _), box = word
        if box[3] - box[1] < _TINY_POINTS or not _overlap(box, self._page_box):
            return False
        index = first if self._is_aligned else _char_index(self._handle, first)
        text_object = _text_object(self._handle, index)
        match _paint(text_object) if text_object else _Paint.INK:
            case _Paint.WHITE if self._is_paintable:
                self._canvas = self._canvas or _Canvas(self._page)
                return not self._canvas.is_blank(_turned(box, -self._turns % 4))
            case _Paint.NONE:
                if self._is_scan is None:
                    self._is_scan = _is_scan(self._page)
                return self._is_scan
            case _:
                return True


class _Paint(Enum):
    """How a text is painted."""

    INK = auto()
    WHITE = auto()
    NONE = auto()


def _paint(text_object: int) -> _Paint:
    if _render_mode(text_object) in _INVISIBLE_MODES:
        return _Paint.NONE
    color = (ctypes.c_uint * 4)()
    address = ctypes.addressof(color)
    if not _fill_color(text_object, address, address + 4, address + 8, address + 12):
        return _Paint.INK
    red, green, blue, opacity = color
    if opacity == 0:
        return _Paint.NONE
    return _Paint.WHITE if min(red, green, blue) >= _WHITE else _Paint.INK


def _is_scan(page: PdfPage) -> bool:
    """Tell whether an image covers the page, so that invisible text on it is its OCR."""
    page_box = page.get_bbox()
    images = page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE])
    covered = max((_overlap(image.get_bounds(), page_box) for image in images), default=0.0)
    return covered >= _SCAN_SHARE * _overlap(page_box, page_box)


class _Canvas:
    """The page as a reader sees it, one pixel for each point."""

    def __init__(self, page: PdfPage) -> None:
        bitmap = page.render(scale=1, grayscale=True, rotation=-page.get_rotation() % 360)
        self._left, _, _, self._top = page.get_bbox()
        self._width, self._height, self._stride = bitmap.width, bitmap.height, bitmap.stride
        self._pixels = bytes(bitmap.buffer)
        bitmap.close()

    def is_blank(self, box: Box) -> bool:
        """Tell whether the box is white all over."""
        left = max(0, int(box[0] - self._left))
        right = min(self._width, math.ceil(box[2] - self._left))
        first = max(0, int(self._top - box[3]))
        rows = range(first, min(self._height, int(self._top - box[1]) + 1))
        return all(
            min(self._pixels[row * self._stride + left : row * self._stride + right], default=255)
            >= _WHITE
            for row in rows
        )


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


def _within_reach(box: Box) -> Box:
    """Return the box with finite edges, whatever a broken file says."""
    left, bottom, right, top = box
    if left > -_FAR and bottom > -_FAR and right < _FAR and top < _FAR:  # false for NaN
        return box
    left, bottom, right, top = (max(-_FAR, min(_FAR, edge)) for edge in box)
    return left, bottom, right, top


def _turned(box: Box, quarter_turns: int) -> Box:
    """Return the box on a page that is turned clockwise."""
    left, bottom, right, top = box
    match quarter_turns:
        case 1:
            return bottom, -right, top, -left
        case 2:
            return -right, -top, -left, -bottom
        case 3:
            return -top, left, -bottom, right
        case _:
            return box


def _page_text(text_page: PdfTextPage) -> str:
    """Return the text with one character for each of PDFium's, half a surrogate pair included."""
    text = str(text_page.get_text_range(errors="surrogatepass"))
    if text.isascii() or max(text) <= _LAST_OF_BASIC_PLANE:
        return text
    return "".join(map(chr, memoryview(text.encode("utf-16-le")).cast("H")))


def _whole_letters(text: str) -> str:
    """Return text whose surrogate pairs are one character again."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
