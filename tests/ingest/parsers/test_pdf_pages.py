"""Pages of many layouts with the text that a reader expects, checked to the letter."""

from collections.abc import Callable
from itertools import islice

import pytest

from ingest.errors import UnreadableFileError
from ingest.parsers.pdf import parse_pdf
from tests.ingest.parsers.pdf_files import (
    BOLD,
    LIGATURES,
    REGULAR,
    add_field,
    add_missing_font,
    add_value,
    content_writer,
    make_pdf,
    pdf,
    show,
    show_lines,
)

LEFT = """\
Bees keep the temperature of the brood
nest close to thirty five degrees. When it
is hot they carry water into the hive and
fan it dry with their wings. When it is
cold they form a cluster and shiver."""
RIGHT = """\
A colony in winter holds some ten thousand
bees around the queen. They live on the
stores of the summer, which have to last
until the willows bloom. A keeper leaves
them fifteen kilograms of honey."""
MIDDLE_OF_THREE = """\
The queen lays up to
two thousand eggs in
one day of the spring
and none at all in the
dark of the winter."""
FIRST_OF_THREE = """\
Drones hatch from the
eggs that no sperm has
reached. They do not
work, and in autumn
they have to leave."""
LAST_OF_THREE = """\
Workers live six weeks
in summer, and half of
a year when they hatch
late in autumn and do
not raise any brood."""
LINES = list(zip(LEFT.split("\n"), RIGHT.split("\n"), strict=True))


def rows(*cells: tuple[str, ...], at: tuple[float, ...], y: float = 600) -> str:
    """Return the operators of a table whose cells begin at the given places."""
    return "".join(
        show(x, y - 14 * n, cell)
        for n, row in enumerate(cells)
        for x, cell in zip(at, row, strict=True)
        if cell
    )


PROSE = show_lines(60, 760, f"{LEFT}\n\n{RIGHT}")
TWO_COLUMNS = show_lines(60, 700, LEFT) + show_lines(310, 700, RIGHT)
ROW_BY_ROW = "".join(
    show(60, 700 - 12 * n, left) + show(310, 700 - 12 * n, right)
    for n, (left, right) in enumerate(LINES)
)
TITLE = "How a colony keeps warm in winter and cool in summer, told for beginners and others"
FOOTNOTE = "The figures are those of a hive in the north, and differ from one year to the next one."

PAGES = {
    "paragraphs": (PROSE, f"{LEFT}\n\n{RIGHT}"),
    "indented paragraphs": (
        show(60, 700, "The smoke calms the bees before the harvest.")
        + show(60, 688, "They fill their stomachs and grow slow.")
        + show(72, 676, "A new paragraph begins with an indent.")
        + show(60, 664, "Its second line does not have one."),
        "The smoke calms the bees before the harvest.\nThey fill their stomachs and grow slow.\n\n"
        "A new paragraph begins with an indent.\nIts second line does not have one.",
    ),
    "two columns": (TWO_COLUMNS, f"{LEFT}\n\n{RIGHT}"),
    "two columns written row by row": (ROW_BY_ROW, f"{LEFT}\n\n{RIGHT}"),
    "columns between lines across": (
        show(60, 740, TITLE, 12) + ROW_BY_ROW + show(60, 620, FOOTNOTE),
        f"{TITLE}\n\n{LEFT}\n\n{RIGHT}\n\n{FOOTNOTE}",
    ),
    "three columns written row by row": (
        "".join(
            show(60 + 170 * column, 700 - 12 * n, line)
            for n in range(5)
            for column, text in enumerate((FIRST_OF_THREE, MIDDLE_OF_THREE, LAST_OF_THREE))
            for line in [text.split("\n")[n]]
        ),
        f"{FIRST_OF_THREE}\n\n{MIDDLE_OF_THREE}\n\n{LAST_OF_THREE}",
    ),
    "a column that goes on within a sentence": (
        show_lines(
            60, 700, "\n".join([*LEFT.split("\n")[:4], "cold they form a tight cluster and"])
        )
        + show_lines(310, 700, "shiver with the muscles of their wings.\n" + RIGHT),
        LEFT.replace("cold they form a cluster and shiver.", "cold they form a tight cluster and")
        + "\nshiver with the muscles of their wings.\n"
        + RIGHT,
    ),
    "a header that comes last in the file": (
        PROSE + show(60, 800, "The keeper of bees, chapter one"),
        f"The keeper of bees, chapter one\n\n{LEFT}\n\n{RIGHT}",
    ),
    "a table of numbers": (
        show(60, 640, "Harvest by year:")
        + rows(
            ("Year", "Hives", "Honey"),
            ("2021", "12", "240 kg"),
            ("2022", "14", "310 kg"),
            ("2023", "9", "120 kg"),
            at=(60, 160, 260),
        )
        + show(60, 500, "The last summer was wet."),
        "Harvest by year:\n\n| Year | Hives | Honey |\n| --- | --- | --- |\n"
        "| 2021 | 12 | 240 kg |\n| 2022 | 14 | 310 kg |\n| 2023 | 9 | 120 kg |\n\n"
        "The last summer was wet.",
    ),
    "a table with signs apart from numbers": (
        rows(
            ("", "", "2022", "", "2023"),
            ("Honey sold to shops", "$", "1,200", "$", "900"),
            ("Wax and candles", "", "310", "", "(45)"),
            ("All sales", "$", "1,510", "$", "855"),
            at=(60, 250, 270, 350, 370),
        ),
        "|  | 2022 | 2023 |\n| --- | --- | --- |\n| Honey sold to shops | $1,200 | $900 |\n"
        "| Wax and candles | 310 | (45) |\n| All sales | $1,510 | $855 |",
    ),
    "a table of words": (
        rows(
            ("Plant", "Blooms in", "Gives"),
            ("Willow", "March", "pollen"),
            ("Dandelion", "April", "both"),
            ("Lime tree", "June", "nectar"),
            at=(60, 200, 320),
        ),
        "| Plant | Blooms in | Gives |\n| --- | --- | --- |\n| Willow | March | pollen |\n"
        "| Dandelion | April | both |\n| Lime tree | June | nectar |",
    ),
    "a table with a title across and an empty cell": (
        show(220, 620, "Kilograms of each year")
        + rows(
            ("", "2022", "2023"),
            ("Spring honey", "110", "80"),
            ("Honeydew", "", "35"),
            ("Summer honey", "200", "40"),
            at=(60, 220, 300),
        ),
        "Kilograms of each year\n\n|  | 2022 | 2023 |\n| --- | --- | --- |\n"
        "| Spring honey | 110 | 80 |\n| Honeydew |  | 35 |\n| Summer honey | 200 | 40 |",
    ),
    "a contents page": (
        rows(
            ("1 The hive", "3"), ("2 The year", "17"), ("3 The harvest", "40"), at=(60, 500), y=700
        ),
        "| 1 The hive | 3 |\n| --- | --- |\n| 2 The year | 17 |\n| 3 The harvest | 40 |",
    ),
    "hyphens": (
        show_lines(
            60,
            700,
            "The temperature is kept by evap-\norating water. A well-known and self-\nmade "
            "hive is water-proof, and water-\nproof paint is not needed from 2019-\n2020 on. "
            "Evaporating cools.",
        ),
        "The temperature is kept by evaporating\nwater. A well-known and self-made\n"
        "hive is water-proof, and water-proof\npaint is not needed from 2019-\n2020 on. "
        "Evaporating cools.",
    ),
    "ligatures": (
        show(60, 700, "The 1rst 2ight of the year", font=LIGATURES),
        "The first flight of the year",
    ),
    "a footnote mark": (
        show(60, 700, "The queen lives for five years")
        + show(201, 704, "1", 6)
        + show(60, 688, "and is then replaced by the keeper."),
        "The queen lives for five years 1\nand is then replaced by the keeper.",
    ),
    "a note along the margin": (
        "BT /F1 9 Tf 0 1 -1 0 40 200 Tm (archived in March) Tj ET\n" + PROSE,
        f"{LEFT}\n\n{RIGHT}\n\narchived in March",
    ),
    "a sideways page": (
        "".join(
            f"BT /F1 10 Tf 0 1 -1 0 {100 + 12 * n} 60 Tm ({line}) Tj ET\n"
            for n, line in enumerate(LEFT.split("\n"))
        ),
        LEFT,
    ),
    "white letters on a dark bar": (
        "0 0.3 0.5 rg 50 780 500 30 re f 1 g " + show(60, 790, "Shown in white") + "0 g " + PROSE,
        f"Shown in white\n\n{LEFT}\n\n{RIGHT}",
    ),
    "hidden words": (
        show(60, 700, "What everybody sees.")
        + "1 g "
        + show(60, 650, "white on white")
        + "0 g "
        + show(60, 600, "too small to see", 0.2)
        + "3 Tr "
        + show(60, 550, "never painted")
        + "0 Tr "
        + show(900, 700, "beside the page"),
        "What everybody sees.",
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_page(name: str) -> None:
    content, expected = PAGES[name]
    assert parse_pdf(make_pdf(content), 1).text == expected


def test_there_are_twenty_pages() -> None:
    assert len(PAGES) == 20


def test_dots_that_lead_to_a_number_become_one_sign() -> None:
    content = show_lines(
        60, 780, f"1 Bees {'.' * 60} 5\n2 Honey {'. ' * 40}12\nWait.... It ends..."
    )
    lines = ["1 Bees … 5", "2 Honey … 12", "Wait.... It ends..."]
    assert parse_pdf(make_pdf(content), 1).text.split("\n") == lines


def test_raised_digits_do_not_join_the_number_before_them() -> None:
    def raised(number: str, mark: str, size: float, rise: float) -> str:
        return (
            f"BT /F1 10 Tf 60 700 Td (from {number}) Tj /F1 {size} Tf {rise} Ts ({mark}) Tj "
            "/F1 10 Tf 0 Ts ( on.) Tj ET"
        )

    for number, mark, size, rise, expected in (
        ("$0.55", "2", 6, 4, "from $0.55^2 on."),
        ("10", "12", 6, 4, "from 10^12 on."),
        ("Zhang", "1", 6, 4, "from Zhang1 on."),
        ("10", "12", 6, 0, "from 1012 on."),
        ("10", "12", 10, 3, "from 1012 on."),
    ):
        assert parse_pdf(make_pdf(raised(number, mark, size, rise)), 1).text == expected


def test_page_of_sideways_text_is_read_whatever_the_length_of_its_lines() -> None:
    lines = [f"Sideways line number {n} of text." for n in range(6)]
    content = "".join(
        f"BT /F1 10 Tf 0 1 -1 0 {100 + 20 * n} 60 Tm ({line}) Tj ET\n"
        for n, line in enumerate(lines)
    )
    assert parse_pdf(make_pdf(content), 1).text == "\n".join(lines)


def test_page_that_is_turned_for_display() -> None:
    content = "".join(
        f"BT /F1 10 Tf 0 1 -1 0 {100 + 12 * n} 60 Tm ({line}) Tj ET\n"
        for n, line in enumerate(LEFT.split("\n"))
    )
    assert parse_pdf(make_pdf(content, rotate=90), 1).text == LEFT


def test_hidden_characters_are_counted() -> None:
    text = parse_pdf(make_pdf(PAGES["hidden words"][0]), 1)
    hidden = "whiteonwhite" + "toosmalltosee" + "neverpainted" + "besidethepage"
    assert text.num_hidden_characters == len(hidden)


def test_headings_by_type_size() -> None:
    content = (
        show(60, 780, "The year of the bees", 24, BOLD)
        + show(60, 740, "Winter", 14, BOLD)
        + show_lines(60, 720, LEFT)
        + show(60, 620, "Spring, when the willows", 14, BOLD)
        + show(60, 604, "bloom and drones hatch", 14, BOLD)
        + show_lines(60, 584, RIGHT)
    )
    text = parse_pdf(make_pdf(content), 1)
    assert [(h.level, h.title) for h in text.headings] == [
        (1, "The year of the bees"),
        (2, "Winter"),
        (2, "Spring, when the willows bloom and drones hatch"),
    ]
    assert text.text == (
        f"The year of the bees\n\nWinter\n\n{LEFT}\n\n"
        f"Spring, when the willows\nbloom and drones hatch\n\n{RIGHT}"
    )
    assert text.heading_path(text.text.index("honey")) == (
        "The year of the bees",
        "Spring, when the willows bloom and drones hatch",
    )


def test_bold_numbered_lines_are_headings() -> None:
    content = (
        show(60, 780, "2 The colony", 10, BOLD)
        + show(60, 760, "2.1 Winter", 10, BOLD)
        + show_lines(60, 740, LEFT)
        + show(60, 660, "2 bees are no colony, and 3 are none either.", 10, REGULAR)
    )
    text = parse_pdf(make_pdf(content), 1)
    assert [(h.level, h.title) for h in text.headings] == [(1, "2 The colony"), (2, "2.1 Winter")]


def test_running_lines_go_and_body_text_stays() -> None:
    pages = [
        show(60, 810, "The keeper of bees", 8)
        + show_lines(60, 760, LEFT if number % 2 else RIGHT)
        + show(290, 30, f"Page {number} of 4", 8)
        for number in range(1, 5)
    ]
    text = parse_pdf(make_pdf(*pages), 4)
    assert text.text == f"{LEFT}\n\n{RIGHT}\n\n{LEFT}\n\n{RIGHT}"


def split_table(*headers: tuple[str, ...] | None) -> list[str]:
    """Return the texts of pages that are full of one table, each with the header given for it."""
    numbers = iter(range(1, 100))
    contents = []
    for header in headers:
        cells = [(f"Hive {number}", f"{number}0 kg") for number in islice(numbers, 4)]
        lines = [header, *cells] if header else cells
        contents.append(
            "".join(
                show(60, 800 - 18 * n, one) + show(300, 800 - 18 * n, other)
                for n, (one, other) in enumerate(lines)
            )
        )
    text = parse_pdf(make_pdf(*contents), len(headers))
    ends = [*text.page_starts[1:], None]
    return [text.text[start:end].strip() for start, end in zip(text.page_starts, ends, strict=True)]


def written(numbers: range) -> str:
    return "\n".join(f"| Hive {n} | {n}0 kg |" for n in numbers)


HEADER = "| Name | Honey |\n| --- | --- |\n"


def test_table_that_goes_on_over_pages_has_one_header() -> None:
    assert split_table(("Name", "Honey"), None, None) == [
        HEADER + written(range(1, 5)),
        written(range(5, 9)),
        written(range(9, 13)),
    ]


def test_header_of_a_table_stands_on_every_page_where_the_file_has_it() -> None:
    assert split_table(*[("Name", "Honey")] * 4)[1:3] == [
        HEADER + written(range(5, 9)),
        HEADER + written(range(9, 13)),
    ]


@pytest.mark.parametrize("header", [("Hive", "Wax"), ("Year", "2022"), ("Year", "FY 2023")])
def test_table_with_a_header_of_its_own_is_a_new_one(header: tuple[str, str]) -> None:
    assert split_table(("Name", "Honey"), header)[1] == (
        f"| {header[0]} | {header[1]} |\n| --- | --- |\n" + written(range(5, 9))
    )


def test_word_that_is_broken_between_pages() -> None:
    pages = (show_lines(60, 700, "They keep the tempera-"), show_lines(60, 700, "ture even."))
    text = parse_pdf(make_pdf(*pages), 2)
    assert text.text == "They keep the temperature\n\neven."
    assert text.page_at(text.text.index("even")) == 2


def test_chapters_and_repeated_body_text_are_no_running_lines() -> None:
    chapters = [show(60, 800, f"Chapter {n}", 18) + show_lines(60, 760, LEFT) for n in (1, 2, 3, 4)]
    text = parse_pdf(make_pdf(*chapters), 4)
    assert text.text == "\n\n".join(f"Chapter {n}\n\n{LEFT}" for n in (1, 2, 3, 4))
    repeated = [show_lines(60, 800, LEFT)] * 5
    assert parse_pdf(make_pdf(*repeated), 5).text == "\n\n".join([LEFT] * 5)


def test_letters_of_boundless_size_break_nothing() -> None:
    content = PROSE + "BT /F1 1 Tf 99999999 0 0 12 60 400 Tm (Wide words that never end) Tj ET"
    assert LEFT in parse_pdf(make_pdf(content), 1).text


@pytest.mark.parametrize("add", [add_field, add_value], ids=["as a picture", "as a value"])
def test_form_fields_are_read(add: Callable[..., None]) -> None:
    writer = content_writer([show(60, 700, "Name of the keeper:")])
    add(writer, writer.pages[0], "Anna Bauer", (200, 690, 400, 720))
    assert parse_pdf(pdf(writer), 1).text == "Name of the keeper: Anna Bauer"


NOVEL = ("吾輩は猫である。名前はまだ無い。", "どこで生れたかとんと見当がつかぬ。")


def test_letters_one_below_the_other_in_a_font_that_is_nowhere() -> None:
    letters = "".join(NOVEL)
    content = "".join(
        f"BT /F4 14 Tf 500 {800 - 16 * n} Td <{letter.encode('utf-16-be').hex()}> Tj ET\n"
        for n, letter in enumerate(letters)
    )
    assert novel(content, "UniJIS-UCS2-H") == letters


def test_vertical_lines_in_a_font_that_is_nowhere_come_from_the_right() -> None:
    content = "".join(
        f"BT /F4 14 Tf {500 - 30 * n} 750 Td <{line.encode('utf-16-be').hex()}> Tj ET\n"
        for n, line in enumerate(NOVEL)
    )
    assert novel(content, "UniJIS-UCS2-V") == "".join(NOVEL)


def test_vertical_lines_that_cannot_be_read_are_told() -> None:
    """The codes are the numbers that Adobe gave the characters of Japanese fonts."""
    content = "BT /F4 14 Tf 500 750 Td <0a1b04c10aa2110b0c34> Tj ET"
    with pytest.raises(UnreadableFileError) as caught:
        novel(content, "Identity-V")
    assert (caught.value.code, str(caught.value)) == (
        "no_text",
        "No page holds text. Page 1 has text in a font that is not in the file; save the PDF with "
        "its fonts in it and upload that.",
    )


def novel(content: str, encoding: str) -> str:
    writer = content_writer([content])
    add_missing_font(writer.pages[0], encoding)
    return parse_pdf(pdf(writer), 1).text
