"""How pages without text are read; apart from `ocr` so that the service loads no PDF library."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OcrSettings:
    """How pages without text are read.

    Attributes:
        languages: codes of Tesseract joined by `+`, such as `eng+deu`.
        max_seconds: for one file; pages that it does not reach stay unread.
    """

    languages: str = "eng"
    max_seconds: float = 480.0
