"""Where the tokens of a text begin, so that any stretch of it is counted without tokenising."""

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Protocol

# The tokens of one block are in memory as objects, those of the whole text as numbers.
_BLOCK_CHARACTERS = 65_536
_SPACE = re.compile(r"\s")
# A word that is one unknown token may have any length; this bounds the chunk it is in.
MAX_CHARACTERS_PER_TOKEN = 32


class TokenStarts(Protocol):
    """The tokenizer of the embedder."""

    def __call__(self, text: str, /) -> Sequence[int]:
        """Return the first character of each token in order, without special tokens."""
        ...


class TokenPositions:
    """The tokens of one text. A slice may have other tokens at its ends than the text has there."""

    def __init__(self, text: str, tokenize: TokenStarts) -> None:
        self._num_characters = len(text)
        self._starts = array("Q")
        for start, end in _blocks(text):
            self._starts.extend(start + first for first in tokenize(text[start:end]))

    def count(self, start: int, end: int) -> int:
        """Count the tokens that begin in a stretch."""
        return bisect_left(self._starts, end) - bisect_left(self._starts, start)

    def forward(self, start: int, num_tokens: int) -> int:
        """Return the farthest offset with at most `num_tokens` tokens between it and `start`."""
        position = bisect_left(self._starts, start) + num_tokens
        farthest = min(self._num_characters, start + num_tokens * MAX_CHARACTERS_PER_TOKEN)
        if position >= len(self._starts):
            return farthest
        return min(farthest, self._starts[position])

    def backward(self, end: int, num_tokens: int) -> int:
        """Return the lowest offset with at most `num_tokens` tokens between it and `end`."""
        position = bisect_left(self._starts, end) - num_tokens
        nearest = max(0, end - num_tokens * MAX_CHARACTERS_PER_TOKEN)
        return max(nearest, self._starts[position - 1] + 1) if position > 0 else nearest


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Cut a text at white space, where no token is cut with it, or after two blocks without any."""
    start = 0
    while start < len(text):
        farthest = min(len(text), start + 2 * _BLOCK_CHARACTERS)
        space = _SPACE.search(text, start + _BLOCK_CHARACTERS, farthest)
        end = space.start() if space else farthest
        yield start, end
        start = end
