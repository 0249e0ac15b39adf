"""The parts of a workbook (XLSX) and how they refer to each other (ECMA-376, part 2)."""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from zipfile import ZipFile

from lxml import etree

from ingest.parsers.opendocument import safe_xml_parser

STYLES = "xl/styles.xml"
_WORKBOOK = "xl/workbook.xml"


@dataclass(frozen=True, slots=True)
class Relation:
    """A reference of one part to another that is there.

    Attributes:
        identifier: by which the part speaks of it.
        kind: the end of its type, such as `worksheet`.
        path: the name of the other part.
    """

    identifier: str
    kind: str
    path: str


def relations(archive: ZipFile, part: str) -> Iterator[Relation]:
    """Yield what a part refers to."""
    folder, name = posixpath.split(part)
    listing = f"{folder}/_rels/{name}.rels"
    if not _has(archive, listing):
        return
    for one in etree.fromstring(archive.read(listing), safe_xml_parser()):
        target = posixpath.join(f"/{folder}", one.get("Target", ""))
        path = posixpath.normpath(target).lstrip("/")
        if _has(archive, path):
            yield Relation(one.get("Id", ""), one.get("Type", "").rpartition("/")[2], path)


def sheet_paths(archive: ZipFile) -> Iterator[tuple[str, str]]:
    """Yield the name of each worksheet and the name of its part."""
    if not _has(archive, _WORKBOOK):
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


def _has(archive: ZipFile, name: str) -> bool:
    try:
        archive.getinfo(name)
    except KeyError:
        return False
    return True
