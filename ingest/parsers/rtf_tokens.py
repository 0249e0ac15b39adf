"""The tokens of RTF (Rich Text Format Specification 1.9.1): braces, control words and bytes."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    rb"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?[0-9]{1,10})? ?"
    rb"|\\'(?P<hex>[0-9a-fA-F]{2})"
    rb"|(?P<brace>[{}])|\\(?P<symbol>.)"
    rb"|(?P<line_end>[\r\n\0]+)|[^\\{}\r\n\0]+",
    re.DOTALL,
)
_LITERALS = ("\\", "{", "}")


class Token(NamedTuple):
    """One token.

    Attributes:
        word: a control word, a control symbol, `{` or `}`; empty for text.
        number: what follows the control word.
        data: the bytes of text, in the encoding of the font.
    """

    word: str = ""
    number: int | None = None
    data: bytes = b""


def tokens(data: bytes) -> Iterator[Token]:
    """Yield the tokens of a file in time that grows with its length; whatever it holds is one."""
    position = 0
    while match := _TOKEN.match(data, position):
        position = match.end()
        kind = match.lastgroup
        if kind == "hex":
            yield Token(data=bytes.fromhex(match["hex"].decode("ascii")))
        elif kind is None:
            yield Token(data=match[0])
        elif kind != "line_end":
            token = _control(match)
            yield token
            if token.word == "bin":  # raw bytes follow
                position += max(0, token.number or 0)


def _control(match: re.Match[bytes]) -> Token:
    if match["word"] is None:
        word = (match["brace"] or match["symbol"]).decode("latin-1")
        is_literal = match["symbol"] is not None and word in _LITERALS
        return Token(data=match["symbol"]) if is_literal else Token(word)
    number = match["number"]
    return Token(match["word"].decode("ascii"), None if number is None else int(number))
