"""Scans as pictures (PNG, JPEG, TIFF): each frame is a page that is read by OCR."""

import warnings
from io import BytesIO

from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from ingest.errors import UnreadableFileError
from ingest.parsers.ocr import OcrError, Tesseract, ocr_lines
from ingest.parsers.ocr_settings import OcrSettings
from ingest.parsers.page_lines import Line
from ingest.parsers.page_text import plain_text
from ingest.parsers.unread_pages import UnreadPages
from ingest.texts import CanonicalText

_FORMATS = ("PNG", "JPEG", "TIFF")
# An A3 page at 600 dots per inch has 70 million.
_MAX_PIXELS = 100_000_000


def parse_scan(data: bytes, max_pages: int, ocr: OcrSettings | None = None) -> CanonicalText:
    """Return the text of all frames, each a page; it is empty when OCR finds none.

    Raises:
        UnreadableFileError: code `damaged`, `too_large`, `too_many_pages`, or `no_text` when
            nothing could be read, because Tesseract is not installed for example.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd tags, which say nothing to operators
            bodies, unread = _read(data, max_pages, Tesseract(ocr or OcrSettings()))
    except Image.DecompressionBombError as error:
        # Of what has twice the pixels that Pillow warns of, it tells not even the size.
        raise UnreadableFileError(
            "too_large",
            f"The image has a page of more than {_MAX_PIXELS:,} pixels, which is too much; scan it "
            "at 300 dots per inch and upload that.",
        ) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, TypeError) as error:
        raise UnreadableFileError(
            "damaged", "The image is damaged and does not open; scan the page again."
        ) from error
    if unread.reason and not any(bodies):
        raise UnreadableFileError("no_text", unread.reason)
    ocr_pages = tuple(number for number, body in enumerate(bodies, start=1) if body)
    return plain_text(bodies, unread, ocr_pages)


def _read(
    data: bytes, max_pages: int, tesseract: Tesseract
) -> tuple[list[list[Line]], UnreadPages]:
    bodies: list[list[Line]] = []
    unread = UnreadPages()
    with Image.open(BytesIO(data), formats=_FORMATS) as image:
        for number, frame in enumerate(ImageSequence.Iterator(image), start=1):
            if number > max_pages:
                raise UnreadableFileError(
                    "too_many_pages",
                    f"The image has more than {max_pages} pages; split it and upload the parts.",
                )
            if frame.width * frame.height > _MAX_PIXELS:
                raise UnreadableFileError(
                    "too_large",
                    f"Page {number} has {frame.width} x {frame.height} pixels, which is too much; "
                    "scan it at 300 dots per inch and upload that.",
                )
            try:
                bodies.append(ocr_lines(tesseract.read(_upright(frame))))
            except OcrError as error:
                bodies.append([])
                unread.add_scan(number, str(error))
    if tesseract.shortcoming:
        unread.add_remark(tesseract.shortcoming)
    return bodies, unread


def _upright(frame: Image.Image) -> Image.Image:
    """Return the picture as it is looked at, in grey on white."""
    picture = ImageOps.exif_transpose(frame) or frame
    if picture.mode.startswith("I"):  # 16 bits, of which converting would clip the upper ones
        picture = picture.point(lambda value: value * (1 / 256))
    if picture.mode in {"RGBA", "LA", "P", "PA"}:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
    return picture.convert("L")
