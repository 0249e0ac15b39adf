from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ingest.parsers.page_layout import in_reading_order
from ingest.parsers.page_lines import Line


@st.composite
def page_line(draw: st.DrawFn) -> Line:
    words = draw(st.lists(st.sampled_from(["bee", "hive", "$", "12", "(3)", "queen"]), min_size=1))
    text = " ".join(words)
    left, bottom = draw(st.integers(0, 500)), draw(st.integers(0, 800))
    size = draw(st.sampled_from([5.0, 10.0, 14.0]))
    return Line(text, left, bottom, left + len(text) * size / 2, bottom + size, size)


@st.composite
def ruled_table(draw: st.DrawFn) -> Line:
    left, bottom = draw(st.integers(0, 400)), draw(st.integers(0, 700))
    right, top = left + draw(st.integers(40, 400)), bottom + draw(st.integers(20, 300))
    rows = [Line(f"| queen | {n} |", left, bottom, right, top, 10, in_table=True) for n in (1, 2)]
    return Line("", left, bottom, right, top, 10, rows=rows)


def letters(lines: list[Line]) -> Counter[str]:
    """Return the characters, without those of Markdown tables and white space."""
    text = "".join(one.text for line in lines for one in line.rows or [line])
    return Counter(one for one in text if not one.isspace() and one not in "|-")


@given(st.lists(page_line() | ruled_table(), max_size=40))
def test_no_text_is_lost_or_doubled(lines: list[Line]) -> None:
    before = letters(lines)
    assert letters(in_reading_order(lines)) == before


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30))
def test_lines_that_run_down_the_page_stay_in_order(gaps: list[int]) -> None:
    y, lines = 5000.0, []
    for number, gap in enumerate(gaps):
        y -= 12 + gap
        lines.append(Line(f"line {number}", 60, y, 300, y + 10, 10))
    assert [line.text for line in in_reading_order(lines)] == [line.text for line in lines]
