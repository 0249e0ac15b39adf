"""Halves of characters (surrogates), as servers send them that cut texts within a UTF-16 pair.

JSON can hold them, UTF-8 cannot.
"""

import re
from typing import Any

_HALF = re.compile("[\ud800-\udfff]")
_FIRST_HALF = re.compile("[\ud800-\udbff]\\Z")


class PairJoiner:
    """Joins the halves of characters that come in two pieces of a text."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Take the next piece; return what is whole by now."""
        text = self._held + piece
        self._held = text[-1] if _FIRST_HALF.search(text) else ""
        return without_halves(text.removesuffix(self._held))

    def finish(self) -> str:
        """Return what was held back: the text ends here."""
        text, self._held = self._held, ""
        return without_halves(text)


def without_halves(text: str) -> str:
    """Return a text that UTF-8 can write: halves that meet are joined, others become U+FFFD."""
    if not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def json_without_halves(value: Any) -> Any:
    """Return a value of JSON that has such texts only."""
    if isinstance(value, str):
        return without_halves(value)
    if isinstance(value, list):
        return [json_without_halves(one) for one in value]
    if isinstance(value, dict):
        return {without_halves(key): json_without_halves(one) for key, one in value.items()}
    return value
