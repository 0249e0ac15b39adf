"""PDF by pypdf: slower than PDFium, but it opens files and pages that PDFium does not."""

import logging
import re
from collections.abc import Sequence
from io import BytesIO

from pypdf import PageObject, PasswordType, PdfReader, PdfWriter, apply_configuration
from pypdf.errors import DependencyError, LimitReachedError
from pypdf.generic import ArrayObject, DictionaryObject, NullObject, StreamObject

from ingest.errors import UnreadableFileError
from ingest.parsers.attachments import Attachment
from ingest.parsers.cleaning import EAST_ASIAN, clean
from ingest.parsers.page_lines import Line, PageLines
from ingest.parsers.pdf_attachments import PDF_ERRORS, read_attachments
from ingest.parsers.pdf_errors import damaged, encrypted, too_many_pages

# Inner nodes of a page tree; a sound tree has fewer of them than pages.
_MIN_TREE_ENTRIES = 1000
# Nothing, compressed.
_EMPTY_STREAM_BYTES = 16
# Characters that stand one below the other, each a line of its own.
_VERTICAL = re.compile(rf"(?m)^(?:{EAST_ASIAN.pattern}\n){{3,}}{EAST_ASIAN.pattern}$")
_FONT_FILES = ("/FontFile", "/FontFile2", "/FontFile3")


class Fallback:
    """One file, opened by pypdf when first asked for a page."""

    def __init__(self, data: bytes, max_pages: int, password: str | None) -> None:
        self._data = data
        self._max_pages = max_pages
        self._password = password
        self._reader: PdfReader | None = None
        # pypdf warns of every fault in a file, which says nothing to the operator of a service.
        logging.getLogger("pypdf").setLevel(logging.CRITICAL)

    def num_pages(self) -> int:
        """Return the number of pages.

        Raises:
            UnreadableFileError: code `damaged`, `encrypted` or `too_many_pages`.
        """
        with apply_configuration(page_tree_maximum_entries=2 * self._max_pages + _MIN_TREE_ENTRIES):
            try:
                reader = self._open()
                if max(_declared_pages(reader), len(reader.pages)) > self._max_pages:
                    raise too_many_pages(self._max_pages)
                return len(list(reader.pages))
            except LimitReachedError as error:
                raise too_many_pages(self._max_pages) from error
            except PDF_ERRORS as error:
                raise damaged() from error

    def read(self, index: int) -> PageLines | None:
        """Return the lines of a page, without places; None when pypdf does not open the file."""
        try:
            reader = self._open()
        except UnreadableFileError:
            return None
        try:
            page = reader.pages[index]
            text = clean(page.extract_text())
            is_damaged = not text and _is_content_lost(page)
        except PDF_ERRORS:
            return PageLines([], is_damaged=True)
        if is_damaged:
            return PageLines([], is_damaged=True)
        text = _VERTICAL.sub(lambda letters: letters[0].replace("\n", ""), text)
        return PageLines([Line(line) for line in text.split("\n") if line])

    def lacks_font(self, index: int) -> bool:
        """Tell whether a page names a font for Chinese, Japanese or Korean that is not there."""
        try:
            resources = self._open().pages[index].get("/Resources", NullObject()).get_object()
            fonts = resources.get("/Font", NullObject()).get_object()
            return any(_is_lacking(font.get_object()) for font in fonts.values())
        except (UnreadableFileError, *PDF_ERRORS):
            return False

    def rewritten(self) -> bytes:
        """Return the file with a page tree that lists all its pages.

        Raises:
            UnreadableFileError: code `damaged` or `encrypted`.
        """
        reader = self._open()
        writer = PdfWriter()
        file = BytesIO()
        try:
            writer.append(reader)
            writer.metadata = reader.metadata
            writer.write(file)
        except PDF_ERRORS as error:
            raise damaged() from error
        return file.getvalue()

    def attachments(self, pages: Sequence[int] = ()) -> list[Attachment]:
        """Return the files within the file, also those pinned to pages, which count from 0.

        Raises:
            UnreadableFileError: code `damaged` or `encrypted`.
        """
        reader = self._open()
        try:
            return read_attachments(reader, pages)
        except PDF_ERRORS as error:
            raise damaged() from error

    def xmp(self) -> dict[str, str]:
        """Return title, author and dates of the XMP packet, as far as there are any."""
        try:
            packet = self._open().xmp_metadata
            if packet is None:
                return {}
            fields = {
                "title": next(iter((packet.dc_title or {}).values()), None),
                "author": ", ".join(packet.dc_creator or []),
                "created": packet.xmp_create_date and packet.xmp_create_date.isoformat(),
                "modified": packet.xmp_modify_date and packet.xmp_modify_date.isoformat(),
            }
        except (UnreadableFileError, *PDF_ERRORS):
            return {}
        return {name: clean(str(value)) for name, value in fields.items() if value}

    def _open(self) -> PdfReader:
        if self._reader is None:
            self._reader = self._opened()
        return self._reader

    def _opened(self) -> PdfReader:
        try:
            reader = PdfReader(BytesIO(self._data))
            if reader.is_encrypted:
                result = reader.decrypt(self._password or "")
                if result == PasswordType.NOT_DECRYPTED:
                    raise encrypted(self._password)
        except (DependencyError, NotImplementedError) as error:
            raise encrypted(self._password) from error
        except PDF_ERRORS as error:
            raise damaged() from error
        return reader


def _is_lacking(font: DictionaryObject) -> bool:
    """Tell whether this is a font of many characters that is not in the file."""
    if font.get("/Subtype") != "/Type0":
        return False
    inner = font["/DescendantFonts"].get_object()
    if not isinstance(inner, ArrayObject):
        return False
    descriptor = inner[0].get_object().get("/FontDescriptor", DictionaryObject()).get_object()
    return not any(name in descriptor for name in _FONT_FILES)


def _is_content_lost(page: PageObject) -> bool:
    """Tell whether there is a content stream of which nothing can be unpacked."""
    content = page.get("/Contents", NullObject()).get_object()
    streams = content if isinstance(content, ArrayObject) else [content]
    for one in streams:
        stream = one.get_object()
        if not isinstance(stream, StreamObject) or len(stream._data) <= _EMPTY_STREAM_BYTES:
            continue
        if not stream.get_data():
            return True
    return False


def _declared_pages(reader: PdfReader) -> int:
    tree = reader.root_object["/Pages"].get_object()
    count = tree.get("/Count") if isinstance(tree, dict) else None
    return count if isinstance(count, int) else 0
