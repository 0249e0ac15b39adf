"""The parts of a workbook (XLSX)."""

from collections.abc import Iterator, Mapping
from io import BytesIO
from zipfile import ZipFile

from lxml import etree

from ingest.parsers.office_parts import has_part, relations
from ingest.parsers.opendocument import safe_xml_parser

STYLES = "xl/styles.xml"
_WORKBOOK = "xl/workbook.xml"


def sheet_paths(archive: ZipFile) -> Iterator[tuple[str, str]]:
    """Yield the name of each worksheet and the name of its part."""
    if not has_part(archive, _WORKBOOK):
        return
    paths = {one.identifier: one.path for one in relations(archive, _WORKBOOK)}
    workbook = etree.fromstring(archive.read(_WORKBOOK), safe_xml_parser())
    for sheet in workbook.iter("{*}sheet"):
        identifier = next((v for key, v in sheet.items() if str(key).endswith("}id")), None)
        if path := paths.get(str(identifier)):
            yield sheet.get("name", ""), path


def replaced(archive: ZipFile, changed: Mapping[str, bytes]) -> bytes:
    """Return the file with other contents of some of its parts."""
    file = BytesIO()
    with ZipFile(file, "w") as copy:
        for name in archive.namelist():
            copy.writestr(name, changed.get(name) or archive.read(name))
    return file.getvalue()


def column_number(name: bytes) -> int:
    """Return the number of a column, from 1: that of `AA` is 27."""
    number = 0
    for letter in name:
        number = 26 * number + letter - 64
    return number
