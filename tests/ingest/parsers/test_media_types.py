import codecs
from io import BytesIO
from zipfile import ZipFile

import pytest

from ingest.errors import UnsupportedTypeError
from ingest.parsers import media_types
from ingest.parsers.media_types import detect_media_type
from tests.ingest.parsers.office import (
    make_docx,
    make_epub,
    make_odt,
    make_pptx,
    make_xlsx,
    make_zip,
)


def stored_zip(name: str, content: bytes) -> bytes:
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


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
        pytest.param(b"a,b\n1,2\n", "a.csv", "text/csv", id="csv"),
        pytest.param(b"a\tb\n1\t2\n", "a.tsv", "text/csv", id="tsv"),
        pytest.param(b"Title\n=====\n", "a.rst", "text/x-rst", id="rst"),
        pytest.param(b"{\\rtf1\\ansi hi}", "a.doc", "application/rtf", id="rtf named doc"),
        pytest.param(
            b"Received: from a\n by b\nMessage-ID: <1>\n\nHi", "a.txt", "message/rfc822", id="mail"
        ),
        pytest.param(b"Subject: no mail\n\nHi", "a.txt", "text/plain", id="one field is no mail"),
        pytest.param(b"Subject: draft\n\nHi", "a.eml", "message/rfc822", id="draft named mail"),
        pytest.param(make_docx(""), "a.txt", media_types.DOCX, id="docx"),
        pytest.param(make_pptx([("A", "b")]), "a.zip", media_types.PPTX, id="pptx"),
        pytest.param(make_xlsx({"A": {"A1": 1}}), "a.docx", media_types.XLSX, id="xlsx named docx"),
        pytest.param(make_odt(""), "a", media_types.ODT, id="odt"),
        pytest.param(make_epub(["<p>x</p>"]), "a", media_types.EPUB, id="epub"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "a.txt", "image/png", id="png"),
        pytest.param(b"\xff\xd8\xff\xe0", "a", "image/jpeg", id="jpeg"),
        pytest.param(b"II*\0", "a", "image/tiff", id="tiff"),
        pytest.param("Text é".encode("utf-16-le"), "a.txt", "text/plain", id="utf-16 without mark"),
        pytest.param("Text é".encode("utf-16-be"), "a.md", "text/markdown", id="big-endian"),
        pytest.param(b"\0\1\2\3%PDF-1.4", "a", "application/pdf", id="pdf after binary junk"),
        pytest.param(
            b"HTTP/1.1 200 OK\nAge: 1\n\n%PDF-1.4\n1 0 obj\n<<>>\nendobj\nstartxref\n9\n%%EOF\n",
            "a",
            "application/pdf",
            id="pdf after the header of its download",
        ),
        pytest.param(b"Files that begin with %PDF-1.7", "a.md", "text/markdown", id="about pdf"),
        pytest.param(
            b"A whole one:\n\n%PDF-1.4\n1 0 obj\n<<>>\nendobj\nstartxref\n9\n%%EOF\n\nThat is all.",
            "a.txt",
            "text/plain",
            id="example of a pdf",
        ),
        pytest.param(
            b"Message-ID: <1>\nMIME-Version: 1.0\n\nIt begins with %PDF-1.7",
            "a.eml",
            "message/rfc822",
            id="mail about pdf",
        ),
        pytest.param(b"GIF89a is a format.", "a.txt", "text/plain", id="about gif"),
        pytest.param(
            b"BZh is what bzip2 files begin with.", "a.txt", "text/plain", id="about bzip2"
        ),
        pytest.param(b"Text with one \0 in it.", "a.txt", "text/plain", id="stray nul"),
        pytest.param(b"x" * 999 + b"\0\0\0", "a.txt", "text/plain", id="few stray nuls"),
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
    assert detect_media_type(BytesIO(head), filename) == expected


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(make_zip({"a.txt": "text"}), id="zip"),
        pytest.param(stored_zip("bees.pdf", b"%PDF-1.7"), id="zip with a pdf"),
        pytest.param(b"GIF89a\x01\x00\x01\x00\x80\x00\x00", id="gif"),
        pytest.param(b"BZh91AY&SY4\x05\x9a", id="bzip2"),
        pytest.param(b"\x1f\x8b\x08\x00\x00\x00\x00\x00", id="gzip"),
        pytest.param(b"looks like text \0\0 but is not", id="nul"),
        pytest.param(b"\x01\x02\x03text", id="control characters"),
    ],
)
def test_binary_content_is_refused_whatever_its_name(head: bytes) -> None:
    with pytest.raises(
        UnsupportedTypeError, match=r"not supported\. Supported are PDF, Word.*upload it"
    ):
        detect_media_type(BytesIO(head), "notes.txt")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(make_docx("<w:p/>")[:-40], id="cut docx"),
        pytest.param(b"PK\x03\x04\x14\x00", id="cut zip"),
        pytest.param(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), id="broken doc"),
    ],
)
def test_a_broken_container_is_called_damaged_not_unknown(data: bytes) -> None:
    with pytest.raises(UnsupportedTypeError, match=r"offer\.docx is damaged.*upload that"):
        detect_media_type(BytesIO(data), "offer.docx")
