"""Which words of a PDF page are seen; white on white is looked for in the rendered page."""

import math
from collections.abc import Iterable

import pypdfium2.raw as pdfium
from pypdfium2 import PdfPage

from ingest.parsers.boxes import Box, overlap, turned
from ingest.parsers.page_characters import WHITE, Characters, Paint

# Hidden text of fewer characters may be missed on a page that hides nothing else.
_SAMPLE_CHARACTERS = 10
_TINY_POINTS = 1.0
# An image of this share of the page beneath invisible text makes it a scan with its OCR.
_SCAN_SHARE = 0.5
_MAX_PIXELS = 25_000_000
_THUMBNAIL_SCALE = 0.2
# Of 255, the least brightness of paper.
_PAPER = 180


class Visibility:
    """Tells what is seen of one page."""

    def __init__(
        self, page: PdfPage, characters: Characters, page_box: Box, quarter_turns: int
    ) -> None:
        """Set up.

        Args:
            page: the page.
            characters: its text.
            page_box: the page as it is turned for reading, as are all boxes here.
            quarter_turns: by which it is turned, clockwise.
        """
        self._page = page
        self._characters = characters
        self._page_box = page_box
        self._quarter_turns = quarter_turns
        self._is_paintable = overlap(page_box, page_box) < _MAX_PIXELS
        self._canvas: _Canvas | None = None
        self._is_scan: bool | None = None

    def may_hide(self, lines: Iterable[Box]) -> bool:
        """Tell whether there may be invisible words on the page."""
        if not self._characters.is_all_ink(_SAMPLE_CHARACTERS):
            return True
        left, bottom, right, top = self._page_box
        return any(
            box[3] - box[1] < _TINY_POINTS
            or box[0] < left
            or box[1] < bottom
            or box[2] > right
            or box[3] > top
            for box in lines
        )

    def is_visible(self, place: int, box: Box) -> bool:
        """Tell whether a word is seen; `place` is that of its first character."""
        if box[3] - box[1] < _TINY_POINTS or not overlap(box, self._page_box):
            return False
        match self._characters.paint(place):
            case Paint.WHITE if self._is_paintable:
                self._canvas = self._canvas or _Canvas(self._page)
                return not self._canvas.is_blank(turned(box, -self._quarter_turns % 4))
            case Paint.NONE:
                if self._is_scan is None:
                    self._is_scan = _is_scan(self._page)
                return self._is_scan
            case _:
                return True


def shows_paper(page: PdfPage) -> bool:
    """Tell whether an image covers the page that is as bright as paper, which photos are not."""
    if not _is_scan(page):
        return False
    bitmap = page.render(scale=_THUMBNAIL_SCALE, grayscale=True)
    brightness: list[int] = bitmap.to_pil().histogram()
    bitmap.close()
    return sum(brightness[_PAPER:]) > sum(brightness) / 2


def _is_scan(page: PdfPage) -> bool:
    """Tell whether an image covers the page, so that invisible text on it is its OCR."""
    page_box = page.get_bbox()
    images = page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE])
    covered = max((overlap(image.get_bounds(), page_box) for image in images), default=0.0)
    return covered >= _SCAN_SHARE * overlap(page_box, page_box)


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
            >= WHITE
            for row in rows
        )
