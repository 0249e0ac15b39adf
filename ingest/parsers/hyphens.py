"""Words broken at the end of a line, put together again."""

import re
from collections.abc import Iterable

# Between the lines of a cell in a table, of which the first one ends with a hyphen. Nothing that is
# read holds this character, see `clean`.
BROKEN = "\xad"
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_BROKEN = re.compile(r"([^\W\d_]+(?:-[^\W\d_]+)*)[-\u2010]")
_HYPHENS = ("-", "\u2010")
_REST = re.compile(r"[^\W\d_]+")
# Shorter ones, such as `in` and `be`, are more often syllables than words.
_MIN_WORD = 3
# These keep their hyphen when the rest of the document does not tell.
_PREFIXES = frozenset({"self", "well", "half", "cross", "non"})


class Hyphenation:
    """Tells hyphens of the typesetter from those of the author, by the words of the document."""

    def __init__(self, lines: Iterable[str]) -> None:
        words: set[str] = set()
        is_broken = False
        for line in lines:
            found = _WORD.findall(line.casefold())
            words.update(found[is_broken:])
            is_broken = line.endswith(_HYPHENS)
            if is_broken and found:
                words.discard(found[-1])
        self._words = words

    def join(self, line: str, following: str) -> tuple[str, str] | None:
        """Return a line with its last word whole and what is left of the next one.

        None when the line does not end within a word.
        """
        if not line.endswith(_HYPHENS):
            return None
        broken = _BROKEN.fullmatch(line, line.rfind(" ") + 1)
        rest = _REST.match(following)
        if not broken or not rest or not rest.group()[0].islower():
            return None
        head, tail = broken.group(1), rest.group()
        end = rest.end()
        while end < len(following) and not following[end].isspace():
            end += 1
        hyphen = "-" if self._is_compound(head.casefold(), tail.casefold()) else ""
        return line[:-1] + hyphen + following[:end], following[end:].lstrip()

    def mend(self, text: str) -> str:
        """Return a text with the words whole that are broken at `BROKEN`."""
        text, *others = text.split(BROKEN)
        for other in others:
            whole = self.join(text, other)
            text = " ".join(filter(None, whole or (text + other,)))
        return text

    def _is_compound(self, head: str, tail: str) -> bool:
        if head + tail in self._words:
            return False
        if f"{head}-{tail}" in self._words or "-" in head or head in _PREFIXES:
            return True
        return min(len(head), len(tail)) >= _MIN_WORD and {head, tail} <= self._words
