"""Lies of PDF files that hide pages from PDFium, put right before it reads them."""

import re

from ingest.errors import UnreadableFileError
from ingest.parsers.pdf_fallback import Fallback

_PAGE = re.compile(rb"/Type\s*/Page\b")
# Only an object stream counts objects with /N and tells by /First where they begin (ISO 32000-1,
# 7.5.7); readers ask for its type all the same.
_MISNAMED_OBJECT_STREAM = re.compile(
    rb"/Type\s*/(?!ObjStm\b)\w+(?=\s*/N\s+\d+\s*/First\s+\d+\s*(?:/|>>))"
)


def with_object_streams(data: bytes) -> bytes:
    """Return the file with its object streams named as such."""
    return _MISNAMED_OBJECT_STREAM.sub(b"/Type /ObjStm", data)


def with_all_pages(data: bytes, num_pages: int, fallback: Fallback) -> bytes | None:
    """Return the file with a page tree that lists all its pages, or None when it does already.

    PDFium believes the number of pages that the file tells, and knows no page beyond it. A tree
    within compressed objects is not looked at.

    Args:
        data: the file.
        num_pages: those that PDFium knows.
        fallback: the same file.

    Raises:
        UnreadableFileError: code `too_many_pages`.
    """
    # Pages that a later version of the file left out count here as well, and then it is in vain.
    if len(_PAGE.findall(data)) <= num_pages:
        return None
    try:
        return fallback.rewritten() if fallback.num_pages() > num_pages else None
    except UnreadableFileError as error:
        if error.code == "too_many_pages":
            raise
        return None
