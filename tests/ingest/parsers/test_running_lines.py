from dataclasses import replace

import pytest

from ingest.parsers.page_lines import Line, PageLines
from ingest.parsers.running_lines import without_running_lines

BODY = 10.0


def line(text: str, y: float, size: float = BODY) -> Line:
    return Line(text, 60, y, 500, y + size, size)


def page(*lines: Line) -> PageLines:
    return PageLines(list(lines), bottom=0, top=842)


def texts(pages: list[PageLines]) -> list[list[str]]:
    return [[one.text for one in lines] for lines in without_running_lines(pages, BODY)]


def test_page_numbers_count_up() -> None:
    pages = [page(line("body", 700), line(f"- {n} -", 30)) for n in range(7, 11)]
    assert texts(pages) == [["body"]] * 4
    prices = [page(line("body", 700), line(n, 30)) for n in ("12", "90", "31", "7")]
    assert texts(prices) == [["body", n] for n in ("12", "90", "31", "7")]


def test_number_with_words_beside_it_is_that_of_a_page_only_if_it_is_near() -> None:
    footers = [page(line("body", 700), line(f"Report, page {n}", 30)) for n in range(3, 7)]
    assert texts(footers) == [["body"]] * 4
    for label, first in (("Invoice {}", 1), ("Invoice number {} of us", 1001)):
        names = [label.format(n) for n in range(first, first + 4)]
        assert texts([page(line(name, 810), line("body", 700)) for name in names]) == [
            [name, "body"] for name in names
        ]
    for label in ("Page {}", "F-{}", "- {} -"):
        excerpt = [page(line("body", 700), line(label.format(n), 30)) for n in range(1243, 1247)]
        assert texts(excerpt) == [["body"]] * 4


@pytest.mark.parametrize(
    "label", ["{} of 16", "{}/16", "- {} / 16 -", "Page {}/16", "Seite {} von 16", "{} z 16"]
)
def test_page_numbers_with_their_total(label: str) -> None:
    pages = [page(line("body", 700), line(label.format(n), 30)) for n in range(2, 6)]
    assert texts(pages) == [["body"]] * 4
    counts = [page(line("body", 700), line(f"{n} of 16", 30)) for n in (4, 9, 2, 15)]
    assert texts(counts) == [["body", f"{n} of 16"] for n in (4, 9, 2, 15)]


def test_header_of_a_table_on_each_page_stays() -> None:
    header = replace(line("| Bee | Honey |\n| --- | --- |", 800), in_table=True)
    pages = [page(header, line("body", 700)) for _ in range(4)]
    assert texts(pages) == [[header.text, "body"]] * 4


def test_roman_page_numbers() -> None:
    pages = [page(line("body", 700), line(number, 30)) for number in ("iii", "iv", "v")]
    assert texts(pages) == [["body"]] * 3


def test_headers_of_left_and_right_pages() -> None:
    headers = ["The year", "The harvest"] * 3
    pages = [page(line(header, 810), line("body", 700)) for header in headers]
    assert texts(pages) == [["body"]] * 6


def test_two_pages_are_not_enough() -> None:
    pages = [page(line("Bees", 810), line("body", 700))] * 2
    assert texts(pages) == [["Bees", "body"]] * 2


def test_line_close_to_the_body_stays() -> None:
    pages = [page(line("Bees", 810), line(f"body {word}", 798)) for word in "abcd"]
    assert texts(pages) == [["Bees", f"body {word}"] for word in "abcd"]


def test_large_title_stays() -> None:
    pages = [page(line("Bees", 800, size=20), line("body", 700))] * 4
    assert texts(pages) == [["Bees", "body"]] * 4


def test_several_running_lines_on_one_edge() -> None:
    pages = [page(line("Bees", 820), line("Draft", 808), line("body", 700)) for _ in range(3)]
    assert texts(pages) == [["body"]] * 3
