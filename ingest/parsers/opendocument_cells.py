"""What cells of an OpenDocument sheet (ODS) show around their numbers, and in place of values."""

import re
from contextlib import suppress
from functools import lru_cache
from zipfile import ZipFile

from lxml import etree

from ingest.parsers.sheet_formats import CellFormat, NumberFormat, SheetFormats, ShownText

CONTENT = "content.xml"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
# An extension, in which LibreOffice tells what is an error.
_CALC = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}"
_NUMBERS = frozenset({"float", "percentage", "currency"})
_SHOWN_NUMBER = re.compile(r"([^\d.,]*)(\d(?:[\d.,'\s]*\d)?)([^\d.,]*)")
_LAST_MARK = re.compile(r"[.,](?=\d*$)")
_PERCENT = "%"
# No program has more, and the reader of workbooks takes no more.
_MAX_COLUMNS = 16_384
# What stands around negative numbers only.
_MINUS = "-\u2212()"


def formats_of_ods(archive: ZipFile) -> dict[str, SheetFormats]:
    """Return what the cells of each sheet show, by its name; of broken XML, up to where it is."""
    found: dict[str, SheetFormats] = {}
    with suppress(etree.XMLSyntaxError):
        _add_sheets(found, archive)
    return found


def _add_sheets(found: dict[str, SheetFormats], archive: ZipFile) -> None:
    formats, row = SheetFormats(), 1
    with archive.open(CONTENT) as content:
        elements = etree.iterparse(
            content,
            events=("start", "end"),
            tag=(f"{_TABLE}table", f"{_TABLE}table-row"),
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
        )
        for event, element in elements:
            if element.tag == f"{_TABLE}table":
                if event == "start":
                    formats, row = SheetFormats(), 1
                    found[element.get(f"{_TABLE}name", "")] = formats
            elif event == "end":
                num_rows = _count(element, "number-rows-repeated")
                _add_row(formats, element, row, num_rows)
                row += num_rows
                element.clear()


def _add_row(formats: SheetFormats, cells: etree._Element, row: int, num_rows: int) -> None:
    column = 1
    for cell in cells:
        num_columns = _count(cell, "number-columns-repeated")
        if (found := _format(cell)) is not None:
            for one in range(column, min(column + num_columns, _MAX_COLUMNS + 1)):
                formats.add(row, one, found, num_rows)
        column += num_columns


def _count(element: etree._Element, attribute: str) -> int:
    count = element.get(f"{_TABLE}{attribute}", "1")
    return int(count) if count.isdecimal() else 1


def _format(cell: etree._Element) -> CellFormat | None:
    kind = cell.get(f"{_OFFICE}value-type")
    is_error = cell.get(f"{_CALC}value-type") == "error"
    if kind not in _NUMBERS and kind != "time" and not is_error:
        return None
    shown = (cell.findtext(f"{_TEXT}p") or "").strip()
    if is_error or kind == "time":
        return ShownText(shown) if shown else None
    if not shown or (shown[0].isdigit() and shown[-1].isdigit()):
        return None
    try:
        return _around(shown, float(cell.get(f"{_OFFICE}value", "")))
    except ValueError:
        return None


@lru_cache(maxsize=1000)
def _around(shown: str, value: float) -> NumberFormat | None:
    """Return what stands around a number; None: nothing, or it is shown as another number."""
    parts = _SHOWN_NUMBER.fullmatch(shown)
    if parts is None:
        return None
    before, behind = (part.strip(_MINUS if value < 0 else "") for part in (parts[1], parts[3]))
    times = 100 if _PERCENT in before + behind else 1
    before, behind = before.lstrip(), behind.rstrip()
    if not (before or behind) or not _is_rounded(parts[2], abs(value) * times):
        return None
    return NumberFormat(before, behind, times)


def _is_rounded(shown: str, value: float) -> bool:
    """Tell whether a number in the marks of some language is a given one, rounded."""
    mark = _LAST_MARK.search(shown)
    num_decimals = len(shown) - mark.end() if mark else 0
    digits = int(re.sub(r"\D", "", shown))
    return any(
        abs(digits / 10**places - value) <= 0.51 / 10**places for places in {0, num_decimals}
    )
