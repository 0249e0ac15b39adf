"""Rewriting a text that comes in pieces: the output is the same however it is split."""

import re
from abc import ABC, abstractmethod


class StreamRewriter(ABC):
    """Rewrites the tokens of a stream of text, holding back only what may still become one."""

    def __init__(self, stop: re.Pattern[str]) -> None:
        """Set up.

        Args:
            stop: matches where a token may begin.
        """
        self._stop = stop
        self._held = ""

    def feed(self, delta: str) -> str:
        """Take the next piece; return what is certain."""
        text = self._held + delta
        output, position = self._rewrite(text, is_end=False)
        self._held = text[position:]
        return output

    def finish(self) -> str:
        """Return what was held back: the text ends here."""
        text, self._held = self._held, ""
        return self._rewrite(text, is_end=True)[0]

    def _rewrite(self, text: str, *, is_end: bool) -> tuple[str, int]:
        """Return the output for the text up to where all is certain, and where that is."""
        pieces: list[str] = []
        position = 0
        while stop := self._stop.search(text, position):
            pieces.append(text[position : stop.start()])
            position = stop.start()
            if not is_end and self._is_open(text, position):
                return "".join(pieces), position
            piece, position = self._replace(text, position)
            pieces.append(piece)
        pieces.append(text[position:])
        return "".join(pieces), len(text)

    @abstractmethod
    def _is_open(self, text: str, position: int) -> bool:
        """Tell whether more text may change what begins at a position; bounded in length."""

    @abstractmethod
    def _replace(self, text: str, position: int) -> tuple[str, int]:
        """Return the output for what begins at a position, and where it ends."""
