"""Bytes of a text file to text: the one place that knows byte order marks and guesses encodings."""

import codecs
import re

from charset_normalizer import from_bytes

from ingest.errors import UnreadableFileError
from ingest.parsers.latin_encodings import latin_encoding
from ingest.parsers.wide_encodings import wide_encoding

# UTF-32 first: its little-endian mark begins with the one of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LINE_END = re.compile(r"\r\n?")
# Browsers read these labels as windows-1252 (WHATWG Encoding Standard).
_WINDOWS_1252 = frozenset({"iso-8859-1", "iso8859-1", "latin1", "latin-1", "ascii", "us-ascii"})
# What Japanese mail was written in begins each run of ideographs with this escape sequence.
_ISO_2022, _ISO_2022_START = "iso-2022-jp", b"\x1b$B"
_SEVEN_BIT = frozenset({"utf-7", "hz-gb-2312"})
_JAPANESE = ("cp932", "euc_jp")
# By now it is not Japanese; these find half-width kanas in short texts of other scripts.
_NOT_GUESSED = ("cp932", "shift_jis", "shift_jis_2004", "shift_jisx0213")
_KANA = re.compile("[\u3041-\u30fe]")
_MIN_KANA_SHARE = 0.2
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
    """Return the encoding that a byte order mark or, in UTF-16 and UTF-32, the bytes tell."""
    marked = (encoding for mark, encoding in _MARKS if data.startswith(mark))
    return next(marked, None) or wide_encoding(data)


def _decode_unmarked(data: bytes, declared: str | None) -> str:
    declared = declared or (_ISO_2022 if _ISO_2022_START in data else None)
    candidates = ["utf-8", _browser_label(declared)] if declared else ["utf-8"]
    # Seven-bit encodings are valid UTF-8 too; those of the ISO-2022 family have escape characters.
    if b"\x1b" in data or (declared and declared.strip().lower() in _SEVEN_BIT):
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
    if japanese := _japanese(data):
        return japanese
    if latin := latin_encoding(data):
        return data.decode(latin, "replace")
    best = from_bytes(data.replace(b"\0", b""), cp_exclusion=list(_NOT_GUESSED)).best()
    if best is None:
        raise UnreadableFileError(
            "damaged", "The text encoding is unknown. Save the file as UTF-8 and upload it again."
        )
    return str(best)


def _japanese(data: bytes) -> str | None:
    """Return the text if it has as many kanas as Japanese has, which is no chance."""
    for encoding in _JAPANESE:
        try:
            text = data.decode(encoding)
        except UnicodeError:
            continue
        num_others = len(text) - len(text.encode("ascii", "ignore"))
        if len(_KANA.findall(text)) > _MIN_KANA_SHARE * num_others:
            return text
    return None
