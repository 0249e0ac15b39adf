import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ingest.errors import UnreadableFileError
from ingest.parsers import media_types
from ingest.parsers.media_types import detect_media_type
from ingest.parsers.ocr_settings import OcrSettings
from ingest.parsers.parse import parse
from ingest.parsers.pdf import parse_pdf
from ingest.parsers.scan import parse_scan
from tests.ingest.parsers.pdf_files import add_image, pdf, writer_with

needs_tesseract = pytest.mark.skipif(
    shutil.which("tesseract") is None, reason="Tesseract is not installed"
)


def picture(text: str) -> Image.Image:
    """Return a page of 6 x 8 inches at 150 dots per inch with a line of text on it."""
    image = Image.new("RGB", (900, 1200), "white")
    ImageDraw.Draw(image).text((80, 100), text, "black", ImageFont.load_default(40))
    return image


def encoded(*images: Image.Image, kind: str) -> bytes:
    buffer = BytesIO()
    images[0].save(
        buffer, kind, **({"append_images": images[1:], "save_all": True} if images[1:] else {})
    )
    return buffer.getvalue()


@needs_tesseract
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_scan_is_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "scan"
    path.write_bytes(encoded(picture("The lamp burned oil"), kind=kind))
    with path.open("rb") as file:
        media_type = detect_media_type(file, path.name)
    assert media_type == f"image/{kind.lower()}"
    text = parse(path, media_type, max_pages=1)
    assert (text.text, text.page_starts, text.ocr_pages) == ("The lamp burned oil", (0,), (1,))


@needs_tesseract
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_scan_of_16_bits_is_read(kind: str) -> None:
    grey = np.asarray(picture("The lamp burned oil").convert("L"), dtype=np.uint16)
    image = Image.fromarray(40_000 + grey * 100)  # pale ink on white paper
    assert parse_scan(encoded(image, kind=kind), 1).text == "The lamp burned oil"


@needs_tesseract
def test_each_frame_is_a_page() -> None:
    frames = [
        picture("The lamp burned oil"),
        Image.new("RGB", (300, 300), "white"),
        picture("Bees"),
    ]
    text = parse_scan(encoded(*frames, kind="TIFF"), 3)
    assert text.text == "The lamp burned oil\n\n\n\nBees"
    assert (text.ocr_pages, text.unreadable_pages) == ((1, 3), ())
    with pytest.raises(UnreadableFileError, match="more than 2 pages") as caught:
        parse_scan(encoded(*frames, kind="TIFF"), 2)
    assert caught.value.code == "too_many_pages"


@needs_tesseract
def test_scanned_pages_of_a_pdf_are_read_one_by_one() -> None:
    writer = writer_with(["First words", "", "Last words"])
    add_image(writer, writer.pages[1], picture("The lamp burned oil"))
    text = parse_pdf(pdf(writer), 3)
    assert text.text == "First words\n\nThe lamp burned oil\n\nLast words"
    assert (text.ocr_pages, text.unreadable_pages) == ((2,), ())


@needs_tesseract
def test_stamp_on_every_page_does_not_hide_that_they_are_scans() -> None:
    writer = writer_with([f"Page {number} of 3" for number in (1, 2, 3)])
    for page, words in zip(writer.pages, ("The lamp", "burned oil", "for years"), strict=True):
        add_image(writer, page, picture(words))
    text = parse_pdf(pdf(writer), 3)
    assert text.ocr_pages == (1, 2, 3)
    assert "burned oil" in text.text


@needs_tesseract
def test_scan_with_a_stamp_is_read() -> None:
    writer = writer_with(["Received 12 March", "The lamp"])
    add_image(writer, writer.pages[0], picture("The lamp burned oil for many years in the hall"))
    add_image(writer, writer.pages[1], picture("").point(lambda brightness: brightness // 4))
    text = parse_pdf(pdf(writer), 2)
    assert "burned oil for many years" in text.text
    assert (text.ocr_pages, text.unreadable_pages) == ((1,), ())


def test_scan_with_a_stamp_is_named_without_tesseract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    writer = writer_with(["Received 12 March", "Received 13 March"])
    add_image(writer, writer.pages[0], picture("The lamp burned oil"))
    text = parse_pdf(pdf(writer), 2)
    assert "Received 12 March" in text.text
    assert text.unreadable_pages == (1,)


@needs_tesseract
def test_picture_without_words_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "scan"
    path.write_bytes(encoded(Image.new("RGB", (300, 300), "white"), kind="PNG"))
    with pytest.raises(UnreadableFileError, match="found no text") as caught:
        parse(path, media_types.PNG, max_pages=1)
    assert caught.value.code == "no_text"


@needs_tesseract
def test_missing_language_is_named() -> None:
    data = encoded(picture("Bees"), kind="PNG")
    with pytest.raises(UnreadableFileError, match="INGEST_OCR_LANGUAGES"):
        parse_scan(data, 1, OcrSettings(languages="xyz"))


@needs_tesseract
def test_languages_that_pages_were_read_without_are_named() -> None:
    image = picture("The lamp burned oil")
    writer = writer_with(["First words", ""])
    add_image(writer, writer.pages[1], image)
    settings = OcrSettings(languages="eng+xyz+chi_xyz")
    scan = parse_scan(encoded(image, kind="PNG"), 1, settings)
    document = parse_pdf(pdf(writer), 2, ocr=settings)
    assert (scan.text, document.ocr_pages) == ("The lamp burned oil", (2,))
    for text in (scan, document):
        assert text.unreadable_pages == ()
        assert text.unreadable_reason == (
            "OCR went without the languages xyz, chi_xyz, whose data is not installed; install it "
            "on the server (apt-get install tesseract-ocr-xyz tesseract-ocr-chi-xyz) and retry."
        )


@needs_tesseract
def test_pages_that_time_does_not_reach_are_named() -> None:
    data = encoded(picture("Bees"), kind="PNG")
    with pytest.raises(UnreadableFileError, match="no time left for OCR"):
        parse_scan(data, 1, OcrSettings(max_seconds=0))


def test_without_tesseract_the_reason_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UnreadableFileError, match="apt-get install tesseract-ocr") as caught:
        parse_scan(encoded(picture("Bees"), kind="PNG"), 1)
    assert caught.value.code == "no_text"


@pytest.mark.parametrize("height", [6_000, 12_000])
def test_image_with_too_many_pixels_is_refused(height: int) -> None:
    """The larger one is refused by Pillow itself."""
    data = encoded(Image.new("1", (20_000, height)), kind="PNG")
    assert len(data) < 100_000
    with pytest.raises(UnreadableFileError, match="scan it at 300 dots per inch") as caught:
        parse_scan(data, 1)
    assert caught.value.code == "too_large"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_damaged_image_is_refused(kind: str) -> None:
    data = encoded(picture("Bees"), kind=kind)
    for cut in (data[:20], data[: len(data) // 2]):
        with pytest.raises(UnreadableFileError) as caught:
            parse_scan(cut, 1)
        assert caught.value.code == "damaged"
