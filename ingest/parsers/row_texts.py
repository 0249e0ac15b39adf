"""Texts of a workbook (XLSX) that stand beside the cells of its sheets, in parts of their own."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from zipfile import ZipFile

from lxml import etree

from ingest.parsers.office_parts import relations
from ingest.parsers.opendocument import safe_xml_parser
from ingest.parsers.workbook_parts import sheet_paths


@dataclass(frozen=True, slots=True)
class RowText:
    """A text, and the row that it belongs to, from 1."""

    row: int
    text: str


@dataclass(frozen=True, slots=True)
class RowTexts:
    """The texts beside a sheet, by row; `is_damaged` when some could not be read."""

    texts: Sequence[RowText] = ()
    is_damaged: bool = False


Parts = Mapping[str, Sequence[etree._Element]]


def row_texts_by_sheet(
    archive: ZipFile, kinds: Iterable[str], read: Callable[[Parts], Iterable[RowText]]
) -> dict[str, RowTexts]:
    """Return the texts of each sheet that has any, by its name.

    Args:
        archive: the workbook.
        kinds: of the parts that hold them, see `Relation`.
        read: returns the texts in the parts of one sheet, which come by their kind.
    """
    found: dict[str, RowTexts] = {}
    for name, sheet in sheet_paths(archive):
        parts: dict[str, list[etree._Element]] = {kind: [] for kind in kinds}
        is_damaged = False
        for one in relations(archive, sheet):
            if one.kind in parts:
                try:
                    parts[one.kind].append(
                        etree.fromstring(archive.read(one.path), safe_xml_parser())
                    )
                except etree.XMLSyntaxError:
                    is_damaged = True
        texts = sorted(read(parts), key=lambda text: text.row)
        if texts or is_damaged:
            found[name] = RowTexts(texts, is_damaged)
    return found
