"""Thoughts that a model writes into its answer, where its server has no parser for them."""

from enum import Enum, auto

_OPENING = "<think>"
_CLOSING = "</think>"


class _Place(Enum):
    BEFORE = auto()
    THINKING = auto()
    BETWEEN = auto()
    ANSWER = auto()


class ThoughtSplitter:
    """Tells an answer from the thinking before it: `<think>...</think>` at the very beginning.

    White space before the answer is left out. What may become one of the two signs is held back;
    what comes out, put together, does not depend on how the text was split.
    """

    def __init__(self) -> None:
        self._place = _Place.BEFORE
        self._held = ""

    def feed(self, piece: str) -> tuple[str, str]:
        """Take the next piece; return what is certain of the answer, and of the thinking."""
        if self._place is _Place.ANSWER:
            return piece, ""
        text, self._held, thought = self._held + piece, "", ""
        if self._place is _Place.BEFORE:
            text = text.lstrip()
            if len(text) < len(_OPENING) and _OPENING.startswith(text):
                self._held = text
                return "", ""
            is_thinking = text.startswith(_OPENING)
            text = text.removeprefix(_OPENING)
            self._place = _Place.THINKING if is_thinking else _Place.ANSWER
        if self._place is _Place.THINKING:
            thought, closing, text = text.partition(_CLOSING)
            if closing:
                self._place = _Place.BETWEEN
            else:
                thought, self._held = _split_end(thought)
        if self._place is _Place.BETWEEN:
            text = text.lstrip()
            self._place = _Place.ANSWER if text else _Place.BETWEEN
        return text, thought

    def finish(self) -> tuple[str, str]:
        """Return what was held back: it became no sign."""
        held, self._held = self._held, ""
        return ("", held) if self._place is _Place.THINKING else (held, "")


def _split_end(text: str) -> tuple[str, str]:
    """Return a text without the beginning of a closing sign at its end, and that beginning."""
    lengths = range(len(_CLOSING) - 1, 0, -1)
    length = next((one for one in lengths if text.endswith(_CLOSING[:one])), 0)
    return text[: len(text) - length], text[len(text) - length :]
