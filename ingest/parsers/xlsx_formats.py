"""What the cells of a workbook (XLSX) show around their numbers, and in place of values."""

import re
from collections.abc import Mapping
from zipfile import ZipFile

from lxml import etree

from ingest.parsers.opendocument import safe_xml_parser
from ingest.parsers.sheet_formats import NumberFormat, SheetFormats, ShownText, number_formats
from ingest.parsers.workbook_parts import STYLES, column_number, sheet_paths

_ERROR_MARKS = (b't="e"', b"t='e'")
_ERROR = re.compile(
    rb"""<(?:\w+:)?c(?=\s[^<>]*?\bt=["']e["'])\s[^<>]*?\br=["']([A-Z]{1,3})([0-9]{1,7})["'][^<>]*+>"""
    rb"""(?:\s*+<(?:\w+:)?f\b[^<>]*+(?:(?<=/)>|>[^<]*+</[^<>]*+>))?+\s*+<(?:\w+:)?v>(\#[^<]*+)<"""
)


def formats_of_xlsx(archive: ZipFile) -> dict[str, SheetFormats]:
    """Return the formats of the cells of each sheet with any, by its name."""
    styles = _styles(archive)
    pattern = re.compile(
        rb"""<(?:\w+:)?c(?=\s[^<>]*?\bs=["'](%s)["'])\s[^<>]*?\br=["']([A-Z]{1,3})([0-9]{1,7})["']"""
        % "|".join(map(str, styles)).encode()
    )
    found: dict[str, SheetFormats] = {}
    for name, path in sheet_paths(archive):
        sheet = archive.read(path)
        formats = SheetFormats()
        if styles:
            for cell in pattern.finditer(sheet):
                formats.add(int(cell[3]), column_number(cell[2]), styles[int(cell[1])])
        has_errors = any(mark in sheet for mark in _ERROR_MARKS)
        for cell in _ERROR.finditer(sheet) if has_errors else ():
            text = ShownText(cell[3].decode("ascii", "replace"))
            formats.add(int(cell[2]), column_number(cell[1]), text)
        if styles or has_errors:
            found[name] = formats
    return found


def _styles(archive: ZipFile) -> Mapping[int, NumberFormat]:
    """Return the formats that show something around a number, by the style of a cell."""
    if STYLES not in archive.namelist():
        return {}
    root = etree.fromstring(archive.read(STYLES), safe_xml_parser())
    codes = {one.get("numFmtId", ""): one.get("formatCode", "") for one in root.iter("{*}numFmt")}
    styles = (one.get("numFmtId", "") for one in root.iterfind("{*}cellXfs/{*}xf"))
    return number_formats(codes, styles)
