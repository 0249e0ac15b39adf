"""Characters as readers know them: NFC, no ligatures, no control characters, no half characters."""

import re
import unicodedata
from dataclasses import replace

from ingest.texts import CanonicalText, Place

# A character of Chinese, Japanese or Korean.
EAST_ASIAN = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef]")
_LETTERS = str.maketrans(
    {
        "\ufb00": "ff",
        "\ufb01": "fi",
        "\ufb02": "fl",
        "\ufb03": "ffi",
        "\ufb04": "ffl",
        "\ufb05": "st",
        "\ufb06": "st",
        "\xad": "-",  # a soft hyphen that was painted is seen
    }
)
_LINE_END = re.compile(r"\r\n?")
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNWANTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """Return text as NFC without ligatures, control characters and spaces at line ends."""
    text = _UNWANTED.sub("", _LINE_END.sub("\n", text)).translate(_LETTERS)
    lines = unicodedata.normalize("NFC", text).split("\n")
    return "\n".join(line.rstrip() for line in lines).strip()


def without_surrogates(text: CanonicalText) -> CanonicalText:
    """Return a text with U+FFFD in place of each half of a UTF-16 pair, which nothing can encode.

    Every offset stays what it was.
    """
    return replace(
        text,
        text=_whole(text.text),
        headings=tuple(replace(one, title=_whole(one.title)) for one in text.headings),
        places=tuple(map(_with_whole_label, text.places)),
        unreadable_reason=text.unreadable_reason and _whole(text.unreadable_reason),
        metadata={name: _whole(value) for name, value in text.metadata.items()},
    )


def _with_whole_label(place: Place) -> Place:
    # A sheet has one for each row.
    return place if place.label.isascii() else replace(place, label=_whole(place.label))


def _whole(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text)
