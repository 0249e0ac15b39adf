"""Numbers and names in a text: what a sentence is about, and easy to leave out or exchange."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

NAME = "name"
ACRONYM = "acronym"
LEAST_DIGITS = 2
LEAST_LETTERS = 3
_NUMBER = re.compile(r"(?<![\w.,/-])[$\u20ac\u00a3]?\d+(?:[.,:]\d+)*(?:\s?%)?(?![\w/-]|[.,]\d)")
_WORD = re.compile(r"[^\W\d_][\w&'-]*")
_THOUSANDS = re.compile(r",(?=\d{3})")
_DIGITS = re.compile(r"\d+")
# [12], (Porter, 1980), (Aroyo et al.), with the names before it: Porter and Aroyo (1980); Table 3.
_CITATION = re.compile(
    r"""
    \[ [^\[\]]* \]
    | (?: [^\W\d_][\w'\u2019-]* (?: \ (?:and|&)\ [^\W\d_][\w'\u2019-]* | \ et\ al\.? )? \ )?
      \( (?: 1[5-9] | 20 ) \d\d [a-z]? \)
    | \( [^()]* \b (?: (?: 1[5-9] | 20 ) \d\d [a-z]? | et\ al\.? ) \)
    | [^\W\d_][\w'\u2019-]* \ et\ al\b
    | \b (?: Section | Chapter | Appendix | Table | Figure | Fig\. | Equation | Eq\. ) s? \ \(?
      (?: \d[\d.]* | [A-Z]{1,4}\b )
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Term:
    """A number or name where it stands in a text.

    Attributes:
        shape: terms of one shape can stand in each other's place; `name`, `acronym`, or of a number
            what is around its digits: `0`, `0.0`, `$0`, `0%`.
    """

    shape: str
    text: str
    start: int
    end: int


def find_terms(text: str, *, is_sentence: bool = True) -> list[Term]:
    """Return the numbers of two digits or more and the capitalised names, in order.

    What cites (`[12]`, `(Porter, 1980)`) says nothing of its own and is passed over.

    Args:
        text: where to look.
        is_sentence: then its first word may have a capital without being a name.
    """
    text = _CITATION.sub(lambda match: "|" * len(match[0]), text)
    terms = [
        Term(_shape(match.group()), match.group(), *match.span())
        for match in _NUMBER.finditer(text)
        if sum(character.isdigit() for character in match.group()) >= LEAST_DIGITS
    ]
    terms += _names(text, is_sentence=is_sentence)
    return sorted(terms, key=lambda term: term.start)


def _shape(number: str) -> str:
    return "".join(_DIGITS.sub("0", _THOUSANDS.sub("", number)).split())


def _names(text: str, *, is_sentence: bool) -> Iterator[Term]:
    start = end = -1
    for position, match in enumerate(_WORD.finditer(text)):
        is_capital = match.group()[0].isupper() and not (is_sentence and position == 0)
        if is_capital and end >= 0 and text[end : match.start()] == " ":
            end = match.end()
            continue
        if end - start >= LEAST_LETTERS:
            yield _name(text, start, end)
        start, end = match.span() if is_capital else (-1, -1)
    if end - start >= LEAST_LETTERS:
        yield _name(text, start, end)


def _name(text: str, start: int, end: int) -> Term:
    name = text[start:end]
    is_acronym = " " not in name and 2 * sum(map(str.isupper, name)) > sum(map(str.isalpha, name))
    return Term(ACRONYM if is_acronym else NAME, name, start, end)
