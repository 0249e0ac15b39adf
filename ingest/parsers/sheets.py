"""Spreadsheets (XLSX, XLSB, XLS, ODS, CSV, TSV): each sheet is a table, each row has a place."""

import csv
from collections.abc import Iterable, Sequence
from datetime import datetime, time
from io import BytesIO, StringIO
from typing import Any

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError

from ingest.errors import UnreadableFileError
from ingest.parsers.archive import ZIP_MAGIC, encrypted, is_locked_office_file, open_archive
from ingest.parsers.builder import TextBuilder
from ingest.parsers.decoding import decode
from ingest.texts import CanonicalText

DELIMITERS = ",;\t|"
_SAMPLE_CHARACTERS = 8192
# The largest field that is still read; a lost quotation mark makes one field of half a file.
_MAX_FIELD_CHARACTERS = 1_000_000
_MIDNIGHT = time()
# Larger ones are shown with an exponent.
_MAX_WHOLE_FLOAT = 1e15


def parse_workbook(data: bytes) -> CanonicalText:
    """Return all sheets, each as a heading and a table of shown values.

    Raises:
        UnreadableFileError: code `damaged`, `encrypted` or `too_large`.
    """
    if data.startswith(ZIP_MAGIC) or is_locked_office_file(data):
        open_archive(data).close()
    try:
        workbook = CalamineWorkbook.from_filelike(BytesIO(data))
        builder = TextBuilder()
        for name in workbook.sheet_names:
            _add_sheet(builder, workbook.get_sheet_by_name(name))
    except PasswordError as error:
        raise encrypted() from error
    except CalamineError as error:
        raise UnreadableFileError(
            "damaged", f"The workbook is damaged ({error}); save it anew and upload it again."
        ) from error
    return builder.finish()


def _add_sheet(builder: TextBuilder, sheet: CalamineSheet) -> None:
    rows = sheet.to_python()  # from the first row and column that hold something
    if any(cell != "" for row in rows for cell in row):
        builder.begin_place(f"sheet {sheet.name}")
        builder.heading(sheet.name, level=1)
        first_row = sheet.start[0] + 1 if sheet.start else 1
        _add_rows(builder, rows, f"sheet {sheet.name}, row", first_row)


def parse_delimited(data: bytes) -> CanonicalText:
    """Return the rows of a CSV or TSV file as a table.

    Raises:
        UnreadableFileError: code `damaged`; no known encoding fits.
    """
    text = decode(data)
    csv.field_size_limit(_MAX_FIELD_CHARACTERS)
    builder = TextBuilder()
    rows = csv.reader(StringIO(text, newline=""), delimiter=_delimiter(text))
    try:
        _add_rows(builder, rows, "row")
    except csv.Error:
        return CanonicalText(text)  # no table after all: nothing is lost as plain text
    return builder.finish()


def _delimiter(text: str) -> str:
    """Return the delimiter that most lines of the beginning have in the same number."""
    lines = [line for line in text[:_SAMPLE_CHARACTERS].splitlines() if line.strip()]
    return max(DELIMITERS, key=lambda one: _evenness([line.count(one) for line in lines]))


def _evenness(counts: list[int]) -> tuple[int, int]:
    most_common = max(set(counts), key=counts.count, default=0)
    return (counts.count(most_common) if most_common else 0, most_common)


def _add_rows(
    builder: TextBuilder, rows: Iterable[Sequence[Any]], place: str, first_row: int = 1
) -> None:
    builder.table(
        (f"{place} {number}", _trim([_shown(cell) for cell in row]))
        for number, row in enumerate(rows, start=first_row)
    )


def _trim(cells: list[str]) -> list[str]:
    while len(cells) > 1 and not cells[-1].strip():
        cells.pop()
    return cells


def _shown(value: Any) -> str:
    """Return a value as a sheet shows it: 3 and not 3.0, a date without midnight."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        is_whole = value.is_integer() and abs(value) < _MAX_WHOLE_FLOAT
        return str(int(value)) if is_whole else repr(value)
    if isinstance(value, datetime) and value.time() == _MIDNIGHT:
        return value.date().isoformat()
    return str(value)
