"""Plain text: decoded, nothing else."""

from ingest.parsers.decoding import decode
from ingest.texts import CanonicalText


def parse_plain(data: bytes) -> CanonicalText:
    """Return the text without headings or pages.

    Raises:
        UnreadableFileError: code `damaged`; no known encoding fits.
    """
    return CanonicalText(decode(data))
