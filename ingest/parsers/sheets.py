"""Spreadsheets (XLSX, XLSB, XLS, ODS, CSV, TSV): each sheet is a table, each row has a place."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from io import BytesIO
from itertools import chain, islice
from typing import Any
from zipfile import ZipFile

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetVisibleEnum,
)

from ingest.errors import UnreadableFileError
from ingest.parsers.archive import ZIP_MAGIC, encrypted, is_locked_office_file, open_archive
from ingest.parsers.builder import TextBuilder
from ingest.parsers.decoding import decode
from ingest.parsers.far_cells import GatheredWorkbook, gather_far_cells
from ingest.parsers.opendocument_cells import CONTENT, formats_of_ods
from ingest.parsers.row_names import lacks_name_of_rows
from ingest.parsers.row_texts import RowTexts
from ingest.parsers.sheet_boxes import boxes_by_sheet
from ingest.parsers.sheet_comments import comments_by_sheet
from ingest.parsers.sheet_formats import SheetFormats, ShownNumber
from ingest.parsers.sheet_formulas import num_without_value
from ingest.parsers.sheet_tables import Row, SheetTable, sheet_tables
from ingest.parsers.workbook_repairs import with_sound_styles
from ingest.parsers.xls_formats import formats_of_xls
from ingest.parsers.xlsb_formats import WORKBOOK, formats_of_xlsb
from ingest.parsers.xlsx_formats import formats_of_xlsx
from ingest.texts import CanonicalText

# Of equally even ones the first is taken: few texts within cells have tabs, most have commas.
DELIMITERS = "\t,;|"
# What Excel takes the delimiter from, in the first line.
_NAMED_DELIMITER = re.compile(rf"sep=([{DELIMITERS}])\n")
_QUOTED = re.compile(rf'(?<![^\n{DELIMITERS}])"(?:[^"]|"")*+"')
_SAMPLE_CHARACTERS = 8192
# In quotes, where a quotation mark must be the last or be doubled: Spark and MySQL escape it.
_ESCAPED = re.compile(rf'(?<![^\n{DELIMITERS}])"[^"\n]*+(?<=\\)"(?![\n"{DELIMITERS}]|\Z)')
_ESCAPED_QUOTE = re.compile(r'(?<!\\)((?:\\\\)*+)\\"')
# The largest field that is still read; a lost quotation mark makes one field of half a file.
_MAX_FIELD_CHARACTERS = 1_000_000
_MIDNIGHT = time()
# What is longer is prose, and no title of a table.
_MAX_TITLE_CHARACTERS = 100
# Rows of a CSV file that are looked through for where its table begins.
_MAX_TITLES = 50


@dataclass(frozen=True, slots=True)
class _Beside:
    """A workbook whose cells are near each other, and what stands beside them, by sheet."""

    workbook: GatheredWorkbook
    boxes: Mapping[str, RowTexts] = field(default_factory=dict)
    comments: Mapping[str, RowTexts] = field(default_factory=dict)
    formats: Mapping[str, SheetFormats] = field(default_factory=dict)
    num_without_value: Mapping[str, int] = field(default_factory=dict)


def parse_workbook(data: bytes) -> CanonicalText:
    """Return all sheets, each as a heading and tables of shown values, hidden ones as well.

    Behind the tables of a sheet stand its text boxes and the comments on its cells, of XLSX files.

    Raises:
        UnreadableFileError: code `damaged`, `encrypted` or `too_large`.
    """
    beside = _read_beside(data)
    gathered = beside.workbook
    try:
        workbook = CalamineWorkbook.from_filelike(BytesIO(gathered.data))
        builder = TextBuilder()
        for sheet in workbook.sheets_metadata:
            is_hidden = sheet.visible != SheetVisibleEnum.Visible
            place = f"sheet {sheet.name}{' (hidden)' if is_hidden else ''}"
            rows = _rows(
                workbook.get_sheet_by_name(sheet.name), gathered, beside.formats.get(sheet.name)
            )
            _add_sheet(builder, sheet.name, rows, place)
            for kind, found in (("Text boxes", beside.boxes), ("Comments", beside.comments)):
                _add_row_texts(builder, kind, found.get(sheet.name, RowTexts()), place)
            if num := beside.num_without_value.get(sheet.name):
                builder.add_unread(
                    f"{num} formula{'s' if num > 1 else ''} of {place} had no value, because no "
                    "program has calculated it; open and save the workbook in one and upload that."
                )
    except PasswordError as error:
        raise encrypted() from error
    except CalamineError as error:
        raise UnreadableFileError(
            "damaged", f"The workbook is damaged ({error}); save it anew and upload it again."
        ) from error
    return builder.finish()


def _read_beside(data: bytes) -> _Beside:
    if not data.startswith(ZIP_MAGIC) and not is_locked_office_file(data):
        return _Beside(GatheredWorkbook(data), formats=formats_of_xls(data))
    with open_archive(data) as archive:
        data = with_sound_styles(archive, data)
    with open_archive(data) as archive:
        workbook = gather_far_cells(archive, data)
        boxes = boxes_by_sheet(archive)
        comments = comments_by_sheet(archive)
        unknown = num_without_value(archive)
    with ZipFile(BytesIO(workbook.data)) as archive:
        formats = _formats(archive)
    return _Beside(workbook, boxes, comments, formats, unknown)


def _formats(archive: ZipFile) -> Mapping[str, SheetFormats]:
    names = archive.namelist()
    if CONTENT in names:
        return formats_of_ods(archive)
    return formats_of_xlsb(archive) if WORKBOOK in names else formats_of_xlsx(archive)


def _rows(
    sheet: CalamineSheet, workbook: GatheredWorkbook, formats: SheetFormats | None
) -> Iterator[Row]:
    for number, row in enumerate(sheet.iter_rows(), start=1):
        shown = formats.shown(number, row, _digits) if formats else row
        if any(cell != "" for cell in shown):
            yield workbook.row_number(sheet.name, number), shown


def _add_sheet(builder: TextBuilder, name: str, rows: Iterator[Row], place: str) -> None:
    for number, table in enumerate(sheet_tables(rows)):
        if number == 0 and table.rows:
            builder.begin_place(place)
            builder.heading(name, level=1)
        _add_titles(builder, table, f"{place}, row")
        _add_rows(builder, table.rows, f"{place}, row")


def _add_titles(builder: TextBuilder, table: SheetTable, place: str) -> None:
    for at, (number, cells) in enumerate(table.titles):
        builder.begin_place(f"{place} {number}")
        title = " ".join(_shown(cell) for cell in cells).strip()
        if at == 0 and table.rows and len(title) <= _MAX_TITLE_CHARACTERS:
            builder.heading(title, level=2)
        else:
            builder.block(title)


def _add_row_texts(builder: TextBuilder, kind: str, found: RowTexts, place: str) -> None:
    for one in found.texts:
        builder.begin_place(f"{place}, row {one.row}")
        builder.block(one.text)
    if found.is_damaged:
        builder.add_unread(f"{kind} of {place} are damaged and could not be read.")


def parse_delimited(data: bytes) -> CanonicalText:
    """Return the rows of a CSV or TSV file as a table.

    Raises:
        UnreadableFileError: code `damaged`; no known encoding fits.
    """
    text = decode(data)
    if _ESCAPED.search(text):
        text = _ESCAPED_QUOTE.sub(r'\1""', text)
    csv.field_size_limit(_MAX_FIELD_CHARACTERS)
    builder = TextBuilder()
    named = _NAMED_DELIMITER.match(text)
    cells = csv.reader(_lines(text), delimiter=named[1] if named else _delimiter(text))
    try:
        if named:
            next(cells)
        rows = enumerate(cells, start=2 if named else 1)
        beginning = _without_titles(
            builder, [row for row in islice(rows, _MAX_TITLES) if any(row[1])]
        )
        _add_rows(builder, chain(beginning, rows), "row")
    except csv.Error:
        return CanonicalText(text)  # no table after all: nothing is lost as plain text
    return builder.finish()


def _without_titles(builder: TextBuilder, rows: list[Row]) -> list[Row]:
    """Add the rows with a single cell above a table as its titles, and return the others.

    A header that has no name for the names of the rows gets an empty one.
    """
    start = next((at for at, (_, cells) in enumerate(rows) if len(_trim([*cells])) > 1), 0)
    for at in range(max(0, start - 1), start + 1):
        if lacks_name_of_rows(rows[at][1], [cells for _, cells in rows[at + 1 :]]):
            number, cells = rows[at]
            rows[at], start = (number, ["", *cells]), at
    _add_titles(builder, SheetTable(rows[:start], rows[start:]), "row")
    return rows[start:]


def _lines(text: str) -> Iterator[str]:
    r"""Yield lines with their ends, which are `\n`; `StringIO` takes four bytes a character."""
    start = 0
    while end := text.find("\n", start) + 1:
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]


def _delimiter(text: str) -> str:
    """Return the delimiter that most lines of the beginning have in the same number."""
    sample = _QUOTED.sub("", text[:_SAMPLE_CHARACTERS])
    lines = [line for line in sample.split("\n") if line.strip()]
    return max(DELIMITERS, key=lambda one: _evenness([line.count(one) for line in lines]))


def _evenness(counts: list[int]) -> tuple[int, int]:
    most_common = max(set(counts), key=counts.count, default=0)
    return (counts.count(most_common) if most_common else 0, most_common)


def _add_rows(builder: TextBuilder, rows: Iterable[Row], place: str) -> None:
    builder.table(
        (f"{place} {number}", _trim([_shown(cell) for cell in row])) for number, row in rows
    )


def _trim(cells: list[str]) -> list[str]:
    while len(cells) > 1 and not cells[-1].strip():
        cells.pop()
    return cells


def _shown(value: Any) -> str:
    """Return a value as a sheet shows it: 3 and not 3.0, a date without midnight, 30:05:00."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, ShownNumber):
        return value.text
    if isinstance(value, float):
        return _digits(value)
    if isinstance(value, datetime) and value.time() == _MIDNIGHT:
        return value.date().isoformat()
    if isinstance(value, timedelta):
        return _duration(value)
    return str(value)


def _duration(value: timedelta) -> str:
    seconds, rest = divmod(abs(value), timedelta(seconds=1))
    fraction = f".{rest.microseconds:06}".rstrip("0") if rest else ""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{'-' if value < timedelta() else ''}{hours}:{minutes:02}:{seconds:02}{fraction}"


def _digits(value: float) -> str:
    return format(value, ".15g")  # as many as a sheet keeps
