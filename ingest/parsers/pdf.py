"""PDF: page texts by pypdf, headings from the outline. Every structure in the file may lie."""

import logging
import re
import struct
import unicodedata
import zlib
from collections.abc import Sequence
from io import BytesIO
from itertools import accumulate

from pypdf import PageObject, PasswordType, PdfReader, apply_configuration
from pypdf.errors import DependencyError, LimitReachedError, PyPdfError

from ingest.errors import UnreadableFileError
from ingest.parsers.outline import locate_headings, read_outline
from ingest.texts import CanonicalText

PAGE_SEPARATOR = "\n\n"

# pypdf documents that broken files raise other exceptions than its own; these are the ones that
# missing keys, wrong types, cut streams and endless nesting lead to. SyntaxError, NameError and
# the like would be faults of the program and are not among them.
PDF_ERRORS = (
    PyPdfError,
    DependencyError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
# Inner nodes of a page tree; a sound tree has fewer of them than pages.
_MIN_TREE_ENTRIES = 1000
_LIGATURES = str.maketrans(
    {
        "\ufb00": "ff",
        "\ufb01": "fi",
        "\ufb02": "fl",
        "\ufb03": "ffi",
        "\ufb04": "ffl",
        "\ufb05": "st",
        "\ufb06": "st",
    }
)
_LINE_END = re.compile(r"\r\n?")
_UNWANTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def parse_pdf(data: bytes, max_pages: int) -> CanonicalText:
    """Return the text of all pages, joined by `PAGE_SEPARATOR`.

    A heading is an outline entry whose title stands on the page it points to.

    Args:
        data: the file.
        max_pages: a file with more pages, or one that declares more, is refused.

    Raises:
        UnreadableFileError: code `encrypted`, `damaged`, `too_many_pages` or `no_text`.
    """
    # pypdf warns of every fault in a file, which says nothing to the operator of a service.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    with apply_configuration(page_tree_maximum_entries=2 * max_pages + _MIN_TREE_ENTRIES):
        reader = _open(data)
        pages = _pages(reader, max_pages)
        texts = [_page_text(page) for page in pages]
        if not any(texts):
            raise UnreadableFileError(
                "no_text",
                "No page holds text; the file is probably a scan and needs OCR. "
                "Run OCR on it and upload the result.",
            )
        return _assemble(texts, _outline(reader))


def clean(text: str) -> str:
    """Return text as NFC without ligatures, control characters and spaces at line ends."""
    text = _UNWANTED.sub("", _LINE_END.sub("\n", text)).translate(_LIGATURES)
    lines = unicodedata.normalize("NFC", text).split("\n")
    return "\n".join(line.rstrip() for line in lines).strip()


def _open(data: bytes) -> PdfReader:
    try:
        reader = PdfReader(BytesIO(data))
        locked = reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED
    except (DependencyError, NotImplementedError) as error:
        raise _encrypted() from error
    except PDF_ERRORS as error:
        raise _damaged() from error
    if locked:
        raise _encrypted()
    return reader


def _pages(reader: PdfReader, max_pages: int) -> list[PageObject]:
    try:
        _check_page_count(_declared_page_count(reader), max_pages)
        pages = list(reader.pages)
    except LimitReachedError as error:
        raise _too_many_pages(max_pages) from error
    except PDF_ERRORS as error:
        raise _damaged() from error
    _check_page_count(len(pages), max_pages)
    if not pages:
        raise _damaged()
    return pages


def _declared_page_count(reader: PdfReader) -> int:
    tree = reader.root_object["/Pages"].get_object()
    count = tree.get("/Count") if isinstance(tree, dict) else None
    return count if isinstance(count, int) else 0


def _check_page_count(num_pages: int, max_pages: int) -> None:
    if num_pages > max_pages:
        raise _too_many_pages(max_pages)


def _page_text(page: PageObject) -> str:
    try:
        return clean(page.extract_text())
    except PDF_ERRORS:
        # One bad page must not lose the others; it is reported as unreadable.
        return ""


def _outline(reader: PdfReader) -> list[tuple[int, int, str]]:
    try:
        return [(level, page, clean(title)) for level, page, title in read_outline(reader)]
    except PDF_ERRORS:
        # The outline only adds headings; the text is complete without it.
        return []


def _assemble(texts: Sequence[str], outline: Sequence[tuple[int, int, str]]) -> CanonicalText:
    lengths = (len(text) + len(PAGE_SEPARATOR) for text in texts[:-1])
    page_starts = tuple(accumulate(lengths, initial=0))
    return CanonicalText(
        text=PAGE_SEPARATOR.join(texts),
        page_starts=page_starts,
        headings=locate_headings(outline, texts, page_starts),
        unreadable_pages=tuple(number for number, text in enumerate(texts, start=1) if not text),
    )


def _encrypted() -> UnreadableFileError:
    return UnreadableFileError(
        "encrypted",
        "The PDF is locked with a password; save a copy without the password and upload that.",
    )


def _damaged() -> UnreadableFileError:
    return UnreadableFileError(
        "damaged",
        "The PDF is damaged and could not be read; print it to a new PDF and upload that.",
    )


def _too_many_pages(max_pages: int) -> UnreadableFileError:
    return UnreadableFileError(
        "too_many_pages",
        f"The PDF has more than {max_pages} pages; split it and upload the parts.",
    )
