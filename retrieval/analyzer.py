"""Lexical analysis: text becomes the tokens that BM25 counts.

    "The Müllers' getUserName() in v1.20.3"
    muller getusernam get user name v1.20.3 v 1.20.3 1.20 1 20 3

Pure and deterministic. No token holds whitespace: joined by spaces they are what an engine with a
whitespace tokenizer indexes.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial
from itertools import chain
from operator import add

import Stemmer

from retrieval.stop_words import ELISIONS, STOP_WORDS

# An index that was made with another fingerprint is rewritten. Count up when tokens change.
VERSION = 4
FINGERPRINT = f"{VERSION} snowball {Stemmer.version()}"

NO_LANGUAGE = "none"
# Longer words are cut: nobody looks for the end of one, and stemmers are made for words.
MAX_TOKEN_CHARACTERS = 64
# Parts of a word such as `getUser2`; with more it is a hash or an id, not a name.
MAX_PARTS = 8
# What stands between spaces recurs, except when it is long: most of it is analysed once.
CACHED_PIECES = 1 << 16
MAX_CACHED_CHARACTERS = 32
# No token has these at its ends.
PUNCTUATION = ",;:!?()[]\"'\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb\u2026"
# Digits that were written in groups are one number, if not more than the longest IBAN.
GROUPED_CHARACTERS = range(5, 43)
# From these many digits on, hyphens between them only group: telephone numbers, not pages 12-15.
MIN_HYPHENATED_DIGITS = 7
# So many words in capitals, one after the other, are no acronyms.
MIN_SHOUTED_WORDS = 4
# Their stemmers know endings by letters with marks, which in other languages are accents.
MARKED_ENDINGS = {"czech", "hungarian", "lithuanian", "polish", "turkish"}
# Endings that stemmers know with an accent only, for words that are written without.
ACCENTED_ENDINGS = {
    "catalan": {"cio": "ció"},
    "french": {"ee": "ée", "ees": "ées", "ite": "ité", "ites": "ités"},
    "portuguese": {
        "cao": "ção",
        "coes": "ções",
        "avel": "ável",
        "aveis": "áveis",
        "ivel": "ível",
        "iveis": "íveis",
        "encia": "ência",
        "encias": "ências",
    },
}


def _characters(*ranges: tuple[int, int]) -> str:
    """Write ranges of code points as the inside of a regular expression's character class."""
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


def _of_category(*categories: str) -> str:
    return "".join(c for c in map(chr, range(0x10000)) if unicodedata.category(c) in categories)


# Soft hyphens, joiners, marks of direction.
_INVISIBLE = re.compile(f"[{_of_category('Cf')}\U000e0001-\U000e007f]+")
# In Devanagari a nasal before a consonant of its class is also written as a dot above (anusvara),
# or as a dot in a crescent; a dot below is often left out. So does Lucene with Indic scripts.
_NASAL = re.compile(
    "\u0901"
    "|\u0919\u094d(?=[\u0915-\u0918])"
    "|\u091e\u094d(?=[\u091a-\u091d])"
    "|\u0923\u094d(?=[\u091f-\u0922])"
    "|\u0928\u094d(?=[\u0924-\u0927])"
    "|\u092e\u094d(?=[\u092a-\u092d])"
)
_ANUSVARA = "\u0902"
# Three letters have the dot below in them even when Unicode takes others apart.
_WITHOUT_DOTS_BELOW = str.maketrans(
    {"\u093c": "", "\u0929": "\u0928", "\u0931": "\u0930", "\u0934": "\u0933"}
)
# NFKC makes 1/2 of a half, and 31/2 of three and a half.
_FRACTION = re.compile("[\u00bc-\u00be\u2150-\u215e](?<=\\d.)")
# Python's \w has no combining marks, which belong to the words of most Asian scripts.
_MARKS = _of_category("Mn", "Mc", "Me")
# Han, Hiragana, Katakana, Hangul: a character is a syllable or a word.
CJK = _characters(
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
UNSPACED = _characters(
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
# Letters of scripts in which a word cannot be told by the spaces around it.
WITHOUT_SPACES = CJK + UNSPACED
_EMOJI = "\U0001f000-\U0001faff\u2600-\u27bf"
_RUN = rf"(?:[^\W_{WITHOUT_SPACES}]++[{_MARKS}]*+)++"
# What joins the parts of a word; between digits also `,` and `:`.
JOINTS = "-_./'@&"
_OTHER_JOINTS = {
    **dict.fromkeys("\u2010\u2012\u2013\u2212", "-"),
    **dict.fromkeys("\u2018\u2019\u02bc\u2032", "'"),
    "\u2044": "/",
}
_TO_JOINTS = str.maketrans(_OTHER_JOINTS)
_ALL_JOINTS = JOINTS + "".join(_OTHER_JOINTS)
_LEXEME = re.compile(
    rf"(?P<cjk>[{CJK}]+)"
    rf"|(?P<unspaced>[{UNSPACED}]+)"
    # What is written in one is one word: foo_bar, E-1234, v1.20.3, a/b, R&D, l'homme, C++, C#, .NET
    rf"|(?P<word>\.?{_RUN}(?:(?:[{_ALL_JOINTS}]|(?<=\d)[,:](?=\d)){_RUN})*(?:\+\+|\#)?)"
    rf"|(?P<emoji>[{_EMOJI}])"
)
# A word of one part, in any script.
_SIMPLE = re.compile(
    rf"[^\W\d_{WITHOUT_SPACES}](?:[{_MARKS}]|[^\W\d_{WITHOUT_SPACES}{_of_category('Lu')}])*+"
)
_CLUSTER = re.compile(rf"[^{_MARKS}][{_MARKS}]*|[{_MARKS}]+")
_MARK = re.compile(f"[{_MARKS}]")
# A mark on its own that takes part in `_fold`.
_ACCENT = re.compile(f"[\0-\u03ff\u0530-\u06ff\u1e00-\u1fff][{_MARKS}]")
# Words in capitals on a line, without punctuation between them.
_CAPITAL = f"[{_of_category('Lu')}]"
_CAPITALS = rf"{_CAPITAL[:-1]}{_MARKS}\d'\u2019]*+"
_SHOUTED = re.compile(
    rf"{_CAPITAL}(?<![\w{_MARKS}]{_CAPITAL}){_CAPITALS}"
    rf"(?:[ \t\d\"'()-]++{_CAPITAL}{_CAPITALS}){{{MIN_SHOUTED_WORDS - 1},}}(?!\w)"
)
# 10 000,50 and +49 30 123456; GB29 NWBK 6016 1331 9268 19
_GAPS = "[ \u00a0\u2009\u202f]"
_GROUPED = re.compile(
    rf"(?:\d(?<![\w.,:/'@&-]\d)\d*(?:{_GAPS}\d{{2,}})+(?:[.,]\d+)?"
    rf"|[A-Z](?<!\w[A-Z])[A-Z]\d\d(?:{_GAPS}[A-Z\d]{{4}}){{2,7}}(?:{_GAPS}[A-Z\d]{{1,3}})?)"
    r"(?![\w/'@&-]|[.,:]\d)"
)
_GAP = re.compile(rf"{_GAPS}(?<=\d.)\d\d")
# company's, isn't, we'll, PDFs
_CLITIC = re.compile(r"(?<=\w)(?i:n't|'(?:s|re|ve|ll|d|m))$|(?<=[A-Z]{2})s$")
# Between digits a joint belongs to a number, because 1.20 is not 120.
_SIDES = re.compile(r"(?<!\d)[/@]|[/@](?!\d)")
_PIECES = re.compile(rf"(?<!\d)[{JOINTS}]|[{JOINTS}](?!\d)")
_KINDS_OF_JOINTS = str.maketrans(
    {",": ".", "'": ".", "_": "-", "/": "-", "@": "-", "&": "-", ":": "-"}
)
# 1,234.5 and 1'234.5 and 1.234,5
_THOUSANDS = re.compile(
    r"[1-9]\d{0,2}(?:(?:,\d{3})+(?:\.\d+)?|(?:'\d{3})+(?:[.,]\d+)?|(?:\.\d{3})+,\d+)"
)
# 1.234 is German or a decimal, 192.168.100.100 an address; 12,34,567 is Indian or a list.
_PERHAPS_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+|[1-9]\d?(?:,\d\d)+,\d{3}(?:\.\d+)?")
_DECIMAL = re.compile(r"\d+[.,]\d+")
_PARTS_OF_NUMBER = re.compile(r"[.-]")
# Over the shape of a piece (A upper case, v itself, a other letters, 0 digits, . joints):
# getUser2 -> get, User, 2; TLSv1.3 -> TLS, v, 1.3
_PART = re.compile(r"0+(?:\.0+)*|A+(?=v0)|A+(?![av])|A?[av]+")
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

Tokens = tuple[str, ...]


class _Remembered(dict[str, Tokens]):
    """The tokens of pieces of text: a piece that is not there is analysed."""

    def __init__(self, analyse: Callable[[str], Tokens]) -> None:
        self._analyse = analyse

    def __missing__(self, piece: str) -> Tokens:
        bare = piece.strip(PUNCTUATION).rstrip(".")
        tokens = self._analyse(bare) if bare == piece else self[bare]
        if len(piece) <= MAX_CACHED_CHARACTERS:
            if len(self) >= CACHED_PIECES:
                self.clear()
            self[piece] = tokens
        return tokens


class Analyzer:
    """Turns texts of one language into tokens; other languages in them are found as well.

    - NFKC and case folding; invisible characters are left out.
    - Words end at whitespace and punctuation. They lose their accents and are stemmed by Snowball.
    - What is written in one, such as `foo_bar`, is one token, and each part another.
    - A number is the same however its digits are grouped: `1,234.50`, `1.234,50`, `1 234.50`.
    - Scripts without spaces give each character and each pair of neighbours (Chinese, Japanese,
      Korean) or each pair of clusters (Thai, Lao, Khmer, Burmese), whatever the language.
    - Stop words are left out, except in capitals, because `WHO` is no pronoun. Where everything is
      in capitals they say nothing.
    """

    def __init__(self, language: str) -> None:
        """Set up.

        Args:
            language: name of a Snowball stemmer, or `none` for no stemmer and no stop words.
        """
        self._is_turkish = language == "turkish"
        self._has_marked_endings = language in MARKED_ENDINGS
        self._endings = ACCENTED_ENDINGS.get(language, {})
        # It holds the GIL and has a state of its own only within a call: threads may share it.
        stemmer = None if language == NO_LANGUAGE else Stemmer.Stemmer(language, 0)
        self._stem: Callable[[str], str] = stemmer.stemWord if stemmer else str
        self._stop_words = {_fold(word.casefold()) for word in STOP_WORDS.get(language, ())}
        self._elisions = ELISIONS.get(language, frozenset())
        # Parts of words recur more often than the words.
        self._part_stems = lru_cache(CACHED_PIECES)(self._stems)
        self._passage_pieces = _Remembered(partial(self._analyse, is_passage=True))
        self._query_pieces = _Remembered(partial(self._analyse, is_passage=False))

    def passage_tokens(self, text: str) -> list[str]:
        """Return the tokens of a passage, in order.

        It has more of them than a query, for those who know less than what is written: the
        beginnings of `1.20.3`, and in some languages words as they are typed without accents. In a
        query these would weigh double.
        """
        return self._tokens(text, self._passage_pieces)

    def query_tokens(self, text: str) -> list[str]:
        """Return the tokens of a query, in order."""
        return self._tokens(text, self._query_pieces)

    def _tokens(self, text: str, remembered: _Remembered) -> list[str]:
        text = _SHOUTED.sub(lambda words: self._lower(_normalize(words[0])), text)
        if _GAP.search(text):
            text = _GROUPED.sub(_with_number, text)
        return list(chain.from_iterable(map(remembered.__getitem__, text.split())))

    def _analyse(self, piece: str, *, is_passage: bool) -> Tokens:
        """Return the tokens of a piece of text without whitespace."""
        if not piece.isascii():
            piece = _normalize(piece)
        if _is_simple(piece):
            return self._stems(piece, is_passage)
        tokens: list[str] = []
        for match in _LEXEME.finditer(piece):
            found = match.group()
            match match.lastgroup:
                case "word":
                    word = self._without_elision(found.translate(_TO_JOINTS))
                    for spelling in _spellings(word, is_passage):
                        tokens += self._part_stems(spelling, is_passage)
                case "cjk":
                    tokens += found
                    tokens += _pairs(found)
                case "unspaced":
                    clusters = _CLUSTER.findall(found)
                    tokens += _pairs(clusters) or clusters
                case _:
                    tokens.append(found)
        return tuple(tokens)

    def _stems(self, spelling: str, is_passage: bool) -> Tokens:
        word = self._lower(spelling[:MAX_TOKEN_CHARACTERS])
        plain = _fold(word)
        if plain in self._stop_words and not (len(spelling) > 1 and spelling.isupper()):
            return ()
        typed = self._with_accented_ending(plain) if self._endings else plain
        stem = _fold(self._stem(typed))
        if word == plain or not self._has_marked_endings:
            return (stem,)
        marked_stem = _fold(self._stem(word))
        return (marked_stem, stem) if is_passage and stem != marked_stem else (marked_stem,)

    def _with_accented_ending(self, plain: str) -> str:
        for ending, accented in self._endings.items():
            if plain.endswith(ending) and len(plain) > len(ending) + 1:
                return plain.removesuffix(ending) + accented
        return plain

    def _without_elision(self, word: str) -> str:
        """Take off what was shortened before a vowel: l'homme, dell'arte."""
        article, apostrophe, rest = word.partition("'")
        return rest if apostrophe and article.casefold() in self._elisions else word

    def _lower(self, word: str) -> str:
        if self._is_turkish:
            word = word.replace("I", "\u0131").replace("İ", "i")
        return word.casefold()


@cache
def get_analyzer(language: str) -> Analyzer:
    """Return the analyzer of a language; collections share it with what it remembers."""
    return Analyzer(language)


def _normalize(text: str) -> str:
    text = _FRACTION.sub(r" \g<0>", _INVISIBLE.sub("", text))
    # NFKC takes it for a space and an accent; people take it for an apostrophe.
    text = unicodedata.normalize("NFKC", text.replace("\u00b4", "'"))
    return _NASAL.sub(_ANUSVARA, text.translate(_WITHOUT_DOTS_BELOW))


def _is_simple(piece: str) -> bool:
    """Whether a piece is a word of one part or a number: most are."""
    if not piece.isascii():
        return _SIMPLE.fullmatch(piece) is not None
    if piece.isalpha():
        return piece[1:].islower() or len(piece) == 1 or piece.isupper()
    return piece.isdecimal()


def _with_number(groups: re.Match[str]) -> str:
    """Add what the groups are without the spaces between them."""
    if len(groups[0]) not in GROUPED_CHARACTERS:
        return groups[0]
    return f"{groups[0]} {''.join(groups[0].split())}"


def _pairs(units: Sequence[str]) -> list[str]:
    return list(map(add, units, units[1:]))


def _spellings(word: str, is_passage: bool) -> list[str]:
    """Return a word as it is written, without joints, and its parts if it has several."""
    if "'" in word or word[-1] == "s":
        word = _CLITIC.sub("", word)
    spellings = []
    if word[0] == "." and word[1:].isdecimal():
        word = f"0{word}"
    elif word[0] == "." or word[-1] in "+#":
        spellings.append(word)
        word = word.lstrip(".").rstrip("+#")
    sides = _SIDES.split(word) if "/" in word or "@" in word else [word]
    if len(sides) > 1:
        spellings.append(_join(word))
    for side in sides:
        spellings += _side_spellings(side, is_passage)
    return spellings


def _side_spellings(word: str, is_passage: bool) -> list[str]:
    pieces = [word] if word.isalnum() else _PIECES.split(word)
    parts = [_split(piece) for piece in pieces]
    num_parts = sum(map(len, parts))
    spellings = []
    if num_parts > 1:
        whole = "".join(pieces).translate(_KINDS_OF_JOINTS)
        # Of codes, not of numbers: 8400-1234 may be anything.
        spellings.append(whole.replace("-", "") if any(map(str.isalpha, whole)) else whole)
    for piece, its_parts in zip(pieces, parts, strict=True):
        if len(its_parts) > 1 and len(pieces) > 1:
            spellings.append(piece.translate(_KINDS_OF_JOINTS))
        if len(its_parts) == 1 or num_parts <= MAX_PARTS:
            for part in its_parts:
                is_plain = part.isalnum() or not part[0].isdecimal()
                spellings += [part] if is_plain else _number_spellings(part, is_passage)
    return spellings


def _number_spellings(number: str, is_passage: bool) -> list[str]:
    """Return the spellings of a number with joints: an amount, a version, a date, an address."""
    if _THOUSANDS.fullmatch(number):
        return _amount_spellings(_plain(number))
    spellings = [_plain(number)] if _PERHAPS_THOUSANDS.fullmatch(number) else []
    if _DECIMAL.fullmatch(number):
        return spellings + _amount_spellings(number.replace(",", "."))
    whole = number.translate(_KINDS_OF_JOINTS)
    parts = _PARTS_OF_NUMBER.split(whole)
    spellings.append(whole)
    if "-" in whole and sum(map(len, parts)) >= MIN_HYPHENATED_DIGITS:
        spellings.append("".join(parts))
    if is_passage:
        ends = [joint.start() for joint in _PARTS_OF_NUMBER.finditer(whole)]
        spellings += [whole[:end] for end in ends[1:MAX_PARTS]]
    return spellings + parts


def _amount_spellings(amount: str) -> list[str]:
    return [amount, amount.removesuffix(".00")] if amount.endswith(".00") else [amount]


def _plain(number: str) -> str:
    """Write a number without separators of thousands: 1.234,5 is 1234.5."""
    separators = [char for char in number if not char.isdecimal()]
    if separators[0] == separators[-1]:
        return number.replace(separators[0], "")
    integer, _, decimals = number.rpartition(separators[-1])
    return f"{integer.replace(separators[0], '')}.{decimals}"


def _join(word: str) -> str:
    """Take out the joints; between digits one of two kinds stays."""
    return "".join(_PIECES.split(word)).translate(_KINDS_OF_JOINTS)


def _split(piece: str) -> list[str]:
    """Split where case or kind of character change."""
    if (piece.islower() and piece.isalpha()) or piece.isdecimal():
        return [piece]
    parts = _PART.finditer(piece.translate(_SHAPES))
    return [piece[part.start() : part.end()] for part in parts]


class _Shapes(dict[int, str]):
    """What `_PART` sees of each character, for `str.translate`."""

    def __missing__(self, code: int) -> str:
        shape = self[code] = _shape(chr(code))
        return shape


_SHAPES = _Shapes()


def _shape(char: str) -> str:
    if char.isdecimal():
        return "0"
    if char.isalnum():
        return "A" if char.isupper() else "v" if char == "v" else "a"
    return "a" if _MARK.match(char) else "."


class _Folding(dict[int, str]):
    """Each character without its accents, for `str.translate`."""

    def __missing__(self, code: int) -> str:
        folded = self[code] = _fold_marked(chr(code))
        return folded


_FOLDING = _Folding()


def _fold(word: str) -> str:
    """Take the accents off Latin, Greek, Hebrew and Arabic letters; write digits as 0 to 9.

    Elsewhere a mark is a vowel, or makes another letter, as in the Russian `й`.
    """
    if word.isascii():
        return word
    return _fold_marked(word) if _ACCENT.search(word) else word.translate(_FOLDING)


def _fold_marked(word: str) -> str:
    kept = []
    has_accents = False
    for char in unicodedata.normalize("NFD", word.translate(_LETTERS)):
        if unicodedata.category(char) != "Mn":
            has_accents = char < "\u0400" or "\u0530" <= char < "\u0700"
            kept.append(str(unicodedata.decimal(char)) if char.isdecimal() else char)
        elif not has_accents:
            kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept))
