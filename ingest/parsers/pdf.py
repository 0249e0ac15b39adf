"""PDF: lines by PDFium, page by page; what it cannot read, by pypdf; scans by OCR.

Every structure in the file may lie.
"""

import logging
from collections.abc import Sequence

import pypdfium2.raw as pdfium
from pypdfium2 import PdfDocument, PdfiumError

from ingest.errors import UnreadableFileError
from ingest.parsers.attachments import Attachment, ParseAttachment, with_attachments
from ingest.parsers.builder import BLOCK_SEPARATOR
from ingest.parsers.cleaning import EAST_ASIAN
from ingest.parsers.ocr import OcrError, Tesseract, ocr_lines, render
from ingest.parsers.ocr_settings import OcrSettings
from ingest.parsers.outline import locate_headings, read_outline, set_apart
from ingest.parsers.page_layout import in_reading_order
from ingest.parsers.page_lines import Line, PageLines, may_show_text, read_lines
from ingest.parsers.page_text import (
    PAGE_SEPARATOR,
    page_starts,
    plain_text,
    to_headings,
    write_pages,
)
from ingest.parsers.page_visibility import shows_paper
from ingest.parsers.pdf_errors import damaged, encrypted, too_many_pages
from ingest.parsers.pdf_fallback import Fallback
from ingest.parsers.pdf_headings import body_size, mark_headings
from ingest.parsers.pdf_metadata import read_metadata
from ingest.parsers.pdf_repairs import with_all_pages, with_object_streams
from ingest.parsers.running_lines import without_running_lines
from ingest.parsers.split_tables import continue_tables
from ingest.parsers.unread_pages import UnreadPages
from ingest.texts import CanonicalText, Heading

# With less text of its own, an image of paper may be all that a page has to say.
_FEW_CHARACTERS = 100
# What OCR finds on such a page is added when it is so many times as long.
_MUCH_MORE = 2
_ATTACHMENTS = b"/EmbeddedFiles"
# A page of so many lines, most of a single letter, is one that PDFium took for vertical text.
_MIN_SCRAMBLED_LINES = 20


def parse_pdf(
    data: bytes,
    max_pages: int,
    password: str | None = None,
    ocr: OcrSettings | None = None,
    parse_attachment: ParseAttachment | None = None,
) -> CanonicalText:
    """Return the text of all pages, joined by `PAGE_SEPARATOR`, and then of the files within.

    Headings are the outline entries whose title stands on the page they point to; without any,
    lines in larger type. Pages without text go through OCR.

    Args:
        data: the file.
        max_pages: a file with more pages, or one that declares more, is refused.
        password: opens an encrypted file; one that any reader opens needs none.
        ocr: how pages without text are read.
        parse_attachment: how files within are read; unset: they are left out.

    Raises:
        UnreadableFileError: code `encrypted`, `damaged`, `too_many_pages` or `no_text`.
    """
    # It warns of every fault in a file, which says nothing to the operator of a service.
    logging.getLogger("pypdfium2").setLevel(logging.CRITICAL)
    data = with_object_streams(data)
    fallback = Fallback(data, max_pages, password)
    document = _open(data, password, fallback)
    if document is None:
        text = _read_by_fallback(fallback)
        return with_attachments(text, _attachments(fallback, ()), parse_attachment)
    with document:
        if len(document) > max_pages:
            raise too_many_pages(max_pages)
        pages = [_read_page(document, index, fallback) for index in range(len(document))]
        bodies = without_running_lines(pages, body_size([page.lines for page in pages]))
        tesseract = Tesseract(ocr or OcrSettings())
        ocr_pages, unread = _read_scans(document, pages, bodies, tesseract)
        attachments = _attachments_of(document, data, pages, fallback)
        if not any(bodies) and not attachments and not any(p.annotations.notes for p in pages):
            raise _no_text(unread, ocr_pages)
        outline = read_outline(document)
        metadata = read_metadata(document, data, fallback)
    if not outline:
        mark_headings(bodies)
    continue_tables(bodies)
    texts, spans = write_pages(bodies)
    texts, outlined = _with_outline(list(map(_with_notes, texts, pages)), outline)
    starts = page_starts(texts)
    text = CanonicalText(
        text=PAGE_SEPARATOR.join(texts),
        page_starts=starts,
        headings=outlined or to_headings(texts, spans, starts),
        unreadable_pages=unread.numbers,
        unreadable_reason=unread.reason,
        ocr_pages=tuple(number for number in ocr_pages if bodies[number - 1]),
        num_hidden_characters=sum(page.num_hidden for page in pages),
        metadata=metadata,
    )
    return with_attachments(text, attachments, parse_attachment)


def _open(data: bytes, password: str | None, fallback: Fallback) -> PdfDocument | None:
    """Return the opened file, or None when PDFium finds no page in it."""
    try:
        document = PdfDocument(data, password=password)
    except PdfiumError as error:
        if error.err_code == pdfium.FPDF_ERR_PASSWORD:
            raise encrypted(password) from error
        return None
    if not len(document):
        document.close()
        return None
    if (whole := with_all_pages(data, len(document), fallback)) is not None:
        document.close()
        document = PdfDocument(whole)
    document.init_forms()  # draws fields and typed notes that the file has no picture of
    return document


def _read_page(document: PdfDocument, index: int, fallback: Fallback) -> PageLines:
    """Return the lines of a page in reading order."""
    try:
        page = read_lines(document, index)
    except PdfiumError:
        return fallback.read(index) or PageLines([], is_damaged=True)
    if page.num_objects == 0 or _is_scrambled(page.lines):
        return _instead_of(page, fallback.read(index))
    page.lacks_text = page.lacks_text and fallback.lacks_font(index)
    is_vertical = _is_vertical(page.lines)
    if is_vertical or page.lacks_text:
        other = fallback.read(index) or page
        page.lacks_text = page.lacks_text and _has_other_letters(other.lines, page.lines)
        if (is_vertical or page.lacks_text) and _is_east_asian(other.lines):
            return _instead_of(page, other)
    page.lines = in_reading_order(page.lines)
    return page


def _instead_of(page: PageLines, other: PageLines | None) -> PageLines:
    if other is None:
        return page
    other.annotations = page.annotations
    return other


def _is_vertical(lines: Sequence[Line]) -> bool:
    """Tell whether most lines run down, side by side: PDFium gives them from left to right."""
    num_vertical = sum(
        len(line.text) > 1
        and line.top - line.bottom > line.right - line.left
        and EAST_ASIAN.search(line.text) is not None
        for line in lines
    )
    return 2 * num_vertical > len(lines)


def _has_other_letters(lines: Sequence[Line], others: Sequence[Line]) -> bool:
    """Tell whether lines have letters that others have nowhere; some texts are painted twice."""
    return not _letters(lines) <= _letters(others)


def _letters(lines: Sequence[Line]) -> set[str]:
    return {letter for line in lines for letter in line.text if letter.isalpha()}


def _is_east_asian(lines: Sequence[Line]) -> bool:
    """Tell whether most letters beyond ASCII are; codes that were misread are of any script."""
    letters = [letter for letter in _letters(lines) if not letter.isascii()]
    return 2 * sum(1 for one in letters if EAST_ASIAN.fullmatch(one)) > len(letters)


def _is_scrambled(lines: Sequence[Line]) -> bool:
    num_single = sum(len(line.text) == 1 for line in lines)
    return len(lines) >= _MIN_SCRAMBLED_LINES and num_single > len(lines) / 2


def _read_by_fallback(fallback: Fallback) -> CanonicalText:
    """Return the plain text of a file that PDFium does not open."""
    unread = UnreadPages()
    bodies = []
    for index in range(fallback.num_pages()):
        page = fallback.read(index)
        bodies.append(page.lines if page else [])
        if not bodies[-1]:
            unread.add_damaged(index + 1)
    if not any(bodies):
        raise damaged()
    return plain_text(bodies, unread)


def _read_scans(
    document: PdfDocument,
    pages: Sequence[PageLines],
    bodies: list[list[Line]],
    tesseract: Tesseract,
) -> tuple[tuple[int, ...], UnreadPages]:
    """Put the text of page images into `bodies`.

    Returns:
        The numbers of the pages that were read, from 1, and the pages that were not.
    """
    read: list[int] = []
    unread = UnreadPages(number for number, page in enumerate(pages, 1) if page.lacks_text)
    for index, page in enumerate(pages):
        num_characters = sum(len(line.text) for line in bodies[index])
        if num_characters >= _FEW_CHARACTERS:
            continue
        if page.is_damaged:
            unread.add_damaged(index + 1)
            continue
        try:
            if page.num_objects and _may_show_text(document, index, has_text=num_characters > 0):
                lines = ocr_lines(tesseract.read(render(document, index)))
                if sum(len(line.text) for line in lines) >= _MUCH_MORE * num_characters:
                    bodies[index] += lines
                    read.append(index + 1)
            elif not bodies[index]:
                bodies[index] = page.lines  # nothing but a header or a page number
        except OcrError as error:
            unread.add_scan(index + 1, str(error))
            bodies[index] = bodies[index] or page.lines
        except (PdfiumError, ValueError):
            unread.add_damaged(index + 1)
    if tesseract.shortcoming:
        unread.add_remark(tesseract.shortcoming)
    return tuple(read), unread


def _with_outline(
    texts: list[str], outline: Sequence[tuple[int, int, str]]
) -> tuple[list[str], tuple[Heading, ...]]:
    """Return the texts of the pages with titles of the outline as blocks, and these as headings."""
    headings = locate_headings(outline, texts, page_starts(texts))
    if headings:
        texts = set_apart(texts, headings, page_starts(texts))
        headings = locate_headings(outline, texts, page_starts(texts))
    return texts, headings


def _with_notes(text: str, page: PageLines) -> str:
    """Return the text of a page with its notes, but for those that only repeat what they mark."""
    if not page.annotations.notes:
        return text
    words = " ".join(text.split())
    comments = [f"Comment: {note}" for note in page.annotations.notes if note not in words]
    return BLOCK_SEPARATOR.join(block for block in (text, *comments) if block)


def _attachments_of(
    document: PdfDocument, data: bytes, pages: Sequence[PageLines], fallback: Fallback
) -> list[Attachment]:
    pinned = [index for index, page in enumerate(pages) if page.annotations.has_files]
    # A file that was rewritten for its pages has lost what belongs to none.
    if pinned or pdfium.FPDFDoc_GetAttachmentCount(document) or _ATTACHMENTS in data:
        return _attachments(fallback, pinned)
    return []


def _attachments(fallback: Fallback, pinned: Sequence[int]) -> list[Attachment]:
    try:
        return fallback.attachments(pinned)
    except UnreadableFileError as error:
        return [Attachment("of the PDF", "", reason=str(error))]


def _may_show_text(document: PdfDocument, index: int, *, has_text: bool) -> bool:
    """Tell whether the image of a page may say more than its text."""
    page = document[index]
    try:
        return shows_paper(page) if has_text else may_show_text(page)
    finally:
        page.close()


def _no_text(unread: UnreadPages, ocr_pages: Sequence[int]) -> UnreadableFileError:
    if unread.are_damaged:
        return damaged()
    if unread.reason:
        message = f"No page holds text. {unread.reason}"
    elif ocr_pages:
        message = (
            "No page holds text, and OCR found none in the images; scan them at 300 dots per inch "
            "and upload that."
        )
    else:
        message = (
            "No page holds text or an image of text; check that it is the right file and upload it "
            "again."
        )
    return UnreadableFileError("no_text", message)
