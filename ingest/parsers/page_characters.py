"""The characters of a PDF page, and what PDFium knows of each of them.

Functions of PDFium are bound once more with plain addresses: through the typed bindings a call
takes eight times as long, and there are many for each page.
"""

import ctypes
import math
import re
import struct
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto
from functools import lru_cache
from itertools import chain, repeat
from typing import Any

import pypdfium2.raw as pdfium
from pypdfium2 import PdfTextPage

from ingest.parsers.boxes import Box

_LAST_OF_BASIC_PLANE = "\uffff"
_NUM_SAMPLES = 6
_INK = re.compile(r"\S")
_BOLD = re.compile(rb"bold|black|heavy|medi(?!um)|[-,]bd|cmbx|sfbx", re.I)
_MAX_FONT_NAME = 100
# Of 255; paler is white to the eye.
WHITE = 245
_INVISIBLE_MODES = frozenset(
    {pdfium.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium.FPDF_TEXTRENDERMODE_CLIP}
)


def bind(function: Any, result: Any, *arguments: Any) -> Callable[..., Any]:
    """Return a function of PDFium that takes plain addresses."""
    address = ctypes.cast(function, ctypes.c_void_p).value
    return ctypes.PYFUNCTYPE(result, *arguments)(address or 0)


_INT, _POINTER = ctypes.c_int, ctypes.c_void_p
_font_info = bind(
    pdfium.FPDFText_GetFontInfo, ctypes.c_ulong, _POINTER, _INT, _POINTER, ctypes.c_ulong, _POINTER
)
_char_box = bind(pdfium.FPDFText_GetLooseCharBox, _INT, _POINTER, _INT, _POINTER)
_char_matrix = bind(pdfium.FPDFText_GetMatrix, _INT, _POINTER, _INT, _POINTER)
_font_size = bind(pdfium.FPDFText_GetFontSize, ctypes.c_double, _POINTER, _INT)
_char_angle = bind(pdfium.FPDFText_GetCharAngle, ctypes.c_float, _POINTER, _INT)
_char_index = bind(pdfium.FPDFText_GetCharIndexFromTextIndex, _INT, _POINTER, _INT)
_text_object = bind(pdfium.FPDFText_GetTextObject, _POINTER, _POINTER, _INT)
_render_mode = bind(pdfium.FPDFTextObj_GetTextRenderMode, _INT, _POINTER)
fill_color = bind(pdfium.FPDFPageObj_GetFillColor, _INT, *[_POINTER] * 5)
_RECT_BYTES = 16
_TWO_RECTS = struct.Struct("8f")
_COLOR_BYTES = 16
_COLOR = struct.Struct("4I")  # red, green, blue, opacity
_BLACK = _COLOR.pack(0, 0, 0, 255)


class Paint(Enum):
    """How a text is painted."""

    INK = auto()
    WHITE = auto()
    NONE = auto()


class Characters:
    """The text of a page and its characters, which are named by their places in the text.

    Attributes:
        text: with one character for each of PDFium's, half a surrogate pair included.
    """

    def __init__(self, text_page: PdfTextPage) -> None:
        self.text = _page_text(text_page)
        self._handle = ctypes.cast(text_page.raw, _POINTER).value
        # Characters that stand for nothing are in PDFium's list, but not in its text.
        self._num_listed = text_page.count_chars()
        self._is_aligned = len(self.text) == self._num_listed
        self._matrix = (ctypes.c_float * 6)()
        self._matrix_address = ctypes.addressof(self._matrix)
        # Text without an object is what PDFium puts between texts: white space.
        self._paints: dict[int | None, Paint] = {None: Paint.INK}

    def boxes(self, ends: Sequence[tuple[int, int]]) -> list[Box]:
        """Return the box around each pair of a first and a last character."""
        places: Iterable[int] = chain.from_iterable(ends)
        indices = places if self._is_aligned else map(self._index, places)
        rects = array("f", bytes(2 * _RECT_BYTES * len(ends)))
        start, _ = rects.buffer_info()
        addresses = range(start, start + 2 * _RECT_BYTES * len(ends), _RECT_BYTES)
        deque(map(_char_box, repeat(self._handle), indices, addresses), maxlen=0)
        return [
            (
                l1 if l1 < l2 else l2,
                b1 if b1 < b2 else b2,
                r1 if r1 > r2 else r2,
                t1 if t1 > t2 else t2,
            )
            for l1, t1, r1, b1, l2, t2, r2, b2 in _TWO_RECTS.iter_unpack(rects)
        ]

    def type_size(self, place: int) -> float:
        """Return the type size in points."""
        index, matrix = self._index(place), self._matrix
        _char_matrix(self._handle, index, self._matrix_address)
        size: float = _font_size(self._handle, index) * math.hypot(matrix[2], matrix[3])
        return round(size, 1)

    def is_bold(self, place: int) -> bool:
        """Tell whether the font is a bold one."""
        name = ctypes.create_string_buffer(_MAX_FONT_NAME)
        address = ctypes.addressof(name)
        _font_info(self._handle, self._index(place), address, _MAX_FONT_NAME, None)
        return _BOLD.search(name.value) is not None

    def quarter_turns(self) -> int:
        """Return in which direction most text runs: 0 to the right, 1 up, 2 left, 3 down."""
        count = len(self.text)
        places = (count * part // _NUM_SAMPLES for part in range(_NUM_SAMPLES))
        # White space may be PDFium's own, which runs to the right on every page.
        samples = (_INK.search(self.text, place) for place in places)
        angles = [_char_angle(self._handle, one.start()) for one in samples if one]
        turns = [round(-angle / (math.pi / 2)) % 4 for angle in angles if angle >= 0]
        return max(set(turns), key=turns.count, default=0)

    def paint(self, place: int) -> Paint:
        """Tell how the text around a character is painted."""
        text = _text_object(self._handle, self._index(place))
        if text not in self._paints:
            self._look_at({text})
        return self._paints[text]

    def is_all_ink(self, step: int) -> bool:
        """Tell whether the text around every character of a sample, one in `step`, is seen."""
        samples = range(0, self._num_listed, step)
        self._look_at(set(map(_text_object, repeat(self._handle), samples)))
        return all(paint is Paint.INK for paint in self._paints.values())

    def _look_at(self, texts: set[int | None]) -> None:
        texts = texts - {None}
        colors = array("I", _BLACK * len(texts))
        red, _ = colors.buffer_info()
        for text in texts:
            fill_color(text, red, red + 4, red + 8, red + 12)  # stays black where it is unknown
            red += _COLOR_BYTES
        modes = map(_render_mode, texts)
        self._paints.update(zip(texts, map(_paint, modes, _COLOR.iter_unpack(colors)), strict=True))

    def _index(self, place: int) -> int:
        """Return the place of a character in PDFium's list."""
        if self._is_aligned:
            return place
        index: int = _char_index(self._handle, place)
        return index


@lru_cache
def _paint(render_mode: int, color: tuple[int, int, int, int]) -> Paint:
    red, green, blue, opacity = color
    if render_mode in _INVISIBLE_MODES or opacity == 0:
        return Paint.NONE
    return Paint.WHITE if min(red, green, blue) >= WHITE else Paint.INK


def _page_text(text_page: PdfTextPage) -> str:
    text = str(text_page.get_text_range(errors="surrogatepass"))
    if text.isascii() or max(text) <= _LAST_OF_BASIC_PLANE:
        return text
    return "".join(map(chr, memoryview(text.encode("utf-16-le")).cast("H")))
