"""One function for every kind of file."""

from collections.abc import Callable, Mapping
from pathlib import Path

from ingest.errors import UnreadableFileError, UnsupportedTypeError
from ingest.parsers.hypertext import parse_html
from ingest.parsers.markdown import parse_markdown
from ingest.parsers.media_types import HTML, MARKDOWN, PDF, PLAIN
from ingest.parsers.pdf import parse_pdf
from ingest.parsers.plain import parse_plain
from ingest.texts import CanonicalText

_TEXT_PARSERS: Mapping[str, Callable[[bytes], CanonicalText]] = {
    HTML: parse_html,
    MARKDOWN: parse_markdown,
    PLAIN: parse_plain,
}


def parse(path: Path, media_type: str, max_pages: int) -> CanonicalText:
    """Return the canonical text of a file.

    Args:
        path: the file.
        media_type: as `detect_media_type` returns it.
        max_pages: a PDF with more pages is refused.

    Raises:
        UnsupportedTypeError: there is no parser for the media type.
        UnreadableFileError: the file is damaged, locked, too long or holds no text.
    """
    text = _parse_data(path.read_bytes(), media_type, max_pages)
    if not text.text.strip():
        raise UnreadableFileError(
            "no_text",
            "The file holds no text. Check that it is the right file and upload it again.",
        )
    return text


def _parse_data(data: bytes, media_type: str, max_pages: int) -> CanonicalText:
    if media_type == PDF:
        return parse_pdf(data, max_pages)
    if media_type not in _TEXT_PARSERS:
        raise UnsupportedTypeError(
            f"No parser reads {media_type}. Supported are PDF, Markdown, HTML and plain text."
        )
    return _TEXT_PARSERS[media_type](data)
