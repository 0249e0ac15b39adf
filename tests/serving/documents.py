"""Small documents of every supported type, and broken ones, made by hand."""

from collections.abc import Sequence
from io import BytesIO
from zipfile import ZipFile

from PIL import Image
from pypdf import PdfWriter

from tests.ingest.parsers.pdf_files import add_image, content_writer, damage, show_lines

BEES = """\
# Bees

Bees sleep at night inside the hive. They dance to show where nectar grows.

## Honey

One hive gives twenty kilograms of honey each year. Smoke calms angry bees before the harvest.
"""
TIDES = """\
<!doctype html>
<html><head><title>Tides</title></head>
<body><h1>Tides</h1><p>The moon pulls the ocean twice each day.</p>
<p>Spring tides follow the full moon.</p></body></html>
"""
ROPES = "A bowline never slips under load.\n\nA sheet bend joins two ropes of different size.\n"
LIGHTHOUSE_PAGES = (
    "The lighthouse was built from granite in 1891.\nIts lamp burned rapeseed oil.\n"
    "Ships could see this light from thirty miles away.",
    "The keeper retired in 1974 after forty years.\nSince then a timer switches the lamp.",
)


def make_pdf(pages: Sequence[str]) -> bytes:
    """Return a PDF with the lines of each text on a page of its own."""
    return _bytes(_write(pages))


def make_encrypted_pdf(secret: str) -> bytes:
    writer = _write(LIGHTHOUSE_PAGES)
    writer.encrypt(secret, algorithm="AES-256")
    return _bytes(writer)


def make_scan() -> bytes:
    """Return a PDF whose page is an image without words, with Tesseract and without."""
    writer = content_writer([""])
    add_image(writer, writer.pages[0], Image.new("L", (8, 8)))
    return _bytes(writer)


def make_pdf_with_damaged_page(text: str) -> bytes:
    """Return a PDF with a good first page and a second one that no reader reads."""
    writer = _write([text, ""])
    damage(writer, writer.pages[1])
    return _bytes(writer)


def make_damaged_pdf() -> bytes:
    return b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 9 0 R >>\nstartxref\n4711\n%%EOF\n"


def make_gif() -> bytes:
    return b"GIF89a\x01\x00\x01\x00\x80\x00\x00"


def make_zip() -> bytes:
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr("notes.txt", "Bees sleep at night.")
    return buffer.getvalue()


def _write(pages: Sequence[str]) -> PdfWriter:
    return content_writer([show_lines(72, 770, text, 12) for text in pages])


def _bytes(writer: PdfWriter) -> bytes:
    buffer = BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


LIGHTHOUSE = make_pdf(LIGHTHOUSE_PAGES)
