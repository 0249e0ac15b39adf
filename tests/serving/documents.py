"""Small documents of every supported type, and broken ones, made by hand."""

from collections.abc import Sequence
from io import BytesIO
from zipfile import ZipFile

from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

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
    """Return a PDF whose pages hold no text."""
    writer = PdfWriter()
    writer.add_blank_page(595, 842)
    return _bytes(writer)


def make_damaged_pdf() -> bytes:
    return b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 9 0 R >>\nstartxref\n4711\n%%EOF\n"


def make_png() -> bytes:
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00"


def make_zip() -> bytes:
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr("notes.txt", "Bees sleep at night.")
    return buffer.getvalue()


def _write(pages: Sequence[str]) -> PdfWriter:
    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    fonts = DictionaryObject({NameObject("/F1"): font})
    for text in pages:
        page = writer.add_blank_page(595, 842)
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        lines = " ".join(f"({line}) Tj T*" for line in text.split("\n"))
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 14 TL 72 770 Td {lines} ET".encode())
        page[NameObject("/Contents")] = content
    return writer


def _bytes(writer: PdfWriter) -> bytes:
    buffer = BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


LIGHTHOUSE = make_pdf(LIGHTHOUSE_PAGES)
