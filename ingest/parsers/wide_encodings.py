"""UTF-16 and UTF-32 without a byte order mark, told by the characters that the bytes then are."""

import codecs
import unicodedata
from collections import Counter

from ingest.parsers.latin_encodings import latin_encoding

SAMPLE_BYTES = 4096
# Bytes that no text in ASCII, UTF-8 or an 8-bit encoding has, but for single ones that strayed in.
CONTROL_BYTES = bytes({*range(0x20), 0x7F} - set(b"\t\n\v\f\r\x1b"))
_MAX_STRAY_SHARE = 0.01
_ENCODINGS = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_MIN_CHARACTERS = 2
_MAX_STRANGE_SHARE = 0.05
_MIN_SCRIPT_SHARE = 0.9
# No text of today is written with these; a wrong reading is full of them.
_STRANGE_CATEGORIES = frozenset({"Cc", "Cn", "Co", "Cs"})
_STRANGE_RANGES = (
    range(0x2020, 0x2021),  # dagger: two spaces of ASCII
    range(0x2060, 0x20A0),  # invisible operators, superscripts: a space and a letter of ASCII
    range(0x3030, 0x3040),  # marks of a list; two digits of ASCII
    range(0x3400, 0x4E00),  # rare ideographs, hexagrams
    range(0xA000, 0xAC00),  # Yi and rarer scripts
)
_WHITE_SPACE = frozenset("\t\n\v\f\r")
# What stands between words, or in East Asian texts between clauses, every few characters.
_SEPARATORS = frozenset(
    map(chr, [*b" \t\n\r", *range(0x3000, 0x3003), *range(0x3041, 0x3100), *range(0xFF01, 0xFF20)])
)
# From the kanas on, scripts have so many characters that other bytes look like them.
_FIRST_EAST_ASIAN_BLOCK = 0x30


def wide_encoding(data: bytes) -> str | None:
    """Return the encoding of a text in UTF-16 or UTF-32, or None when it is not sure to be one.

    Either its characters are those that texts are made of, with separators among them, or nearly
    all of them are of one alphabet.
    """
    sample = data[:SAMPLE_BYTES]
    if _is_narrow(sample):
        return None
    # Of two readings the one with fewer strange characters, then that with more separators.
    readings = [
        (reading, encoding) for encoding in _ENCODINGS if (reading := _read(sample, encoding))
    ]
    return min(readings, default=(None, None))[1]


def _is_narrow(sample: bytes) -> bool:
    # Two bytes of Shift JIS, or letters of a short text, are often an ideograph of UTF-16 as well.
    return is_printable(sample) and (
        any(_decoded(sample, one) for one in ("utf-8", "cp932")) or bool(latin_encoding(sample))
    )


def is_printable(sample: bytes) -> bool:
    """Tell whether bytes could be a text in ASCII, UTF-8 or an 8-bit encoding."""
    num_controls = len(sample) - len(sample.translate(None, CONTROL_BYTES))
    return num_controls <= max(1, _MAX_STRAY_SHARE * len(sample))


def _read(sample: bytes, encoding: str) -> tuple[float, int] | None:
    """Return the share of strange characters and minus the number of separators, if it is text."""
    text = _decoded(sample, encoding)
    if not text or len(text) < _MIN_CHARACTERS:
        return None
    strange = sum(_is_strange(character) for character in text) / len(text)
    num_separators = sum(character in _SEPARATORS for character in text)
    if strange > _MAX_STRANGE_SHARE or not (num_separators or _is_of_one_alphabet(text)):
        return None
    return strange, -num_separators


def _decoded(sample: bytes, encoding: str) -> str | None:
    """Return the text, without a character that is cut off at the end, or None if it is broken."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return None


def _is_strange(character: str) -> bool:
    code = ord(character)
    return any(code in strange for strange in _STRANGE_RANGES) or (
        unicodedata.category(character) in _STRANGE_CATEGORIES and character not in _WHITE_SPACE
    )


def _is_of_one_alphabet(text: str) -> bool:
    [(block, count)] = Counter(ord(character) >> 8 for character in text).most_common(1)
    return block < _FIRST_EAST_ASIAN_BLOCK and count >= _MIN_SCRIPT_SHARE * len(text)
