"""One function for every kind of file."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING
from xml.parsers.expat import ExpatError
from zipfile import BadZipFile

from lxml import etree

from ingest.errors import UnreadableFileError, UnsupportedTypeError
from ingest.parsers import media_types
from ingest.parsers.cleaning import without_surrogates
from ingest.parsers.damage import DAMAGE
from ingest.parsers.media_types import SCANS, SUPPORTED, detect_media_type
from ingest.parsers.ocr_settings import OcrSettings
from ingest.texts import CanonicalText

if TYPE_CHECKING:  # parsers are imported when they are needed, see below
    from ingest.parsers.attachments import Content

_DAMAGE = (BadZipFile, ExpatError, etree.LxmlError, *DAMAGE)
# A mail in a mail in a mail.
_MAX_DEPTH = 3

# Module and function in this package, imported for the first file of its kind: all of them take
# half a second, and a worker may never see a slide.
_PARSERS: Mapping[str, str] = {
    media_types.PDF: "pdf:parse_pdf",
    media_types.DOCX: "word:parse_docx",
    media_types.PPTX: "slides:parse_pptx",
    media_types.XLSX: "sheets:parse_workbook",
    media_types.XLSB: "sheets:parse_workbook",
    media_types.XLS: "sheets:parse_workbook",
    media_types.ODS: "sheets:parse_workbook",
    media_types.ODT: "opendocument:parse_odt",
    media_types.EPUB: "epub:parse_epub",
    media_types.RTF: "richtext:parse_rtf",
    media_types.HTML: "hypertext:parse_html",
    media_types.MARKDOWN: "markdown:parse_markdown",
    media_types.RST: "restructured:parse_rst",
    media_types.CSV: "sheets:parse_delimited",
    media_types.PLAIN: "plain:parse_plain",
    media_types.EML: "mail:parse_eml",
    media_types.MSG: "mail:parse_msg",
    **dict.fromkeys(SCANS, "scan:parse_scan"),
}
_MAILS = (media_types.EML, media_types.MSG)


def parse(
    path: Path,
    media_type: str,
    max_pages: int,
    password: str | None = None,
    ocr: OcrSettings | None = None,
) -> CanonicalText:
    """Return the canonical text of a file.

    Args:
        path: the file.
        media_type: as `detect_media_type` returns it.
        max_pages: a PDF or scan with more pages is refused.
        password: opens an encrypted PDF.
        ocr: how pages without text are read.

    Raises:
        UnsupportedTypeError: there is no parser for the media type.
        UnreadableFileError: the file is damaged, locked, too long or holds no text.
    """
    ocr = ocr or OcrSettings()
    deadline = time.monotonic() + ocr.max_seconds
    text = _Parsing(max_pages, password, ocr, deadline).parse(path.read_bytes(), media_type)
    if not text.text.strip():
        raise UnreadableFileError(
            "no_text",
            "OCR found no text in the image; scan it at 300 dots per inch and upload that."
            if media_type in SCANS
            else "The file holds no text. Check that it is the right file and upload it again.",
        )
    return without_surrogates(text)


@dataclass(frozen=True, slots=True)
class _Parsing:
    """One file and its attachments; `depth` counts the files around it."""

    max_pages: int
    password: str | None
    ocr: OcrSettings
    ocr_deadline: float
    depth: int = 0

    def parse(self, data: bytes, media_type: str) -> CanonicalText:
        return self._guarded(partial(self._parser(media_type), data))

    def _guarded(self, read: Callable[[], CanonicalText]) -> CanonicalText:
        try:
            return read()
        except _DAMAGE as error:
            raise UnreadableFileError(
                "damaged",
                f"The file is damaged and could not be read ({type(error).__name__}); save it "
                "anew, or as PDF, and upload that.",
            ) from error

    def _parser(self, media_type: str) -> Callable[[bytes], CanonicalText]:
        name = _PARSERS.get(media_type)
        if name is None:
            raise UnsupportedTypeError(f"No parser reads {media_type}. Supported are {SUPPORTED}.")
        parser: Callable[..., CanonicalText] = resolve_name(f"ingest.parsers.{name}")
        if media_type == media_types.PDF:
            return partial(
                parser,
                max_pages=self.max_pages,
                password=self.password,
                ocr=self.ocr,
                parse_attachment=self._parse_attachment,
            )
        if media_type in SCANS:
            return partial(parser, max_pages=self.max_pages, ocr=self.ocr)
        if media_type in _MAILS:
            return partial(parser, parse_attachment=self._parse_attachment)
        return parser

    def _parse_attachment(self, content: "Content", filename: str) -> CanonicalText:
        if self.depth == _MAX_DEPTH:
            raise UnsupportedTypeError(f"{filename} is an attachment within too many others.")
        # The time for OCR is that of the whole file.
        ocr = replace(self.ocr, max_seconds=max(0.0, self.ocr_deadline - time.monotonic()))
        inner = replace(self, ocr=ocr, depth=self.depth + 1)
        if not isinstance(content, bytes):
            return inner._guarded(partial(content, inner._parse_attachment))
        return inner.parse(content, detect_media_type(BytesIO(content), filename))
