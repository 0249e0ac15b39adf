import pickle
from pathlib import Path

import pytest

from ingest.errors import UnreadableFileError, UnsupportedTypeError
from ingest.parsers.parse import parse


@pytest.mark.parametrize(
    ("media_type", "content", "expected"),
    [
        ("text/plain", b"# a\r\n", "# a\n"),
        ("text/markdown", b"# a\r\n", "# a\n"),
        ("text/html", b"<p>a", "a"),
        ("application/rtf", rb"{\rtf1 a\u-10179?b}", "a\ufffdb"),
    ],
)
def test_parser_of_the_media_type_is_used(
    tmp_path: Path, media_type: str, content: bytes, expected: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert parse(path, media_type, max_pages=10).text == expected


def test_white_space_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b" \n\t \n")
    with pytest.raises(UnreadableFileError) as caught:
        parse(path, "text/plain", max_pages=10)
    assert caught.value.code == "no_text"


def test_unknown_media_type_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with pytest.raises(UnsupportedTypeError):
        parse(path, "image/gif", max_pages=10)


def test_error_keeps_its_code_when_pickled() -> None:
    error = pickle.loads(pickle.dumps(UnreadableFileError("encrypted", "Unlock it.")))  # noqa: S301
    assert (error.code, str(error)) == ("encrypted", "Unlock it.")
