"""Numbers and names in a text: what a sentence is about, and easy to leave out or exchange."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

NAME = "name"
LEAST_DIGITS = 2
LEAST_LETTERS = 3
_NUMBER = re.compile(r"(?<![\w.,/-])[$\u20ac\u00a3]?\d+(?:[.,:]\d+)*(?:\s?%)?(?![\w/-]|[.,]\d)")
_WORD = re.compile(r"[^\W\d_][\w&'-]*")
_THOUSANDS = re.compile(r",(?=\d{3})")
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Term:
    """A number or name where it stands in a text.

    Attributes:
        shape: terms of one shape can stand in each other's place; `name`, or of a number what is
            around its digits: `0`, `0.0`, `$0`, `0%`.
    """

    shape: str
    text: str
    start: int
    end: int


def find_terms(text: str, *, is_sentence: bool = True) -> list[Term]:
    """Return the numbers of two digits or more and the capitalised names, in order.

    Args:
        text: where to look.
        is_sentence: then its first word may have a capital without being a name.
    """
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
            yield Term(NAME, text[start:end], start, end)
        start, end = match.span() if is_capital else (-1, -1)
    if end - start >= LEAST_LETTERS:
        yield Term(NAME, text[start:end], start, end)
