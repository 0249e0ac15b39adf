"""Workbooks: which rows are tables, what stands above them, and cells far away."""

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import xlsxwriter

from ingest.errors import UnreadableFileError
from ingest.parsers.sheets import parse_delimited, parse_workbook
from ingest.texts import CanonicalText
from tests.ingest.parsers.binary_workbooks import Cell, make_xls, make_xlsb
from tests.ingest.parsers.office import make_xlsx, make_zip
from tests.ingest.parsers.reading import headings, place_of


def read(rows: Sequence[Sequence[Any]], **more: object) -> CanonicalText:
    cells = {
        f"{'ABCDEF'[column]}{number}": value
        for number, row in enumerate(rows, start=1)
        for column, value in enumerate(row)
        if value != ""
    }
    return parse_workbook(make_xlsx({"Prices": cells | more}))


APPLES = "| Item | Price |\n| --- | --- |\n| Apple | 1.5 |"


def test_a_title_stands_above_the_table() -> None:
    rows: list[list[Any]] = [
        ["Price list 2024"],
        ["", "in euros"],
        [],
        ["Item", "Price"],
        ["Apple", 1.5],
    ]
    text = read(rows)
    assert text.text == f"Prices\n\nPrice list 2024\n\nin euros\n\n{APPLES}"
    assert headings(text) == [(1, "Prices"), (2, "Price list 2024")]
    assert [place_of(text, words) for words in ("Price list", "euros", "Item", "Apple")] == [
        "sheet Prices, row 1",
        "sheet Prices, row 2",
        "sheet Prices, row 4",
        "sheet Prices, row 5",
    ]


def test_one_column_of_numbers_has_a_header_beside_the_names_of_its_rows() -> None:
    text = read([["", "price"], ["apple", 1.5], ["pear", ""], ["plum", 2]])
    assert text.text == (
        "Prices\n\n|  | price |\n| --- | --- |\n| apple | 1.5 |\n| pear |\n| plum | 2 |"
    )
    assert place_of(text, "price |") == "sheet Prices, row 1"


def test_a_long_text_above_a_table_is_no_heading() -> None:
    note = "These prices hold from the first of May on. " * 3
    text = read([[note], ["Item", "Price"], ["Apple", 1.5]])
    assert text.text == f"Prices\n\n{note.strip()}\n\n{APPLES}"
    assert headings(text) == [(1, "Prices")]


@pytest.mark.parametrize(
    ("second", "titles"),
    [
        ([["Discounts"], ["Customer", "Percent"], ["ACME", "ten"]], "Discounts\n\n"),
        ([["Discounts"], [], ["Customer", "Percent"], ["ACME", "ten"]], "Discounts\n\n"),
        ([["Customer", "Percent"], ["ACME", 10]], ""),
        ([["Customer", "Percent", "Since"], ["ACME", "ten", "May"]], ""),
    ],
)
def test_a_second_table_has_its_own_header(second: list[list[Any]], titles: str) -> None:
    text = read([["Item", "Price"], ["Apple", 1.5], [], *second])
    width = max(map(len, second))
    head, *rows = [row for row in second if len(row) == width]
    lines = [head, ["---"] * width, *rows]
    table = "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
    assert text.text == f"Prices\n\n{APPLES}\n\n{titles}{table}"


@pytest.mark.parametrize(
    ("more", "lines"),
    [
        ([["Pear", 2]], ["| Pear | 2 |"]),
        ([["Fruit"], ["Pear", 2]], ["| Fruit |", "| Pear | 2 |"]),
        ([["Fruit"], [], ["Pear", 2]], ["| Fruit |", "| Pear | 2 |"]),
        ([["Pear", "sold out"]], ["| Pear | sold out |"]),
    ],
)
def test_rows_behind_an_empty_one_belong_to_the_table(
    more: list[list[Any]], lines: list[str]
) -> None:
    text = read([["Item", "Price"], ["Apple", 1.5], [], *more])
    assert text.text == "\n".join([f"Prices\n\n{APPLES}", *lines])
    assert place_of(text, lines[0]) == "sheet Prices, row 4"


def test_notes_below_a_table_are_text() -> None:
    text = read([["Item", "Price"], ["Apple", 1.5], [], ["Source: census"]])
    assert text.text == f"Prices\n\n{APPLES}\n\nSource: census"
    assert place_of(text, "Source") == "sheet Prices, row 4"


def test_a_single_column_is_a_table() -> None:
    assert read([["Name"], ["Ann"], [], ["Bob"]]).text == (
        "Prices\n\n| Name |\n| --- |\n| Ann |\n| Bob |"
    )


def test_hidden_sheets_are_read_and_named_as_such() -> None:
    buffer = BytesIO()
    with xlsxwriter.Workbook(buffer) as workbook:
        workbook.add_worksheet("Prices").write("A1", "shown")
        rates = workbook.add_worksheet("Rates")
        rates.write("A1", "kept")
        rates.hide()
    text = parse_workbook(buffer.getvalue())
    assert place_of(text, "shown") == "sheet Prices, row 1"
    assert place_of(text, "kept") == "sheet Rates (hidden), row 1"


def test_numbers_have_the_digits_that_a_sheet_shows() -> None:
    text = read([["a", "b", "c"], [0.1 + 0.2, 12345678, 1e20]])
    assert text.text.endswith("| 0.3 | 12345678 | 1e+20 |")


@pytest.mark.parametrize("cell", ["XFD1048576", "Z1048576", "XFD9"])
def test_a_cell_far_away_costs_nothing_and_keeps_its_place(cell: str) -> None:
    text = read([["Name", "Born"], ["Ann", 1980], [], ["Bob", 1990]], **{cell: "stray"})
    assert text.text.startswith("Prices\n\n| Name | Born |\n| --- | --- |\n| Ann | 1980 |\n")
    assert place_of(text, "Bob") == "sheet Prices, row 4"
    number = cell.lstrip("XFDZ")
    assert place_of(text, "stray") == f"sheet Prices, row {number}"


def test_cells_spread_over_a_whole_sheet_are_refused() -> None:
    buffer = BytesIO()
    with xlsxwriter.Workbook(buffer) as workbook:
        sheet = workbook.add_worksheet("Wide")
        for number in range(2_100):
            sheet.write(number, number, 1)
    with pytest.raises(UnreadableFileError, match="2100 cells of sheet Wide") as caught:
        parse_workbook(buffer.getvalue())
    assert caught.value.code == "too_large"


def test_rows_that_do_not_say_where_they_are_are_not_moved() -> None:
    data = make_xlsx({"Prices": {"A1": 1, "A2": 2, "XFD1048576": 3}})
    buffer = BytesIO()
    with ZipFile(BytesIO(data)) as archive, ZipFile(buffer, "w") as copy:
        for name in archive.namelist():
            copy.writestr(name, archive.read(name).replace(b' r="A2"', b""))
    with pytest.raises(UnreadableFileError) as caught:
        parse_workbook(buffer.getvalue())
    assert caught.value.code == "too_large"


@pytest.mark.data
def test_a_real_report_keeps_its_titles_apart(data_dir: Path) -> None:
    folder = data_dir / "hostile_dev" / "documents" / "unstructured" / "example-docs"
    path = folder / "2023-half-year-analyses-by-segment.xlsx"
    if not path.exists():
        pytest.skip(f"no workbook at {path}")
    text = parse_workbook(path.read_bytes())
    assert headings(text)[:2] == [
        (1, "OS-Rev.and results 30 06 2023"),
        (2, "3. Analyses by segment"),
    ]
    assert "\n\nRevenue and results\n\n| In millions of CHF |" in text.text
    assert "\n\n(a) Inter-segment sales are not significant.\n\n(b) Trading" in text.text


def test_text_boxes_stand_behind_the_tables() -> None:
    buffer = BytesIO()
    with xlsxwriter.Workbook(buffer) as workbook:
        sheet = workbook.add_worksheet("Prices")
        for number, row in enumerate([["Item", "Price"], ["Apple", 1.5]]):
            sheet.write_row(number, 0, row)
        sheet.insert_textbox("D6", "Below")
        sheet.insert_textbox("D2", "Prices are without tax.\nAsk Ann.")
        sheet.write_comment("A1", "What we sell.")
    text = parse_workbook(buffer.getvalue())
    assert text.text == (
        f"Prices\n\n{APPLES}\n\nPrices are without tax.\nAsk Ann.\n\nBelow\n\n"
        "Comment on A1: What we sell."
    )
    assert place_of(text, "without tax") == "sheet Prices, row 2"
    with ZipFile(buffer) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    path = "xl/drawings/drawing1.xml"
    damaged = parse_workbook(make_zip({**parts, path: parts[path][:-20]}))
    assert damaged.text == f"Prices\n\n{APPLES}\n\nComment on A1: What we sell."
    assert damaged.unreadable_reason == (
        "Text boxes of sheet Prices are damaged and could not be read."
    )


THREADS = "http://schemas.microsoft.com/office/2017/10/relationships/threadedComment"


def with_comments(threads: str = "") -> bytes:
    """Return a workbook with a note on B2 and one on A1; threads are added as they are."""
    buffer = BytesIO()
    with xlsxwriter.Workbook(buffer) as workbook:
        for name in ("Prices", "Empty"):
            workbook.add_worksheet(name)
        sheet = workbook.get_worksheet_by_name("Prices")
        for number, row in enumerate([["Item", "Price"], ["Apple", 1.5]]):
            sheet.write_row(number, 0, row)
        sheet.write_comment("B2", "Ann:\nUntil May only.")
        sheet.write_comment("A1", "What we sell.")
    if not threads:
        return buffer.getvalue()
    with ZipFile(buffer) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    relations, end = "xl/worksheets/_rels/sheet1.xml.rels", b"</Relationships>"
    thread = f'<Relationship Id="rId9" Type="{THREADS}" Target="../threads.xml"/>'.encode()
    entries[relations] = entries[relations].replace(end, thread + end)
    return make_zip({**entries, "xl/threads.xml": threads})


def test_comments_on_cells_stand_behind_the_tables() -> None:
    text = parse_workbook(with_comments())
    assert text.text == (
        f"Prices\n\n{APPLES}\n\nComment on A1: What we sell.\n\nComment on B2: Ann: Until May only."
    )
    assert place_of(text, "What we sell") == "sheet Prices, row 1"
    assert place_of(text, "Until May") == "sheet Prices, row 2"
    assert text.unreadable_reason is None


def test_threads_of_comments_stand_for_the_notes_that_tell_of_them() -> None:
    threads = (
        '<ThreadedComments xmlns="x"><threadedComment ref="B2"><text>Is this right?</text>'
        '</threadedComment><threadedComment ref="B2" parentId="1"><text>Yes, until May.</text>'
        "</threadedComment></ThreadedComments>"
    )
    text = parse_workbook(with_comments(threads)).text
    assert "Comment on A1: What we sell." in text
    assert text.endswith("Comment on B2: Is this right? Yes, until May.")


def test_damaged_comments_take_nothing_else_with_them() -> None:
    text = parse_workbook(with_comments("<ThreadedComments><thr"))
    assert text.text.startswith(f"Prices\n\n{APPLES}\n\nComment on A1")
    assert text.unreadable_reason == ("Comments of sheet Prices are damaged and could not be read.")


@pytest.mark.parametrize(
    ("data", "header", "row"),
    [
        (
            b"name\taddress\tnote\nAnn\t1 Hill, York\tx, y\nBob\t2 Lane, Bath\ta, b\n",
            "| name | address | note |",
            "| Ann | 1 Hill, York | x, y |",
        ),
        (
            b"name\taddress, town\nAnn\t1 Hill, York\n",
            "| name | address, town |",
            "| Ann | 1 Hill, York |",
        ),
        (
            b'id,text\n1,"red; blue; green, all"\n2,"one; two; three, four"\n',
            "| id | text |",
            "| 1 | red; blue; green, all |",
        ),
        (
            b'id,text\n1,"two\nlines; with; signs"\n2,"a;b;c"\n',
            "| id | text |",
            "| 1 | two lines; with; signs |",
        ),
        (b"sep=;\r\nid;price\r\n1;2,50\r\n", "| id | price |", "| 1 | 2,50 |"),
    ],
)
def test_delimiters_are_those_between_the_cells(data: bytes, header: str, row: str) -> None:
    first, _, second, *_ = parse_delimited(data).text.split("\n")
    assert (first, second) == (header, row)


@pytest.mark.parametrize(
    ("data", "cells"),
    [
        (rb'1,"He said \"hi, there\" loud",end', 'He said "hi, there" loud'),
        (rb'1,"{\"a\": 1, \"b\": 2}",end', '{"a": 1, "b": 2}'),
        # A backslash that escapes nothing is text, also in front of the last mark.
        (rb'1,"C:\new, C:\old\",end', "C:\\new, C:\\old\\"),
        (rb'1,"it says \""hi, there\"" here",end', r"it says \"hi, there\" here"),
    ],
)
def test_quotes_are_doubled_or_escaped_with_backslashes(data: bytes, cells: str) -> None:
    text = parse_delimited(b"id,quote,end\n" + data + b"\n").text
    assert text.split("\n")[2] == f"| 1 | {cells} | end |"


def test_lines_above_the_table_of_a_csv_file_are_titles() -> None:
    table = b"day,amount\n1 May,250\n2 May,30\n"
    text = parse_delimited(b"Account 4711\nExported on 3 May\n\n" + table)
    assert text.text == (
        "Account 4711\n\nExported on 3 May\n\n"
        "| day | amount |\n| --- | --- |\n| 1 May | 250 |\n| 2 May | 30 |"
    )
    assert [heading.title for heading in text.headings] == ["Account 4711"]
    assert [place.label for place in text.places] == [
        *("row 1", "row 2"),
        *("row 4", "row 5", "row 6"),
    ]


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (b'"mpg","cyl"\n"Mazda RX4",21,6\n"Datsun",22.8,NA\n', "|  | mpg | cyl |"),  # write.table
        (b'"x"\n"Mazda RX4",21\n"Datsun",-2.28e1\n', "|  | x |"),
        (b",x\na,21\nb,22\n", "|  | x |"),  # pandas
        (b"name,born\nAnn,1990,x\nAnn,1991,y\n", "| name | born |"),  # no names of rows
        (b"name,born\nAnn,1990,\nBea,1991,\n", "| name | born |"),
        (b"name,town\nAnn,Rome,x\nBea,Oslo,y\n", "| name | town |"),
    ],
)
def test_names_of_rows_need_no_name_themselves(data: bytes, header: str) -> None:
    text = parse_delimited(data)
    assert text.text.split("\n")[0] == header
    assert text.headings == ()
    assert [place.label for place in text.places] == ["row 1", "row 2", "row 3"]


def test_a_csv_file_of_one_column_has_no_titles() -> None:
    text = parse_delimited(b"email\nann@example.com\n").text
    assert text == "| email |\n| --- |\n| ann@example.com |"


def test_a_line_that_names_the_delimiter_is_counted_and_not_read() -> None:
    text = parse_delimited(b"sep=;\nid;price\n1;2,50\n")
    assert [place.label for place in text.places] == ["row 2", "row 3"]


def test_formulas_that_nothing_has_calculated_are_counted_aloud() -> None:
    buffer = BytesIO()
    with xlsxwriter.Workbook(buffer) as workbook:
        sheet = workbook.add_worksheet("Sum")
        sheet.write_row("A1", ["Item", "Total"])
        sheet.write_row("A2", ["small", 5])
        sheet.write_formula("B3", "=B2+1", None, 6)
        sheet.write_formula("B5", "=B2+2", None, "later")
    files = ZipFile(buffer)
    parts = {name: files.read(name) for name in files.namelist()}
    path = "xl/worksheets/sheet1.xml"
    later = b'<c r="B5" t="str"><f>B2+2</f><v>later</v></c>'
    assert later in parts[path]
    for unknown in (b'<c r="B5"><f>B2+2</f><v></v></c>', b'<c r="B5" s="0"><f>B2+2</f><v /></c>'):
        changed = parts[path].replace(later, unknown)
        text = parse_workbook(make_zip({**parts, path: changed}))
        assert text.text.endswith("| small | 5 |\n|  | 6 |")
        assert text.unreadable_reason == (
            "1 formula of sheet Sum had no value, because no program has calculated it; open and "
            "save the workbook in one and upload that."
        )
    empty = parts[path].replace(b"<v>later</v>", b"<v></v>")
    for known in (parts[path], empty):
        assert parse_workbook(make_zip({**parts, path: known})).unreadable_reason is None


def shown(value: float, number_format: str) -> str:
    """Return what is read of a cell between a header and a row without a format."""
    buffer = BytesIO()
    with xlsxwriter.Workbook(buffer) as workbook:
        sheet = workbook.add_worksheet("Prices")
        sheet.write_row(0, 0, ["Item", "Value"])
        sheet.write(1, 0, "one")
        sheet.write(1, 1, value, workbook.add_format({"num_format": number_format}))
        sheet.write_row(2, 0, ["two", value])
    _, _, header, _, one, two = parse_workbook(buffer.getvalue()).text.split("\n")
    assert header == "| Item | Value |"
    assert two == f"| two | {value:.15g} |"
    return one.removeprefix("| one | ").removesuffix(" |")


@pytest.mark.parametrize(
    ("value", "number_format", "expected"),
    [
        (0.07, "0%", "7%"),
        (-0.125, "0.0%", "-12.5%"),
        (7, '0"%"', "7%"),
        (1234.5, '#,##0.00 "€"', "1234.5 €"),
        (1234.5, "[$€-407] #,##0.00", "€ 1234.5"),
        (1234.5, '_($* #,##0.00_);_($* (#,##0.00);_($* "-"??_);_(@_)', "$1234.5"),
        (-1234.5, "$#,##0.00;[Red]($#,##0.00)", "-$1234.5"),
        (80, r"0\ \k\g", "80 kg"),
        (3, '[Blue]"Step "0', "Step 3"),
        (2.5, "0.00", "2.5"),
        (2500000, '0.0,,"M"', "2500000"),
        (5551234, "000-0000", "5551234"),
        (0.5, "# ?/?", "0.5"),
        (1500, "0.00E+00", "1500"),
        (4, 'General" kg"', "4"),
    ],
)
def test_numbers_have_what_their_cells_show_around_them(
    value: float, number_format: str, expected: str
) -> None:
    assert shown(value, number_format) == expected


def test_formats_stay_at_their_cells_where_far_ones_are_moved() -> None:
    buffer = BytesIO()
    with xlsxwriter.Workbook(buffer) as workbook:
        sheet = workbook.add_worksheet("Prices")
        percent = workbook.add_format({"num_format": "0%"})
        sheet.write_row(0, 0, ["Item", "Share", "Count"])
        sheet.write_row(1, 0, ["one", 0.5, 5])
        sheet.write(1, 1, 0.5, percent)
        sheet.write_row(1_000_000, 16_000, ["far", 0.25, 7])
        sheet.write(1_000_000, 16_001, 0.25, percent)
    text = parse_workbook(buffer.getvalue()).text
    assert "| one | 50% | 5 |" in text
    assert "| far | 25% | 7 |" in text.replace("|  ", "")


def test_durations_are_shown_in_hours() -> None:
    assert shown(1.25, "[h]:mm:ss") == "30:00:00"
    assert shown(-1.5, "[h]:mm") == "-36:00:00"
    assert shown(100.5 / 86400, "[mm]:ss.0") == "0:01:40.5"


def test_errors_are_shown_in_place_of_values() -> None:
    buffer = BytesIO()
    with xlsxwriter.Workbook(buffer) as workbook:
        sheet = workbook.add_worksheet("Ratios")
        percent = workbook.add_format({"num_format": "0%"})
        sheet.write_row("A1", ["Item", "Share", "Rest"])
        sheet.write("A2", "one")
        sheet.write_formula("B2", "=1/0", percent, "#DIV/0!")
        sheet.write_formula("C2", "=NA()", None, "#N/A")
        sheet.write("A3", "two")
        sheet.write("B3", 0.5, percent)
    text = parse_workbook(buffer.getvalue()).text
    assert text.endswith("| one | #DIV/0! | #N/A |\n| two | 50% |")


@pytest.mark.parametrize("make", [make_xls, make_xlsb])
def test_binary_workbooks_show_formats_dates_and_errors(make: Callable[..., bytes]) -> None:
    """Style 1 is a share, 2 a price, 3 a date and 4 a mass."""
    rows: list[list[Cell]] = [
        [],
        [("Item", 0), ("Share", 0), ("Price", 0), ("Since", 0), ("Mass", 0), ("Count", 0)],
        [("one", 0), (0.25, 1), (1234.5, 2), (45352.0, 3), (80, 4), (80, 0)],
        [("two", 0), ("#DIV/0!", 1), (-0.5, 2), (45353.0, 3), ("#N/A", 4), (0.25, 0)],
    ]
    formats = ["0%", '#,##0.00 "€"', "yyyy-mm-dd", '0 "kg"']
    assert parse_workbook(make(formats, rows)).text == (
        "Prices\n\n"
        "| Item | Share | Price | Since | Mass | Count |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| one | 25% | 1234.5 € | 2024-03-01 | 80 kg | 80 |\n"
        "| two | #DIV/0! | -0.5 € | 2024-03-02 | #N/A | 0.25 |"
    )


def test_formats_of_a_binary_workbook_whose_records_have_endless_kinds_are_left_out() -> None:
    files = ZipFile(BytesIO(make_xlsb(["0%"], [[("Share", 0)], [(0.25, 1)]])))
    parts = {name: files.read(name) for name in files.namelist()}
    endless = b"\x80" * 4 + b"\x01\x00"
    text = parse_workbook(make_zip({**parts, "xl/styles.bin": endless + parts["xl/styles.bin"]}))
    assert text.text.endswith("| 0.25 |")


@pytest.mark.parametrize("broken", [b"", b"styles", b'<styleSheet><a b="'])
def test_a_workbook_with_broken_styles_is_read_without_them(broken: bytes) -> None:
    files = ZipFile(BytesIO(make_xlsx({"Prices": {"A1": "Item", "B1": "Price", "A2": "one"}})))
    parts = {name: files.read(name) for name in files.namelist()}
    text = parse_workbook(make_zip({**parts, "xl/styles.xml": broken})).text
    assert text.endswith("| Item | Price |\n| --- | --- |\n| one |")


def test_formats_stay_where_styles_break_off() -> None:
    buffer = BytesIO()
    with xlsxwriter.Workbook(buffer) as workbook:
        sheet = workbook.add_worksheet("Prices")
        sheet.write_row("A1", ["Item", "Share"])
        sheet.write("A2", "one")
        sheet.write("B2", 0.5, workbook.add_format({"num_format": "0%"}))
    files = ZipFile(buffer)
    parts = {name: files.read(name) for name in files.namelist()}
    styles = parts["xl/styles.xml"]
    parts["xl/styles.xml"] = styles[: styles.index(b"<cellStyles ")]
    assert parse_workbook(make_zip(parts)).text.endswith("| one | 50% |")


def ods_cell(shown: str, kind: str = "string", value: str = "", more: str = "") -> str:
    given = f'office:{"time-" if kind == "time" else ""}value="{value}"' if value else ""
    return (
        f'<table:table-cell office:value-type="{kind}" {given} {more}>'
        f"<text:p>{shown}</text:p></table:table-cell>"
    )


def read_ods(*rows: str) -> list[str]:
    """Return the lines of the table that is read of a sheet, one row below an empty one."""
    content = (
        "<office:document-content "
        'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
        'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
        'xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0">'
        '<office:body><office:spreadsheet><table:table table:name="Prices">'
        '<table:table-row table:number-rows-repeated="2"><table:table-cell/></table:table-row>'
        f"{''.join(rows)}</table:table></office:spreadsheet></office:body>"
        "</office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    text = parse_workbook(
        make_zip({"mimetype": kind, "content.xml": content, "META-INF/manifest.xml": "<m/>"})
    )
    return text.text.split("\n")[2:]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (ods_cell("7%", "percentage", "0.0712"), "7.12%"),
        (ods_cell("-12,5 %", "percentage", "-0.125"), "-12.5 %"),
        (ods_cell("1.234,50 €", "currency", "1234.5"), "1234.5 €"),
        (ods_cell("(£1,234)", "currency", "-1234"), "-£1234"),
        (ods_cell("80 kg", "float", "80"), "80 kg"),
        (ods_cell("2.5 M", "float", "2500000"), "2500000"),
        (ods_cell("1.50E+03", "float", "1500"), "1500"),
        (ods_cell("555-1234", "float", "5551234"), "5551234"),
        (ods_cell("30:05:00", "time", "PT30H05M00S"), "30:05:00"),
        (ods_cell("#DIV/0!", more='office:string-value="" calcext:value-type="error"'), "#DIV/0!"),
    ],
)
def test_cells_of_open_document_have_what_they_show(cell: str, expected: str) -> None:
    header = ods_cell("Item") + ods_cell("Value") + ods_cell("Count")
    row = '<table:table-row table:number-rows-repeated="2">'
    repeated = cell.replace(
        "<table:table-cell", '<table:table-cell table:number-columns-repeated="2"'
    )
    lines = read_ods(
        f"<table:table-row>{header}</table:table-row>",
        f"{row}{ods_cell('one')}{repeated}</table:table-row>",
        f"<table:table-row>{ods_cell('two')}{ods_cell('5', 'float', '5')}</table:table-row>",
    )
    one = f"| one | {expected} | {expected} |"
    assert lines == ["| Item | Value | Count |", "| --- | --- | --- |", one, one, "| two | 5 |"]


def test_cells_of_open_document_are_not_repeated_without_end() -> None:
    cell = ods_cell("7%", "percentage", "0.07", 'table:number-columns-repeated="999999999"')
    [line, *_] = read_ods(f"<table:table-row>{cell}</table:table-row>")
    assert line.startswith("| 7% | 7% |")
