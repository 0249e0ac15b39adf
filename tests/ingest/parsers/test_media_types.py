import codecs

import pytest

from ingest.errors import UnsupportedTypeError
from ingest.parsers.media_types import detect_media_type


@pytest.mark.parametrize(
    ("head", "filename", "expected"),
    [
        pytest.param(b"%PDF-1.7\n", "a.pdf", "application/pdf", id="pdf"),
        pytest.param(b"%PDF-1.7\n", "a.txt", "application/pdf", id="pdf named text"),
        pytest.param(b"\n" * 1000 + b"%PDF-1.4", "a", "application/pdf", id="pdf after junk"),
        pytest.param(b"# Title", "a.MD", "text/markdown", id="markdown"),
        pytest.param(b"# Title", "a.txt", "text/plain", id="markdown named text"),
        pytest.param(b"  <!DOCTYPE html><p>", "a.txt", "text/html", id="html named text"),
        pytest.param(b"<?xml version='1.0'?>\n<html>", "a", "text/html", id="xhtml"),
        pytest.param(b"<!-- saved --><html>", "a.md", "text/html", id="page named markdown"),
        pytest.param(b'<p align="center">', "README.md", "text/markdown", id="readme"),
        pytest.param(b"<p>Hello", "a", "text/html", id="leading tag"),
        pytest.param(b"Hello", "a.htm", "text/html", id="fragment named html"),
        pytest.param(b"a,b\n1,2\n", "a.csv", "text/plain", id="csv"),
        pytest.param(b"", "a.txt", "text/plain", id="empty"),
        pytest.param(b"caf\xe9 ouvert", "a.txt", "text/plain", id="latin-1"),
        pytest.param("é".encode("utf-16"), "a.txt", "text/plain", id="utf-16 with mark"),
        pytest.param(
            codecs.BOM_UTF16_BE + "<html>".encode("utf-16-be"), "a", "text/html", id="utf-16 html"
        ),
        pytest.param("Text".encode("utf-32"), "a.md", "text/markdown", id="utf-32 with mark"),
    ],
)
def test_content_decides_before_the_name(head: bytes, filename: str, expected: str) -> None:
    assert detect_media_type(head, filename) == expected


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"PK\x03\x04\x14\x00", id="docx"),
        pytest.param(b"\x89PNG\r\n\x1a\n", id="png"),
        pytest.param(b"\xd0\xcf\x11\xe0\xa1\xb1", id="doc"),
        pytest.param(b"{\\rtf1\\ansi", id="rtf"),
        pytest.param(b"looks like text \0 but is not", id="nul"),
        pytest.param(b"\x01\x02\x03text", id="control characters"),
    ],
)
def test_binary_content_is_refused_whatever_its_name(head: bytes) -> None:
    with pytest.raises(UnsupportedTypeError, match="PDF, Markdown, HTML and plain text"):
        detect_media_type(head, "notes.txt")
