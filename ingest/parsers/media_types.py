"""What kind of file this is, by its first bytes; the name only decides between kinds of text."""

import codecs
import re
from pathlib import PurePath

from ingest.errors import UnsupportedTypeError

PDF = "application/pdf"
MARKDOWN = "text/markdown"
HTML = "text/html"
PLAIN = "text/plain"

# Readers accept the PDF header anywhere in the first 1024 bytes (ISO 32000-1, note 13 of annex H).
_PDF_HEADER_WINDOW = 1024
_UNICODE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
_BINARY_MAGIC = (
    b"PK\x03\x04",  # zip, and with it docx, xlsx, pptx, odt and epub
    b"PK\x05\x06",
    b"\xd0\xcf\x11\xe0",  # doc, xls, ppt, msg
    b"{\\rtf",
    b"\x89PNG",
    b"GIF8",
    b"\xff\xd8\xff",  # jpeg
    b"\x1f\x8b",  # gzip
    b"BZh",
    b"7z\xbc\xaf",
    b"Rar!",
    b"\xfd7zXZ",
    b"\x7fELF",
)
_CONTROL_BYTES = bytes({*range(0x20), 0x7F} - set(b"\t\n\v\f\r\x1b"))
_MAX_CONTROL_SHARE = 0.01
_SUFFIXES = {".md": MARKDOWN, ".markdown": MARKDOWN, ".html": HTML, ".htm": HTML, ".xhtml": HTML}
_PROLOGUE = re.compile(r"\A(?:\s+|<\?xml[^>]*>|<!--.*?-->)*+", re.DOTALL)
_DOCUMENT_TAG = re.compile(r"<(?:!doctype\s+html|html)\b", re.IGNORECASE)
_LEADING_TAG = re.compile(
    r"<(?:head|title|meta|body|script|style|div|p|h[1-6]|table|ul|ol|main|article|section)\b[^<]*>",
    re.IGNORECASE,
)


def detect_media_type(head: bytes, filename: str) -> str:
    """Return the media type of a file that a parser reads.

    Args:
        head: the first bytes of the file; 4096 are enough.
        filename: its name; only the suffix is used.

    Raises:
        UnsupportedTypeError: the content is neither PDF nor text.
    """
    if b"%PDF-" in head[:_PDF_HEADER_WINDOW]:
        return PDF
    if _is_binary(head):
        raise UnsupportedTypeError(
            f"{filename} is neither PDF nor text. Supported are PDF, Markdown, HTML and plain "
            "text; save the document as one of these and upload it again."
        )
    return _text_type(_PROLOGUE.sub("", _decode_head(head)), filename)


def _is_binary(head: bytes) -> bool:
    if head.startswith(_UNICODE_MARKS):
        return False
    if head.startswith(_BINARY_MAGIC) or b"\0" in head:
        return True
    num_controls = len(head) - len(head.translate(None, _CONTROL_BYTES))
    return num_controls > _MAX_CONTROL_SHARE * len(head)


def _decode_head(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return head.decode("utf-32", "ignore")
    if head.startswith(_UNICODE_MARKS):
        return head.decode("utf-16", "ignore")
    return head.removeprefix(codecs.BOM_UTF8).decode("latin-1")


def _text_type(content: str, filename: str) -> str:
    if _DOCUMENT_TAG.match(content):
        return HTML
    # READMEs often begin with `<p align="center">`: a Markdown name outweighs a lone leading tag.
    named = _SUFFIXES.get(PurePath(filename).suffix.lower())
    if named:
        return named
    return HTML if _LEADING_TAG.match(content) else PLAIN
