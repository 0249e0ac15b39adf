"""Bytes of a text file to text: the one place that knows byte order marks and guesses encodings."""

import codecs
import re

from charset_normalizer import from_bytes

from ingest.errors import UnreadableFileError

# UTF-32 first: its little-endian mark begins with the one of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE_BYTES = 4096
_MIN_ZERO_SHARE = 0.3
_LINE_END = re.compile(r"\r\n?")
# Browsers read these labels as windows-1252 (WHATWG Encoding Standard).
_WINDOWS_1252 = frozenset({"iso-8859-1", "iso8859-1", "latin1", "latin-1", "ascii", "us-ascii"})
# Below this many good characters per broken one, the text was never UTF-8.
_MIN_GOOD_PER_BROKEN = 10


def decode(data: bytes, declared: str | None = None) -> str:
    r"""Return the text with `\n` line ends, without byte order mark and NUL characters.

    Args:
        data: a whole text file.
        declared: the encoding that the file itself names, if any.

    Raises:
        UnreadableFileError: code `damaged`; no known encoding fits.
    """
    encoding = unicode_encoding(data)
    text = data.decode(encoding, "replace") if encoding else _decode_unmarked(data, declared)
    return _LINE_END.sub("\n", text.removeprefix("\ufeff").replace("\0", ""))


def unicode_encoding(data: bytes) -> str | None:
    """Return the encoding that a byte order mark or, in UTF-16, the bytes themselves tell."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    # Without a mark: of the two bytes of a Latin letter, digit or space one is zero.
    first, second = data[0:_SAMPLE_BYTES:2], data[1:_SAMPLE_BYTES:2]
    if first.count(0) == 0 and second.count(0) > _MIN_ZERO_SHARE * len(second):
        return "utf-16-le"
    if second.count(0) == 0 and first.count(0) > _MIN_ZERO_SHARE * len(first):
        return "utf-16-be"
    return None


def _decode_unmarked(data: bytes, declared: str | None) -> str:
    candidates = ["utf-8", _browser_label(declared)] if declared else ["utf-8"]
    # Bytes of the ISO-2022 family are valid UTF-8 too; their escape character tells them apart.
    if b"\x1b" in data:
        candidates.reverse()
    for encoding in candidates:
        try:
            return data.decode(encoding)
        except (LookupError, UnicodeError):
            continue
    return _guess(data)


def _browser_label(declared: str) -> str:
    label = declared.strip().lower()
    return "windows-1252" if label in _WINDOWS_1252 else label


def _guess(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    num_broken = text.count("\ufffd")
    num_good = len(text) - len(text.encode("ascii", "ignore")) - num_broken
    if num_good >= _MIN_GOOD_PER_BROKEN * num_broken:
        return text
    best = from_bytes(data).best()
    if best is None:
        raise UnreadableFileError(
            "damaged", "The text encoding is unknown. Save the file as UTF-8 and upload it again."
        )
    return str(best)
