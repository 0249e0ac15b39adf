import pytest
from pypdfium2 import PdfDocument

from ingest.parsers.boxes import Box
from ingest.parsers.page_rules import read_rules
from tests.ingest.parsers.pdf_files import add_form, content_writer, make_pdf, pdf, rule, show

# PDFium makes a little room around lines.
ROOM = 1.5


# There have to be rules in both directions.
CROSS = rule(300, 400, 500, 400) + rule(400, 300, 400, 500)


def rules_of(content: str, quarter_turns: int = 0) -> list[Box]:
    """Return the rules of a page that also has `CROSS`, without those."""
    writer = content_writer([content + CROSS])
    add_form(writer, writer.pages[0], rule(10, 20, 60, 20) + "5 5 20 20 re S\n", (2, 0, 0, 2, 0, 7))
    with PdfDocument(pdf(writer)) as document:
        rules = read_rules(document[0], quarter_turns)
    return [one for one in rules if max(one[2] - one[0], one[3] - one[1]) < 190]


def about(*boxes: Box) -> list[object]:
    return [pytest.approx(box, abs=ROOM) for box in boxes]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (rule(10, 20, 110, 20), [(10, 20, 110, 20)]),
        ("0 w " + rule(10, 20, 10, 80), [(10, 20, 10, 80)]),
        ("10 20 100 0.4 re f\n", [(10, 20, 110, 20)]),
        ("1 g 10 20 100 0.4 re f\n", []),
        ("10 20 100 40 re f\n", []),
        (
            "10 20 100 40 re S\n",
            [(10, 20, 110, 20), (110, 20, 110, 60), (10, 60, 110, 60), (10, 20, 10, 60)],
        ),
        ("10 20 100 0.4 re 10 40 100 0.4 re f\n", [(10, 20, 110, 20), (10, 40, 110, 40)]),
        (rule(10, 20, 60, 90), []),
        ("10 20 m 10 60 60 90 90 90 c 10 90 l S\n", []),
        ("q 0 2 -2 0 100 0 cm " + rule(10, 20, 60, 20) + "Q\n", [(60, 20, 60, 120)]),
        (show(10, 20, "___") + "10 20 m 110 20 l n\n", []),
    ],
)
def test_rules(content: str, expected: list[Box]) -> None:
    assert rules_of(content) == about(*expected)


def test_rules_within_forms() -> None:
    assert rules_of("q 1 0 0 1 100 0 cm /Fm1 Do Q\n") == about(
        (120, 47, 220, 47),
        (110, 17, 150, 17),
        (150, 17, 150, 57),
        (110, 57, 150, 57),
        (110, 17, 110, 57),
    )


def test_rules_are_turned_as_the_page_is() -> None:
    assert rules_of(rule(10, 20, 110, 20), 1) == about((20, -110, 20, -10))


def test_parallel_rules_are_not_looked_at() -> None:
    with PdfDocument(make_pdf(rule(10, 20, 110, 20) + rule(10, 40, 110, 40))) as document:
        assert read_rules(document[0], 0) == []


@pytest.mark.parametrize(
    "drawing",
    [
        "10 20 m " + "".join(f"{n % 500} {n % 700} l " for n in range(10_001)) + "S\n",
        "0 0 9 0.5 re f\n" * 20_001,
    ],
)
def test_drawings_have_no_rules(drawing: str) -> None:
    with PdfDocument(make_pdf(drawing + CROSS)) as document:
        assert read_rules(document[0], 0) == []
