"""Pages with ruling lines and the text that a reader expects, checked to the letter."""

from itertools import pairwise

import pytest

from ingest.parsers.pdf import parse_pdf
from tests.ingest.parsers.pdf_files import (
    add_form,
    cells,
    content_writer,
    make_pdf,
    pdf,
    rule,
    ruled,
    show,
    show_lines,
)

ABOVE = "The keeper looks after the hives all\nyear, and notes what was done."
BELOW = "The notes of five years show what\nthe weather does to the harvest."
COLUMN = """\
Bees keep the temperature of the brood
nest close to thirty five degrees. When it
is hot they carry water into the hive and
fan it dry with their wings. When it is
cold they form a cluster and shiver."""

COLUMNS = (60, 130, 300, 350)
ROWS = (700, 682, 634, 598)
TEXTS = (
    ("Month", "Work", "Hives"),
    (
        "April",
        "Look whether the queen lays, and\ngive room where brood fills the\nwhole box.",
        "12",
    ),
    ("July and\nAugust", "Harvest, then feed every hive\nthat has less than it needs.", "14"),
)
GRID = ruled(COLUMNS, ROWS)
FILLED = cells(COLUMNS, ROWS, *TEXTS)
TABLE = (
    "| Month | Work | Hives |\n| --- | --- | --- |\n"
    "| April | Look whether the queen lays, and give room where brood fills the whole box. | 12 |\n"
    "| July and August | Harvest, then feed every hive that has less than it needs. | 14 |"
)
TWO_ROWS = (
    ruled((60, 160, 260), (700, 682, 664))
    + cells((60, 160), (700, 682), ("Queen", "Colour"), ("Anna", "yellow")),
    "| Queen | Colour |\n| --- | --- |\n| Anna | yellow |",
)


def line_by_line(texts: tuple[tuple[str, ...], ...]) -> str:
    """Return operators that show the first lines of the cells of a row, then the second ones."""
    return "".join(
        show(x + 4, y - 11 - 12 * number, lines[number])
        for y, row in zip(ROWS, texts, strict=False)
        for number in range(3)
        for x, text in zip(COLUMNS, row, strict=False)
        if number < len(lines := text.split("\n"))
    )


PAGES = {
    "wrapped cells": (GRID + FILLED, TABLE),
    "bars for rules": (
        "".join(f"60 {y - 0.25} 290 0.5 re f\n" for y in ROWS)
        + "".join(f"{x - 0.25} 598 0.5 102 re f\n" for x in COLUMNS)
        + FILLED,
        TABLE,
    ),
    "bars of one path": (
        "".join(f"60 {y} 290 0.5 re\n" for y in ROWS)
        + "".join(f"{x} 598 0.5 102 re\n" for x in COLUMNS)
        + "f\n"
        + FILLED,
        TABLE,
    ),
    "a box around each cell": (
        "".join(
            f"{left} {bottom} {right - left} {top - bottom} re S\n"
            for top, bottom in pairwise(ROWS)
            for left, right in pairwise(COLUMNS)
        )
        + FILLED,
        TABLE,
    ),
    "double rules with gaps": (
        "".join(
            rule(left + 1, y + shift, right - 1, y + shift)
            for y in ROWS
            for shift in (0, 1.5)
            for left, right in pairwise(COLUMNS)
        )
        + "".join(
            rule(x, top - 2, x, bottom + 2) for x in COLUMNS for top, bottom in pairwise(ROWS)
        )
        + FILLED,
        TABLE,
    ),
    "no rules at the sides": (
        "".join(rule(60, y, 350, y) for y in ROWS)
        + "".join(rule(x, 700, x, 598) for x in COLUMNS[1:-1])
        + FILLED,
        TABLE,
    ),
    "cells written line by line": (GRID + line_by_line(TEXTS), TABLE),
    "two rows": TWO_ROWS,
    "a title across and a label for two rows": (
        "".join(rule(60, y, 320, y) for y in (700, 682, 664, 628))
        + rule(150, 646, 320, 646)
        + rule(60, 700, 60, 628)
        + rule(150, 682, 150, 628)
        + rule(230, 682, 230, 628)
        + rule(320, 700, 320, 628)
        + cells((130,), (700,), ("Harvest of the year",))
        + cells((60, 150, 230), (682, 664), ("Site", "Kind", "Honey"), ("Meadow", "spring", "80"))
        + cells((150, 230), (646,), ("summer", "120")),
        "| Harvest of the year |  |  |\n| --- | --- | --- |\n| Site | Kind | Honey |\n"
        "| Meadow | spring | 80 |\n|  | summer | 120 |",
    ),
    "cells with no text": (
        ruled((60, 160, 260, 360), (700, 682, 664, 646, 628))
        + cells(
            (60, 160, 260),
            (700, 682, 664, 646),
            ("Hive", "Spring", "Summer"),
            ("1", "", "20"),
            ("2", "10", ""),
            ("", "", ""),
        ),
        "| Hive | Spring | Summer |\n| --- | --- | --- |\n| 1 |  | 20 |\n| 2 | 10 |  |",
    ),
    "a bar in a cell": (
        ruled((60, 160, 260), (700, 682, 664))
        + cells((60, 160), (700, 682), ("Sign", "Means"), ("a|b", "or")),
        "| Sign | Means |\n| --- | --- |\n| a\\|b | or |",
    ),
    "words broken in cells": (
        ruled((60, 160, 260), (700, 682, 646, 610))
        + cells(
            (60, 160),
            (700, 682, 646),
            ("Task", "How"),
            ("Tempera-\nture", "by evapora-\ntion of water"),
            ("Mrs. Meier-\nHuber", "for 2019-\n2020"),
        ),
        "| Task | How |\n| --- | --- |\n| Temperature | by evaporation of water |\n"
        "| Mrs. Meier-Huber | for 2019-2020 |",
    ),
    "a table between paragraphs": (
        show_lines(60, 740, ABOVE) + GRID + FILLED + show_lines(60, 580, BELOW),
        f"{ABOVE}\n\n{TABLE}\n\n{BELOW}",
    ),
    "a table that comes last in the file": (
        show_lines(60, 740, ABOVE) + show_lines(60, 580, BELOW) + GRID + FILLED,
        f"{ABOVE}\n\n{TABLE}\n\n{BELOW}",
    ),
    "a table in the second of two columns": (
        show_lines(60, 700, f"{COLUMN}\n{COLUMN}")
        + "1 0 0 1 250 0 cm\n"
        + show_lines(60, 724, COLUMN)
        + ruled((60, 120, 260), (660, 642, 612))
        + cells((60, 120), (660, 642), ("Queen", "Seen"), ("Anna", "in April, on the\nthird comb")),
        f"{COLUMN}\n{COLUMN}\n\n{COLUMN}\n\n"
        "| Queen | Seen |\n| --- | --- |\n| Anna | in April, on the third comb |",
    ),
    "rows that no rule divides": (
        ruled((60, 160, 230), (700, 682, 634))
        + cells((60, 160), (700, 682), ("Hive", "Honey"), ("Meadow\nForest\nGarden", "12\n140\n9")),
        "| Hive | Honey |\n| --- | --- |\n| Meadow | 12 |\n| Forest | 140 |\n| Garden | 9 |",
    ),
    "a table between rows without rules": (
        "".join(show(x, y, f"{x + y} kg") for y in (736, 722, 654, 640) for x in (64, 164, 264))
        + ruled((60, 160, 260, 360), (714, 696, 678))
        + cells((60, 160, 260), (714, 696), ("Hive", "Honey", "Wax"), ("1", "20", "3")),
        "800 kg 900 kg 1000 kg\n786 kg 886 kg 986 kg\n\n"
        "| Hive | Honey | Wax |\n| --- | --- | --- |\n| 1 | 20 | 3 |\n\n"
        "718 kg 818 kg 918 kg\n704 kg 804 kg 904 kg",
    ),
    "a row from side to side with no rules at the sides": (
        "".join(rule(60, y, 260, y) for y in (700, 682, 664, 646, 628))
        + "".join(rule(160, y, 160, y - 18) for y in (700, 682, 646))
        + cells((60, 160), (700, 682), ("Hive", "Honey"), ("1", "20"))
        + cells((60,), (664,), ("Wanderers",))
        + cells((60, 160), (646,), ("2", "30")),
        "| Hive | Honey |\n| --- | --- |\n| 1 | 20 |\n| Wanderers |  |\n| 2 | 30 |",
    ),
    "a table written row by row with the column beside it": (
        ruled((310, 380, 540), (700, 682, 658))
        + "".join(
            show(60, 690 - 12 * number, line)
            + (cells((310, 380), (700,), ("Queen", "Seen")) if number == 0 else "")
            + (cells((310, 380), (682,), ("Anna", "in April")) if number == 1 else "")
            + (show(310, 690 - 12 * number, COLUMN.split("\n")[number - 4]) if number > 3 else "")
            for number, line in enumerate(f"{COLUMN}\n{COLUMN}".split("\n")[:9])
        ),
        "{}\n\n| Queen | Seen |\n| --- | --- |\n| Anna | in April |\n\n{}".format(
            "\n".join(f"{COLUMN}\n{COLUMN}".split("\n")[:9]), COLUMN
        ),
    ),
    "a table on a sideways page": (
        "q 0 1 -1 0 842 0 cm\n" + GRID + FILLED + show_lines(60, 580, BELOW) + "Q\n",
        f"{TABLE}\n\n{BELOW}",
    ),
    "white words": (
        GRID + FILLED + "1 g " + show(64, 641, "unseen") + "0 g ",
        TABLE,
    ),
}

# Rules, and the words among them that are read as if there were none.
NO_TABLES = {
    "a frame around a paragraph": ("50 640 300 80 re S\n", show_lines(60, 700, COLUMN)),
    "a frame with a title": (
        "50 640 300 90 re S\n" + rule(50, 712, 350, 712),
        show(60, 716, "The winter") + show_lines(60, 700, COLUMN),
    ),
    "a frame in two halves": (
        ruled((50, 300, 550), (720, 630)),
        show_lines(60, 700, COLUMN) + show_lines(310, 700, COLUMN),
    ),
    "boxes of prose": (
        ruled((50, 300, 550), (720, 630, 540)),
        "".join(show_lines(x, y, COLUMN) for y in (700, 610) for x in (60, 310)),
    ),
    "a chart": (
        ruled((60, 110, 160, 210, 260), (700, 660, 620, 580)),
        show(20, 697, "30") + show(20, 577, "0") + show(130, 640, "Honey") + show(60, 560, "2020"),
    ),
    "boxes that are joined by lines": (
        "100 700 80 20 re S\n60 650 80 20 re S\n160 650 80 20 re S\n"
        + rule(140, 700, 140, 685)
        + rule(100, 685, 200, 685)
        + rule(100, 685, 100, 670)
        + rule(200, 685, 200, 670),
        show(110, 705, "Queen") + show(70, 655, "Workers") + show(170, 655, "Drones"),
    ),
    "underlined words": (
        rule(60, 698, 120, 698) + rule(150, 686, 210, 686),
        show_lines(60, 700, COLUMN),
    ),
    "rules only across": (
        "".join(rule(60, y, 320, y) for y in (712, 696, 668)),
        "".join(
            cells((60, 160, 260), (y,), row)
            for y, row in ((712, ("Hive", "Spring", "Summer")), (696, ("1", "2", "3")))
        )
        + cells((60, 160, 260), (682,), ("4", "5", "6")),
    ),
    "a calendar to be filled in": (
        ruled((60, 120, 180, 240, 300), (700, 680, 660, 640, 620)),
        show(70, 687, "Inspected") + show(190, 647, "Fed") + show(70, 627, "Treated"),
    ),
    "a form with a page of prose in it": (
        ruled((50, 400), (740, 720, 300)) + rule(200, 740, 200, 720),
        show(60, 726, "Report")
        + show(210, 726, "April")
        + show_lines(60, 700, "\n".join([COLUMN] * 6)),
    ),
    "columns of which not all are ruled": (
        ruled((60, 140, 320), (700, 682, 664, 646)),
        "".join(
            cells((60, 144, 200, 260), (y,), row)
            for y, row in ((700, ("Hive", "A", "B", "C")), (682, ("1", "2", "3", "4")))
        )
        + cells((60, 144, 200, 260), (664,), ("5", "6", "7", "8")),
    ),
    "words that run over the rules": (
        ruled((60, 100, 140, 180), (700, 682, 664)),
        show_lines(62, 689, "Temperatures of\nwater and honey", leading=1.5),
    ),
    "pale bars between columns": (
        ("0.8 0.9 1 rg " + "".join(f"{x} 640 2 60 re f\n" for x in (60, 160, 260)))
        + "0 g "
        + "".join(rule(60, y, 262, y) for y in (700, 680, 660, 640)),
        cells((60, 160), (700, 680, 660), ("Hive", "Honey"), ("1", "20"), ("2", "30")),
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_ruled_page(name: str) -> None:
    content, expected = PAGES[name]
    assert parse_pdf(make_pdf(content), 1).text == expected


@pytest.mark.parametrize("name", NO_TABLES)
def test_rules_that_make_no_table(name: str) -> None:
    rules, words = NO_TABLES[name]
    assert parse_pdf(make_pdf(rules + words), 1).text == parse_pdf(make_pdf(words), 1).text


def test_rules_in_a_form() -> None:
    writer = content_writer(["q 2 0 0 2 10 20 cm /Fm1 Do Q\n"])
    drawing = GRID + FILLED
    add_form(writer, writer.pages[0], drawing, (0.5, 0, 0, 0.5, 15, -15))
    assert parse_pdf(pdf(writer), 1).text == TABLE


def test_page_that_is_turned_for_display() -> None:
    content = "q 0 1 -1 0 842 0 cm\n" + GRID + FILLED + "Q\n"
    assert parse_pdf(make_pdf(content, rotate=90), 1).text == TABLE


def test_hidden_words_in_a_table_are_counted() -> None:
    content, _ = PAGES["white words"]
    assert parse_pdf(make_pdf(content), 1).num_hidden_characters == len("unseen")


def test_table_that_goes_on_over_pages_has_one_header() -> None:
    columns, rows = (60, 160, 260), (780, 762, 744)
    pages = [
        ruled(columns, rows) + cells(columns, rows, *texts)
        for texts in (
            (("Name", "Honey"), ("Hive 1", "10 kg")),
            (("Hive 2", "20 kg"), ("Hive 3", "30 kg")),
        )
    ]
    assert parse_pdf(make_pdf(*pages), 2).text == (
        "| Name | Honey |\n| --- | --- |\n| Hive 1 | 10 kg |\n\n"
        "| Hive 2 | 20 kg |\n| Hive 3 | 30 kg |"
    )


def test_ruled_box_at_the_top_of_each_page_is_a_running_header() -> None:
    columns, rows = (60, 260, 360), (820, 802, 784)
    pages = [
        ruled(columns, rows)
        + cells(columns, rows, ("Care of hives", "Edition 3"), ("Keepers", f"Page {number} of 4"))
        + show_lines(60, 740, f"{COLUMN}\nThis is the text of page {number}.")
        for number in range(1, 5)
    ]
    text = parse_pdf(make_pdf(*pages), 4).text
    assert text == "\n\n".join(f"{COLUMN}\nThis is the text of page {n}." for n in range(1, 5))
