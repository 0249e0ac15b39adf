import re

import pytest

from ingest.errors import UnreadableFileError
from ingest.parsers.pdf import parse_pdf
from ingest.parsers.pdf_repairs import with_object_streams
from tests.ingest.parsers.pdf_files import pdf, pdf_with_object_stream, writer_with

PAGES = [f"Page {number}" for number in range(1, 8)]


def with_count(data: bytes, count: int) -> bytes:
    changed, num_changes = re.subn(rb"/Count 7\b", b"/Count %d" % count, data)
    assert num_changes == 1
    return changed


@pytest.mark.parametrize("count", [0, 1, 6, 7])
def test_pages_beyond_their_declared_number_are_read(count: int) -> None:
    writer = writer_with(PAGES)
    writer.add_metadata({"/Title": "Bees"})
    writer.add_outline_item(title="Page 7", page_number=6)
    text = parse_pdf(with_count(pdf(writer), count), max_pages=7)
    assert text.text == "\n\n".join(PAGES)
    assert [heading.title for heading in text.headings] == ["Page 7"]
    assert text.metadata["title"] == "Bees"


def test_undeclared_pages_count_for_the_limit() -> None:
    with pytest.raises(UnreadableFileError) as caught:
        parse_pdf(with_count(pdf(writer_with(PAGES)), 1), max_pages=6)
    assert caught.value.code == "too_many_pages"


def test_removed_pages_do_not_come_back() -> None:
    data = pdf(writer_with(PAGES))
    # A later version, appended to the file, whose page tree lists the first page only.
    [(number, old)] = re.findall(rb"(\d+) 0 obj\n<<\n(/Type /Pages.*?)>>\nendobj", data, re.DOTALL)
    new = re.sub(rb"/Kids \[ (\d+ 0 R).*?\]", rb"/Kids [ \1 ]", old).replace(b"Count 7", b"Count 1")
    update = b"%b 0 obj\n<<\n%b>>\nendobj\n" % (number, new)
    [trailer] = re.findall(rb"trailer\n<<\n(.*?)>>\n", data, re.DOTALL)
    [previous] = re.findall(rb"startxref\n(\d+)", data)
    update += b"xref\n%b 1\n%010d 00000 n \n" % (number, len(data))
    update += b"trailer\n<<\n%b/Prev %b\n>>\n" % (trailer, previous)
    start = len(data) + update.index(b"xref")
    data += update + b"startxref\n%d\n%%%%EOF\n" % start
    assert parse_pdf(data, max_pages=7).text == "Page 1"


def test_sound_file_stays_as_it_is() -> None:
    data = pdf_with_object_stream("ObjStm").replace(b"/Type /ObjStm", b"/Type/ObjStm")
    assert with_object_streams(data) == data


@pytest.mark.parametrize("kind", ["ObjStm", "Potato", "X"])
def test_object_stream_of_another_name_is_read(kind: str) -> None:
    assert parse_pdf(pdf_with_object_stream(kind), max_pages=1).text == "Text"
