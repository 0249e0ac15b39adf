"""Text of page images by Tesseract, where that program is installed."""

import math
import os
import re
import shutil
import subprocess
import time
from io import BytesIO

from PIL import Image
from pypdfium2 import PdfDocument

from ingest.parsers.cleaning import clean
from ingest.parsers.ocr_settings import OcrSettings
from ingest.parsers.page_lines import Line

DOTS_PER_INCH = 300
_POINTS_PER_INCH = 72
_MAX_PIXELS = 25_000_000
_MAX_PAGE_SECONDS = 120.0
# It reads on with the other languages, and tells nobody else.
_MISSING_LANGUAGE = re.compile(r"Failed loading language '([^']+)'")
HOW_TO_INSTALL = (
    "Install Tesseract on the server (apt-get install tesseract-ocr, or brew install tesseract) "
    "and retry, or run OCR on the file and upload the result."
)


class OcrError(Exception):
    """A page could not be read; the message says why and what to do."""


class Tesseract:
    """Reads the page images of one file within the time it has."""

    def __init__(self, settings: OcrSettings) -> None:
        self._program = shutil.which("tesseract")
        self._languages = settings.languages
        self._deadline = time.monotonic() + settings.max_seconds
        self._missing: tuple[str, ...] = ()

    @property
    def shortcoming(self) -> str | None:
        """Which languages pages were read without, and what to do; None when there are none."""
        if not self._missing:
            return None
        packages = " ".join(f"tesseract-ocr-{one.replace('_', '-')}" for one in self._missing)
        return (
            f"OCR went without the languages {', '.join(self._missing)}, whose data is not "
            f"installed; install it on the server (apt-get install {packages}) and retry."
        )

    def read(self, image: Image.Image) -> str:
        """Return the text of an image, empty when there is none.

        Raises:
            OcrError: Tesseract is missing, fails or takes too long.
        """
        if self._program is None:
            raise OcrError(HOW_TO_INSTALL)
        seconds = min(_MAX_PAGE_SECONDS, self._deadline - time.monotonic())
        if seconds <= 0:
            raise OcrError("There was no time left for OCR; split the file and upload the parts.")
        buffer = BytesIO()
        image.convert("L").save(buffer, "PPM")
        command = [self._program, "stdin", "stdout", "-l", self._languages]
        # Page segmentation 1 turns pages that lie on their side, where the data for that is there.
        command += ["--dpi", str(DOTS_PER_INCH), "--psm", "1"]
        try:
            done = subprocess.run(  # noqa: S603 - fixed program, languages from the settings
                command,
                input=buffer.getvalue(),
                capture_output=True,
                timeout=seconds,
                check=False,
                # Pages are read in several workers already.
                env={**os.environ, "OMP_THREAD_LIMIT": "1"},
            )
        except subprocess.TimeoutExpired as error:
            raise OcrError("OCR took too long; split the file and upload the parts.") from error
        errors = done.stderr.decode("utf-8", "replace")
        if done.returncode != 0:
            said = errors.strip().splitlines()
            raise OcrError(
                f"Tesseract failed ({said[0] if said else f'exit code {done.returncode}'}); check "
                "INGEST_OCR_LANGUAGES and that the data of these languages is installed."
            )
        self._missing = tuple(dict.fromkeys(_MISSING_LANGUAGE.findall(errors)))
        return clean(done.stdout.decode("utf-8", "replace").replace("\f", "\n"))


def render(document: PdfDocument, index: int) -> Image.Image:
    """Return the image of a page, in grey, at the resolution that Tesseract reads best."""
    page = document[index]
    try:
        width, height = page.get_size()
        most = math.sqrt(_MAX_PIXELS / max(1.0, width * height))
        bitmap = page.render(scale=min(DOTS_PER_INCH / _POINTS_PER_INCH, most), grayscale=True)
        image: Image.Image = bitmap.to_pil().copy()
        bitmap.close()
        return image
    finally:
        page.close()


def ocr_lines(text: str) -> list[Line]:
    """Return recognised text as lines; a blank line starts a paragraph."""
    lines: list[Line] = []
    starts_paragraph = True
    for row in text.split("\n"):
        if row.strip():
            lines.append(Line(row.strip(), starts_paragraph=starts_paragraph))
        starts_paragraph = not row.strip()
    return lines
