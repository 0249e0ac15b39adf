"""8-bit encodings of texts in Latin letters, told by the letters that languages have.

Read in a wrong one, a Spanish `ñ` is a Polish `ń`, beside letters that Polish does not have.
"""

import re
from collections import Counter
from itertools import pairwise

# Of equally likely ones the first is taken.
_ENCODINGS = (
    "windows-1252",
    "iso-8859-15",
    "windows-1250",
    "iso-8859-2",
    "windows-1254",
    "windows-1257",
    "iso-8859-16",
)
# Letters beyond ASCII of languages that were written in these encodings (CLDR), and of usual loans.
_LETTERS = (
    "äöüßéàç",  # German
    "àâæçéèêëîïôœùûüÿ",  # French
    "áéíóúüñçºª",  # Spanish
    "áâãàçéêíóôõúüºª",  # Portuguese
    "àèéìíîòóùúï",  # Italian
    "àçèéíïòóúüñ",  # Catalan
    "áéíóúàèëïöüêôû",  # Dutch
    "åäöéàü",  # Swedish, Finnish
    "æøåéèêòóôäö",  # Danish, Norwegian
    "áðéíóúýþæö",  # Icelandic
    "äöõüšž",  # Estonian
    "ąćęłńóśźż",  # Polish
    "áčďéěíňóřšťúůýž",  # Czech
    "áäčďéíĺľňóôŕšťúýž",  # Slovak
    "áéíóöőúüű",  # Hungarian
    "ăâîşţșț",  # Romanian
    "čćđšž",  # Croatian, Slovene
    "çğıİöşüâîû",  # Turkish
    "ąčęėįšųūž",  # Lithuanian
    "āčēģīķļņšūž",  # Latvian
)
_ALPHABETS = tuple(frozenset(letters + letters.upper()) for letters in _LETTERS)
_SAMPLE_BYTES = 200_000
_BEFORE_SAMPLE = 1000
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
_PLAIN = re.compile(rb"[0-9A-Za-z]")
_WORD = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")
_MIN_FITTING_SHARE = 0.9
# Signs where they stand: in front of a word, between letters, behind a word.
_DASHES, _QUOTES = "\u2013\u2014…•·\xa0", "\u2018\u2019\u201a\u201c\u201d\u201e«»\u2039\u203a"
_IN_FRONT = f"{_DASHES}{_QUOTES}¿¡£€§©®™°±µ\xd7"
_BETWEEN = re.compile(f"[\xad{_DASHES}{_QUOTES}]")
_BEHIND = f"{_DASHES}{_QUOTES}£€©®™°²³"


def latin_encoding(data: bytes) -> str | None:
    """Return the encoding of a text, or None when it has other letters, or none fits."""
    first = _BEYOND_ASCII.search(data)
    if first is None:
        return None
    start = max(0, first.start() - _BEFORE_SAMPLE)
    sample = data[start : start + _SAMPLE_BYTES]
    if len(_PLAIN.findall(sample)) < len(_BEYOND_ASCII.findall(sample)):
        return None
    words = Counter(_WORD.findall(sample))
    num_fitting, encoding = max(
        ((_num_fitting(words, encoding), encoding) for encoding in _ENCODINGS),
        key=lambda found: found[0],
    )
    return encoding if num_fitting >= _MIN_FITTING_SHARE * words.total() else None


def _num_fitting(words: Counter[bytes], encoding: str) -> int:
    """Return how many words can be of one language."""
    fitting: Counter[frozenset[str]] = Counter()
    for word, count in words.items():
        letters = _letters(word.decode(encoding, "replace"))
        if letters is not None:
            fitting[letters] += count
    return max(
        sum(count for letters, count in fitting.items() if letters <= alphabet)
        for alphabet in _ALPHABETS
    )


def _letters(word: str) -> frozenset[str] | None:
    """Return the letters of a word beyond ASCII, None if a sign or a capital is out of place."""
    parts = _BETWEEN.split(word.lstrip(_IN_FRONT).rstrip(_BEHIND))
    if any(_is_capital_inside(part) for part in parts):
        return None
    return frozenset(letter for part in parts for letter in part if not letter.isascii())


def _is_capital_inside(part: str) -> bool:
    return any(
        one.islower() and other.isupper() and not other.isascii() for one, other in pairwise(part)
    )
