"""Formulas of a workbook (XLSX) that no program has calculated: they show nothing."""

import re
from zipfile import ZipFile

from ingest.parsers.workbook_parts import sheet_paths

_FORMULA = b"<f"
# Of type `str`, an empty value is an empty text.
_WITHOUT_VALUE = re.compile(
    rb"""<c\b(?![^<>]*\bt=["']str["'])[^<>]*+>\s*+<f\b[^<>]*+(?:(?<=/)>|>[^<]*+</f>)"""
    rb"""\s*+(?:<v\s*/>|<v>\s*</v>)?+\s*+</c>"""
)


def num_without_value(archive: ZipFile) -> dict[str, int]:
    """Return how many formulas have no value, for each sheet with any, by its name.

    Libraries write formulas; their values are only known to programs that calculate.
    """
    found: dict[str, int] = {}
    for name, path in sheet_paths(archive):
        sheet = archive.read(path)
        if _FORMULA in sheet and (num := sum(1 for _ in _WITHOUT_VALUE.finditer(sheet))):
            found[name] = num
    return found
