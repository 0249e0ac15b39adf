"""Rich text (RTF): its plain text, by striprtf."""

from striprtf.striprtf import rtf_to_text

from ingest.texts import CanonicalText


def parse_rtf(data: bytes) -> CanonicalText:
    """Return the text without formatting.

    Raises:
        UnreadableFileError: code `damaged`.
    """
    # RTF is ASCII; striprtf decodes its escapes by the code page that the file names.
    text: str = rtf_to_text(data.decode("latin-1"), encoding="cp1252", errors="replace")  # type: ignore[no-untyped-call]
    return CanonicalText(text.replace("\r\n", "\n").replace("\r", "\n"))
