"""Lexical analysis: text becomes the tokens that BM25 counts.

    "The Müllers' getUserName() in v1.20.3"
    muller getusernam get user name v1.20.3 1.20.3 v 1 20 3

Pure and deterministic. No token holds whitespace: joined by spaces they are what an engine with a
whitespace tokenizer indexes.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache, partial
from itertools import pairwise

import Stemmer

from retrieval.stop_words import STOP_WORDS

# An index that was made with another fingerprint is rewritten. Count up when tokens change.
VERSION = 1
FINGERPRINT = f"{VERSION} snowball {Stemmer.version()}"

NO_LANGUAGE = "none"
# Longer words are cut: nobody looks for the end of one, and stemmers are made for words.
MAX_TOKEN_CHARACTERS = 64
# Parts of a piece of letters and digits, such as `getUser2`; with more it is a hash, not a name.
MAX_PARTS = 8
# What stands between spaces recurs, except when it is long: most of it is analysed once.
CACHED_PIECES = 1 << 16
MAX_CACHED_CHARACTERS = 32
# No token has these at its ends.
PUNCTUATION = ',;:!?()[]"'


def _characters(*ranges: tuple[int, int]) -> str:
    """Write ranges of code points as the inside of a regular expression's character class."""
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


def _of_category(*categories: str) -> str:
    return "".join(c for c in map(chr, range(0x10000)) if unicodedata.category(c) in categories)


# Soft hyphens, joiners, marks of direction.
_INVISIBLE = re.compile(f"[{_of_category('Cf')}\U000e0001-\U000e007f]+")
# Python's \w has no combining marks, which belong to the words of most Asian scripts.
_MARKS = _of_category("Mn", "Mc", "Me")
# Han, Hiragana, Katakana, Hangul: a character is a syllable or a word.
_CJK = _characters(
    (0x2E80, 0x2FDF),
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3031, 0x3035),
    (0x303B, 0x303B),
    (0x3041, 0x309F),
    (0x30A1, 0x30FA),
    (0x30FC, 0x30FF),
    (0x3105, 0x312F),
    (0x3130, 0x318E),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0x1100, 0x11FF),
    (0xA960, 0xA97C),
    (0xAC00, 0xD7FB),
    (0xF900, 0xFAFF),
    (0x20000, 0x323AF),
)
# Thai, Lao, Myanmar, Khmer, Tai Tham without their digits: letters without spaces between words.
_UNSPACED = _characters(
    (0x0E01, 0x0E4E),
    (0x0E81, 0x0ECF),
    (0x0EDC, 0x0EDF),
    (0x1000, 0x103F),
    (0x1050, 0x108F),
    (0x109A, 0x109D),
    (0x1780, 0x17D3),
    (0x17DC, 0x17DD),
    (0x1A20, 0x1A5E),
    (0x1A61, 0x1A7C),
    (0xA9E0, 0xA9EF),
    (0xA9FA, 0xA9FE),
    (0xAA60, 0xAA7D),
)
_EMOJI = "\U0001f000-\U0001faff\u2600-\u27bf"
_RUN = rf"(?:[^\W_{_CJK}{_UNSPACED}]++[{_MARKS}]*+)++"
_LEXEME = re.compile(
    rf"(?P<cjk>[{_CJK}]+)"
    rf"|(?P<unspaced>[{_UNSPACED}]+)"
    # What is written in one is one word: foo_bar, E-1234, v1.20.3, a/b, R&D, l'homme, C++, C#, .NET
    rf"|(?P<word>\.?{_RUN}(?:(?:[-\u2010_./'\u2019@&]|(?<=\d)[,:](?=\d)){_RUN})*(?:\+\+|\#)?)"
    rf"|(?P<emoji>[{_EMOJI}])"
)
_CLUSTER = re.compile(rf"[^{_MARKS}][{_MARKS}]*|[{_MARKS}]+")
# l'homme, qu'il; company's, isn't, we'll, PDFs
_CLITIC = re.compile(r"^(?:[^\W\d_]|[Qq]u)'(?=\w)|(?:n't|'(?:s|re|ve|ll|d|m))$|(?<=[A-Z]{2})s$")
_SYMBOL = re.compile(r"\+\+$|#$|^\.")
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:(?:,\d{3})+|(?:\.\d{3})+|(?:'\d{3})+)")
_DECIMAL = re.compile(r"\d+[.,]\d+")
_JOINT = re.compile(r"([-\u2010_./'@&,:])")
_DIGITS = re.compile(r"\d+(?:[.-]\d+)+")
# Over the shape of a piece (A upper case, a other letters, 0 digits): getUser2 -> get, User, 2
_PART = re.compile(r"0+|A+(?!a)|A?a+")
# Letters that Unicode does not take apart, among them dotless i; the stretching of Arabic ones.
_LETTERS = str.maketrans(
    {
        "ø": "o",
        "đ": "d",
        "ħ": "h",
        "ł": "l",
        "\u0131": "i",
        "æ": "ae",
        "œ": "oe",
        "þ": "th",
        "ð": "d",
    }
    | {"ё": "е", "\u0640": ""}  # noqa: RUF001
)

AnalysePiece = Callable[[str], Sequence[str]]


class Analyzer:
    """Turns texts of one language into tokens; other languages in them are found as well.

    - NFKC and case folding; invisible characters are left out.
    - Words end at whitespace and punctuation. They are stemmed by Snowball and lose their accents.
    - What is written in one, such as `foo_bar`, is one token, and each part another.
    - Scripts without spaces give each character and each pair of neighbours (Chinese, Japanese,
      Korean) or each pair of clusters (Thai, Lao, Khmer, Burmese), whatever the language.
    - Stop words are left out, except in capitals: `WHO` is no pronoun.
    """

    def __init__(self, language: str) -> None:
        """Set up.

        Args:
            language: name of a Snowball stemmer, or `none` for no stemmer and no stop words.
        """
        self._is_turkish = language == "turkish"
        # It holds the GIL and has a state of its own only within a call: threads may share it.
        stemmer = None if language == NO_LANGUAGE else Stemmer.Stemmer(language, 0)
        self._stem: Callable[[str], str] = stemmer.stemWord if stemmer else str
        self._stop_words = {_fold(word.casefold()) for word in STOP_WORDS.get(language, ())}
        self._passage_piece = partial(self._analyse, is_passage=True)
        self._query_piece = partial(self._analyse, is_passage=False)
        self._known_passage_piece = lru_cache(CACHED_PIECES)(self._passage_piece)
        self._known_query_piece = lru_cache(CACHED_PIECES)(self._query_piece)

    def passage_tokens(self, text: str) -> list[str]:
        """Return the tokens of a passage, in order.

        An accented word is there twice where its stem without accents is another, so that
        `informacao` finds `informação`. In a query it would weigh double.
        """
        return _tokens(text, self._passage_piece, self._known_passage_piece)

    def query_tokens(self, text: str) -> list[str]:
        """Return the tokens of a query, in order."""
        return _tokens(text, self._query_piece, self._known_query_piece)

    def _analyse(self, piece: str, *, is_passage: bool) -> tuple[str, ...]:
        """Return the tokens of a piece of text without whitespace."""
        tokens: list[str] = []
        for kind, found in _lexemes(piece):
            match kind:
                case "word":
                    for spelling in _spellings(found):
                        tokens += self._stems(spelling, is_passage)
                case "cjk":
                    tokens += found
                    tokens += _pairs(found)
                case "unspaced":
                    clusters = _CLUSTER.findall(found)
                    tokens += _pairs(clusters) or clusters
                case _:
                    tokens.append(found)
        return tuple(tokens)

    def _stems(self, spelling: str, is_passage: bool) -> Sequence[str]:
        word = self._lower(spelling[:MAX_TOKEN_CHARACTERS])
        plain = _fold(word)
        is_acronym = len(spelling) > 1 and spelling.isupper()
        if plain in self._stop_words and not is_acronym:
            return ()
        # The stemmer needs the accents to know an ending.
        stem = _fold(self._stem(word))
        if word == plain or not is_passage:
            return (stem,)
        plain_stem = _fold(self._stem(plain))
        return (stem,) if stem == plain_stem else (stem, plain_stem)

    def _lower(self, word: str) -> str:
        if self._is_turkish:
            word = word.replace("I", "\u0131").replace("İ", "i")
        return word.casefold()


@cache
def get_analyzer(language: str) -> Analyzer:
    """Return the analyzer of a language; collections share it with what it remembers."""
    return Analyzer(language)


def _tokens(text: str, analyse: AnalysePiece, analyse_known: AnalysePiece) -> list[str]:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
    pieces = [piece.strip(PUNCTUATION).rstrip(".") for piece in text.split()]
    return [
        token
        for piece in pieces
        for token in (analyse_known if len(piece) <= MAX_CACHED_CHARACTERS else analyse)(piece)
    ]


def _lexemes(piece: str) -> Iterator[tuple[str, str]]:
    """Yield each lexeme with its kind."""
    if piece.isascii() and piece.isalpha():  # most are
        yield "word", piece
        return
    for match in _LEXEME.finditer(piece):
        yield match.lastgroup or "", match.group()


def _pairs(units: Sequence[str]) -> list[str]:
    return [first + second for first, second in pairwise(units)]


def _spellings(word: str) -> Iterator[str]:
    """Yield a word as it is written, without joints, and its parts if it has several.

    Between digits the joints stay, because 1.20 is not 120.
    """
    if word.isalpha() and word[1:].islower():  # most are
        yield word
        return
    word = _CLITIC.sub("", word.replace("\u2019", "'"))
    if _SYMBOL.search(word):
        yield word
        word = _SYMBOL.sub("", word)
    if _THOUSANDS.fullmatch(word):
        yield re.sub(r"\D", "", word)
    elif _DECIMAL.fullmatch(word):
        yield word.replace(",", ".")
    else:
        pieces = _JOINT.split(word)
        whole = _join(pieces)
        yield whole
        parts = [part for piece in pieces[::2] for part in _split(piece)]
        if len(parts) > 1:
            yield from (number for number in _DIGITS.findall(whole) if number != whole)
            yield from parts


def _join(pieces: Sequence[str]) -> str:
    """Join pieces, every second of which is a joint."""
    whole = pieces[0]
    for joint, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        if whole[-1].isdecimal() and piece[0].isdecimal():
            whole += "." if joint in ".,'_" else "-"
        whole += piece
    return whole


def _split(piece: str) -> list[str]:
    """Split where case or kind of character change."""
    if (piece.islower() and piece.isalpha()) or piece.isdecimal():
        return [piece]
    parts = [piece[m.start() : m.end()] for m in _PART.finditer("".join(map(_shape, piece)))]
    return parts if len(parts) <= MAX_PARTS else [piece]


def _shape(char: str) -> str:
    if char.isdecimal():
        return "0"
    return "A" if char.isupper() else "a"


def _fold(word: str) -> str:
    """Take the accents off Latin, Greek, Hebrew and Arabic letters; write digits as 0 to 9.

    Elsewhere a mark is a vowel, or makes another letter, as in the Russian `й`.
    """
    if word.isascii():
        return word
    kept = []
    has_accents = False
    for char in unicodedata.normalize("NFD", word.translate(_LETTERS)):
        if unicodedata.category(char) != "Mn":
            has_accents = char < "\u0400" or "\u0530" <= char < "\u0700"
            kept.append(str(unicodedata.decimal(char)) if char.isdecimal() else char)
        elif not has_accents:
            kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept))
