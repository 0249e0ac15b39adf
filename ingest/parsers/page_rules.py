"""The ruling lines of a PDF page: horizontal and vertical strokes, and bars that look like them."""

import ctypes
import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import compress, pairwise, repeat

import pypdfium2.raw as pdfium
from pypdfium2 import PdfPage

from ingest.parsers.boxes import Box, turned, within_reach
from ingest.parsers.page_characters import bind, fill_color

# Thicker ones are bars and boxes, in points.
_THICK = 3.0
# Of 255; narrow cells of tables without rules have backgrounds paler than that.
_PALE = 225
# Maps and charts have more objects, and more points in them; that is no table to be found quickly.
_MAX_OBJECTS = 20_000
_MAX_POINTS = 10_000
_MAX_DEPTH = 8
_NUM_DIRECTIONS = 2
# A path of no more points is a single box.
_RECTANGLE = 5
_PATH, _FORM = pdfium.FPDF_PAGEOBJ_PATH, pdfium.FPDF_PAGEOBJ_FORM

_INT, _POINTER = ctypes.c_int, ctypes.c_void_p
_page_object = bind(pdfium.FPDFPage_GetObject, _POINTER, _POINTER, _INT)
_form_object = bind(pdfium.FPDFFormObj_GetObject, _POINTER, _POINTER, ctypes.c_ulong)
_num_in_form = bind(pdfium.FPDFFormObj_CountObjects, _INT, _POINTER)
_kind = bind(pdfium.FPDFPageObj_GetType, _INT, _POINTER)
_bounds = bind(pdfium.FPDFPageObj_GetBounds, _INT, *[_POINTER] * 5)
_matrix = bind(pdfium.FPDFPageObj_GetMatrix, _INT, _POINTER, _POINTER)
_draw_mode = bind(pdfium.FPDFPath_GetDrawMode, _INT, _POINTER, _POINTER, _POINTER)
_num_points = bind(pdfium.FPDFPath_CountSegments, _INT, _POINTER)
_segment = bind(pdfium.FPDFPath_GetPathSegment, _POINTER, _POINTER, _INT)
_segment_kind = bind(pdfium.FPDFPathSegment_GetType, _INT, _POINTER)
_segment_point = bind(pdfium.FPDFPathSegment_GetPoint, _INT, _POINTER, _POINTER, _POINTER)
_is_closing = bind(pdfium.FPDFPathSegment_GetClose, _INT, _POINTER)

_Matrix = tuple[float, float, float, float, float, float]
_Point = tuple[float, float]
_Rule = tuple[int | None, Box]
_RECT = struct.Struct("4f")
_UNCHANGED: _Matrix = (1, 0, 0, 1, 0, 0)


def read_rules(page: PdfPage, quarter_turns: int) -> list[Box]:
    """Return the ruling lines of a page as boxes whose one side is thin, the other one longer.

    None where all of them are parallel, and where there is more than tables have: maps and charts.

    Args:
        page: the page.
        quarter_turns: by which it is turned for reading, clockwise, as are the boxes.
    """
    reader = _Reader()
    try:
        rules = list(reader.on_page(page))
    except _DrawingError:
        return []
    if len({_is_flat(box) for _, box in rules}) < _NUM_DIRECTIONS:
        return []
    return [
        turned(within_reach(box), quarter_turns)
        for path, box in rules
        if path is None or not reader.is_pale_bar(path)
    ]


class _DrawingError(Exception):
    """There is more on a page than tables have."""


class _Reader:
    """Walks through the objects of a page, and yields rules with the path that is nothing else."""

    def __init__(self) -> None:
        self._num_objects = 0
        self._num_points = 0
        self._numbers = (ctypes.c_float * 6)()
        self._address = ctypes.addressof(self._numbers)
        self._values = (ctypes.c_uint * 4)()
        self._values_address = ctypes.addressof(self._values)

    def on_page(self, page: PdfPage) -> Iterator[_Rule]:
        """Yield the rules of a page."""
        handle = ctypes.cast(page.raw, _POINTER).value
        count = pdfium.FPDFPage_CountObjects(page)
        yield from self._inside(handle, count, _page_object, _UNCHANGED, 0)

    def is_pale_bar(self, path: int) -> bool:
        """Tell whether a path is filled in a colour of backgrounds, and has no outline."""
        if self._is_stroked(path):
            return False
        red = self._values_address
        known = fill_color(path, red, red + 4, red + 8, red + 12)
        return bool(known) and sum(self._values[:3]) >= 3 * _PALE

    def _inside(
        self,
        holder: int | None,
        count: int,
        get: Callable[..., int],
        matrix: _Matrix,
        depth: int,
    ) -> Iterator[_Rule]:
        """Yield the rules among the objects of a page or a form."""
        self._num_objects += count
        if self._num_objects > _MAX_OBJECTS:
            raise _DrawingError
        objects = list(map(get, repeat(holder), range(count)))
        kinds = bytes(map(_kind, objects))
        paths = list(compress(objects, map(_PATH.__eq__, kinds)))
        for path, (left, bottom, right, top) in zip(paths, _bounds_of(paths), strict=True):
            width, height = right - left, top - bottom
            if width > _THICK and height > _THICK:
                for side in self._within_path(path, matrix):
                    yield None, side
            elif width > _THICK or height > _THICK:
                yield path, _around(_moved((left, bottom), matrix), _moved((right, top), matrix))
        if _FORM in kinds and depth < _MAX_DEPTH:
            for form in compress(objects, map(_FORM.__eq__, kinds)):
                inner, count = _product(self._matrix_of(form), matrix), _num_in_form(form)
                yield from self._inside(form, count, _form_object, inner, depth + 1)

    def _within_path(self, path: int, matrix: _Matrix) -> Iterator[Box]:
        """Yield the rules of which a path is made: the sides of boxes, or bars."""
        count, is_stroked = _num_points(path), self._is_stroked(path)
        if not is_stroked and (count <= _RECTANGLE or self.is_pale_bar(path)):
            return
        matrix = _product(self._matrix_of(path), matrix)
        for outline in self._outlines(path, count, matrix):
            yield from _sides(outline) if is_stroked else _as_bar(outline)

    def _outlines(self, path: int, count: int, matrix: _Matrix) -> Iterator[list[_Point]]:
        """Yield the points of each part of a path; none when it has a curve."""
        self._num_points += count
        if self._num_points > _MAX_POINTS:
            raise _DrawingError
        address = self._address
        outlines: list[list[_Point]] = []
        for index in range(count):
            segment = _segment(path, index)
            kind = _segment_kind(segment)
            if kind == pdfium.FPDF_SEGMENT_BEZIERTO:
                return
            if kind == pdfium.FPDF_SEGMENT_MOVETO or not outlines:
                outlines.append([])
            _segment_point(segment, address, address + 4)
            outlines[-1].append(_moved((self._numbers[0], self._numbers[1]), matrix))
            if _is_closing(segment):
                outlines[-1].append(outlines[-1][0])
        yield from outlines

    def _is_stroked(self, path: int) -> bool:
        address = self._values_address
        return bool(_draw_mode(path, address, address + 4)) and self._values[1] != 0

    def _matrix_of(self, item: int) -> _Matrix:
        if not _matrix(item, self._address):
            return _UNCHANGED
        a, b, c, d, e, f = self._numbers
        return a, b, c, d, e, f


def _bounds_of(paths: Sequence[int]) -> Iterator[Box]:
    rects = array("f", bytes(_RECT.size * len(paths)))
    left, _ = rects.buffer_info()
    for path in paths:
        _bounds(path, left, left + 4, left + 8, left + 12)
        left += _RECT.size
    return _RECT.iter_unpack(rects)


def _is_flat(box: Box) -> bool:
    left, bottom, right, top = box
    return right - left > top - bottom


def _is_rule(width: float, height: float) -> bool:
    return min(width, height) <= _THICK < max(width, height)


def _sides(outline: Sequence[_Point]) -> Iterator[Box]:
    for point, following in pairwise(outline):
        side = _around(point, following)
        if _is_rule(side[2] - side[0], side[3] - side[1]):
            yield side


def _as_bar(outline: Sequence[_Point]) -> Iterator[Box]:
    xs, ys = [x for x, _ in outline], [y for _, y in outline]
    if _is_rule(max(xs) - min(xs), max(ys) - min(ys)):
        yield min(xs), min(ys), max(xs), max(ys)


def _around(one: _Point, other: _Point) -> Box:
    return (
        min(one[0], other[0]),
        min(one[1], other[1]),
        max(one[0], other[0]),
        max(one[1], other[1]),
    )


def _moved(point: _Point, matrix: _Matrix) -> _Point:
    (x, y), (a, b, c, d, e, f) = point, matrix
    return a * x + c * y + e, b * x + d * y + f


def _product(first: _Matrix, second: _Matrix) -> _Matrix:
    """Return what both do, one after the other (ISO 32000-1, 8.3.4)."""
    a, b, c, d, e, f = second
    e, f = _moved((first[4], first[5]), second)
    return (
        first[0] * a + first[1] * c,
        first[0] * b + first[1] * d,
        first[2] * a + first[3] * c,
        first[2] * b + first[3] * d,
        e,
        f,
    )
