"""Characters as readers know them: NFC, no ligatures, no control characters."""

import re
import unicodedata

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
_UNWANTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """Return text as NFC without ligatures, control characters and spaces at line ends."""
    text = _UNWANTED.sub("", _LINE_END.sub("\n", text)).translate(_LETTERS)
    lines = unicodedata.normalize("NFC", text).split("\n")
    return "\n".join(line.rstrip() for line in lines).strip()
