"""What kind of file this is, by its content; the name only decides between kinds of text."""

import re
from codecs import BOM_UTF8
from io import SEEK_END
from pathlib import PurePath
from typing import BinaryIO
from zipfile import ZipFile

import olefile

from ingest.errors import UnsupportedTypeError
from ingest.parsers.archive import OLE_ERRORS, OLE_MAGIC, ZIP_ERRORS, ZIP_MAGIC
from ingest.parsers.decoding import unicode_encoding
from ingest.parsers.wide_encodings import is_printable

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
XLSB = "application/vnd.ms-excel.sheet.binary.macroenabled.12"
XLS = "application/vnd.ms-excel"
ODT = "application/vnd.oasis.opendocument.text"
ODS = "application/vnd.oasis.opendocument.spreadsheet"
EPUB = "application/epub+zip"
RTF = "application/rtf"
MSG = "application/vnd.ms-outlook"
EML = "message/rfc822"
MARKDOWN = "text/markdown"
RST = "text/x-rst"
CSV = "text/csv"
HTML = "text/html"
PLAIN = "text/plain"
PNG = "image/png"
JPEG = "image/jpeg"
TIFF = "image/tiff"
SCANS = (PNG, JPEG, TIFF)

SUPPORTED = (
    "PDF, Word (docx), PowerPoint (pptx), Excel (xlsx, xlsb, xls), OpenDocument (odt, ods), EPUB, "
    "RTF, mail (eml, msg), HTML, Markdown, reStructuredText, CSV, plain text and scans (png, jpeg, "
    "tiff)"
)
HEAD_BYTES = 4096
# Readers accept the PDF header anywhere in the first 1024 bytes (ISO 32000-1, note 13 of annex H).
_PDF_HEADER_WINDOW = 1024
_PDF_HEADER = b"%PDF-"
_PDF_OBJECT = re.compile(rb"[\r\n]\d+ \d+ obj\b")
_PDF_END = re.compile(rb"startxref\s+\d+\s+%%EOF\s*\Z")
# Magic numbers are whole, because texts may begin like them.
_BINARY_MAGIC = re.compile(
    rb"PK\x05\x06"  # an empty zip
    rb"|GIF8[79]a.[\x00-\x1f].[\x00-\x1f]"  # with width and height, less than 8,192 each
    rb"|\x1f\x8b\x08"  # gzip
    rb"|BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)"
    rb"|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|\xfd7zXZ\x00|\x7fELF",
    re.DOTALL,
)
_SCAN_MAGIC = {
    b"\x89PNG\r\n\x1a\n": PNG,
    b"\xff\xd8\xff": JPEG,
    b"II*\0": TIFF,
    b"MM\0*": TIFF,
}
_RTF_MAGIC = b"{\\rtf"
# The content type of the main part of an Office Open XML file (ECMA-376, part 1), templates and
# files with macros included.
_OFFICE_PARTS = {
    re.compile(rb"wordprocessingml\.(?:document|template)\.main|ms-word\.\w+\.macroEnabled"): DOCX,
    re.compile(
        rb"presentationml\.(?:presentation|slideshow|template)\.main"
        rb"|ms-powerpoint\.\w+\.macroEnabled"
    ): PPTX,
    re.compile(rb"ms-excel\.sheet\.binary"): XLSB,
    re.compile(rb"spreadsheetml\.(?:sheet|template)\.main|ms-excel\.\w+\.macroEnabled"): XLSX,
}
_MAX_CONTENT_TYPES_BYTES = 1 << 20
_MIMETYPES = {
    ODT: ODT,
    f"{ODT}-template": ODT,
    ODS: ODS,
    f"{ODS}-template": ODS,
    EPUB: EPUB,
}
# Streams of an OLE file that tell what it is.
_OLE_STREAMS = {"__properties_version1.0": MSG, "Workbook": XLS, "Book": XLS}
# A locked Office file is an OLE file, whatever is inside; only its name tells that.
_LOCKED_OFFICE = {".xlsx": XLSX, ".pptx": PPTX}
_OLD_OFFICE = {"WordDocument": "DOCX", "PowerPoint Document": "PPTX"}
_SUFFIXES = {
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
    ".rst": RST,
    ".csv": CSV,
    ".tsv": CSV,
    ".tab": CSV,
    ".eml": EML,
}
# A mail begins with fields, among them one that only mail programs write.
_MAIL_FIELDS = re.compile(r"(?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*)+")
_MAIL_MARK = re.compile(r"^(?:message-id|mime-version|received|return-path):", re.I | re.M)
_PROLOGUE = re.compile(r"\A(?:\s+|<\?xml[^>]*>|<!--.*?-->)*+", re.DOTALL)
_DOCUMENT_TAG = re.compile(r"<(?:!doctype\s+html|html)\b", re.IGNORECASE)
_LEADING_TAG = re.compile(
    r"<(?:head|title|meta|body|script|style|div|p|h[1-6]|table|ul|ol|main|article|section)\b[^<]*>",
    re.IGNORECASE,
)


def detect_media_type(file: BinaryIO, filename: str) -> str:
    """Return the media type of a file that a parser reads.

    Args:
        file: the content; read from the start, left anywhere.
        filename: its name; only the suffix is used.

    Raises:
        UnsupportedTypeError: no parser reads this kind of content.
    """
    head = file.read(HEAD_BYTES)
    if head.startswith(_RTF_MAGIC):
        return RTF
    for magic, scan in _SCAN_MAGIC.items():
        if head.startswith(magic):
            return scan
    if head.startswith(ZIP_MAGIC):
        media_type = _zip_type(file, filename)
    elif head.startswith(OLE_MAGIC):
        media_type = _ole_type(file, filename)
    elif _is_pdf(file, head):
        media_type = PDF
    elif _is_binary(head):
        media_type = None
    else:
        media_type = _text_type(_PROLOGUE.sub("", _decode_head(head)), filename)
    if media_type is None:
        raise UnsupportedTypeError(
            f"{filename} is of a kind that is not supported. Supported are {SUPPORTED}; save the "
            "document as one of these and upload it again."
        )
    return media_type


def _zip_type(file: BinaryIO, filename: str) -> str | None:
    try:
        with ZipFile(file) as archive:
            names = set(archive.namelist())
            if "mimetype" in names:
                with archive.open("mimetype") as entry:
                    return _MIMETYPES.get(entry.read(200).decode("latin-1").strip())
            if "[Content_Types].xml" in names:
                with archive.open("[Content_Types].xml") as entry:
                    content_types = entry.read(_MAX_CONTENT_TYPES_BYTES)
                found = (kind for part, kind in _OFFICE_PARTS.items() if part.search(content_types))
                return next(found, None)
            return EPUB if "META-INF/container.xml" in names else None
    except ZIP_ERRORS as error:
        raise _broken(filename) from error


def _ole_type(file: BinaryIO, filename: str) -> str | None:
    try:
        with olefile.OleFileIO(file) as streams:
            for name, newer in _OLD_OFFICE.items():
                if streams.exists(name):
                    raise UnsupportedTypeError(
                        f"{filename} is in the format of Office 2003 or older; save it as {newer} "
                        "or PDF and upload that."
                    )
            if streams.exists("EncryptedPackage"):
                return _LOCKED_OFFICE.get(PurePath(filename).suffix.lower(), DOCX)
            return next((k for name, k in _OLE_STREAMS.items() if streams.exists(name)), None)
    except OLE_ERRORS as error:
        raise _broken(filename) from error


def _broken(filename: str) -> UnsupportedTypeError:
    """Return the error for a container whose content cannot be told."""
    return UnsupportedTypeError(
        f"{filename} is damaged, as after a download that broke off; get it anew and upload that."
    )


def _is_pdf(file: BinaryIO, head: bytes) -> bool:
    """Tell whether the PDF header is one, and not a word in a text about PDF."""
    before, header, _ = head[: _PDF_HEADER_WINDOW + len(_PDF_HEADER)].partition(_PDF_HEADER)
    if not header:
        return False
    before = before.removeprefix(BOM_UTF8)
    if not before.strip() or not is_printable(before):
        return True
    # Behind text, such as the header of a download, only a whole PDF is one.
    file.seek(0, SEEK_END)
    file.seek(max(0, file.tell() - _PDF_HEADER_WINDOW))
    return bool(_PDF_OBJECT.search(head) and _PDF_END.search(file.read()))


def _is_binary(head: bytes) -> bool:
    if _BINARY_MAGIC.match(head):
        return True
    encoding = unicode_encoding(head)
    return not is_printable(head.decode(encoding, "ignore").encode() if encoding else head)


def _decode_head(head: bytes) -> str:
    return head.decode(unicode_encoding(head) or "latin-1", "ignore")


def _text_type(content: str, filename: str) -> str:
    if _DOCUMENT_TAG.match(content):
        return HTML
    fields = _MAIL_FIELDS.match(content)
    if fields and len(_MAIL_MARK.findall(fields.group())) > 1:
        return EML
    # READMEs often begin with `<p align="center">`: a Markdown name outweighs a lone leading tag.
    named = _SUFFIXES.get(PurePath(filename).suffix.lower())
    if named:
        return named
    return HTML if _LEADING_TAG.match(content) else PLAIN
