"""The parts of an Office file and how they refer to each other (ECMA-376, part 2)."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from zipfile import ZipFile

from lxml import etree

from ingest.parsers.opendocument import safe_xml_parser


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
    if not has_part(archive, listing):
        return
    for one in etree.fromstring(archive.read(listing), safe_xml_parser()).iterchildren("*"):
        target = posixpath.join(f"/{folder}", one.get("Target", ""))
        path = posixpath.normpath(target).lstrip("/")
        if has_part(archive, path):
            yield Relation(one.get("Id", ""), one.get("Type", "").rpartition("/")[2], path)


def has_part(archive: ZipFile, name: str) -> bool:
    """Tell whether a file has a part."""
    try:
        archive.getinfo(name)
    except KeyError:
        return False
    return True
