import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import UnreadableFileError
from ingest.parsers.hypertext import parse_html, read_html
from ingest.texts import CanonicalText


def titles(text: CanonicalText) -> list[tuple[int, str]]:
    assert all(text.text[h.start : h.end] == h.title for h in text.headings)
    return [(h.level, h.title) for h in text.headings]


def test_blocks_are_separated_and_white_space_collapses() -> None:
    text = parse_html(b"<p>One\n  two <b>three</b></p>tail<div>four<br>five<br/> six</div>")
    assert text.text == "One two three\n\ntail\n\nfour\nfive\nsix"


def test_frame_and_invisible_parts_are_left_out() -> None:
    page = (
        b"<body><nav>n</nav><header>h</header><script>s</script><style>s</style><p>Text</p>"
        b"<!-- c -->after<template>t</template><form>f</form><aside>a</aside><footer>f</footer>"
        b"<p hidden>x</p><p style='display: none'>x</p><i aria-hidden=true>x</i> end</body>"
    )
    assert parse_html(page).text == "Text\n\nafter\n\nend"


def test_main_is_preferred_and_keeps_its_header() -> None:
    page = b"<div>menu</div><main><header><h1>T</h1></header><p>Body</p></main>tail"
    assert parse_html(page).text == "T\n\nBody"


def test_page_inside_one_form_is_read() -> None:
    assert parse_html(b"<body><form><p>Body</p></form></body>").text == "Body"


def test_readings_are_left_out_of_words() -> None:
    page = "<p>\u3042<ruby>蜜<rp>(</rp><rt>みつ</rt><rp>)</rp>蜂<rt>ばち</rt></ruby>です"
    assert parse_html(page.encode()).text == "あ蜜蜂です"


def test_headings_are_mapped() -> None:
    text = parse_html(b"<title>No</title><h1>A <i>b</i></h1><p>x</p><h3>C<br>d</h3>y")
    assert titles(text) == [(1, "A b"), (3, "C d")]
    assert text.text == "A b\n\nx\n\nC d\n\ny"


def test_page_title_stands_in_for_h1() -> None:
    text = parse_html(b"<title> My\npage </title><p>x</p><h2>B</h2><p>y</p>")
    assert titles(text) == [(1, "My page"), (2, "B")]


def test_lists() -> None:
    page = (
        b"<p>Before</p><ul><li>One<li><p>Two</p><ol start=3><li>a</li><li>b</li></ol></li>"
        b"<li></li></ul><p>After</p>"
    )
    assert parse_html(page).text == "Before\n\n- One\n- Two\n  3. a\n  4. b\n\nAfter"


def test_tables_become_markdown_rows() -> None:
    page = (
        b"<table><caption>Sales</caption><thead><tr><th>Year</th><th>EUR</th></tr></thead>"
        b"<tr><td>2023</td><td><p>1|2</p><ul><li>x</li></ul></td></tr><tr><td></td></tr></table>end"
    )
    expected = "Sales\n\n| Year | EUR |\n| --- | --- |\n| 2023 | 1\\|2 x |\n\nend"
    assert parse_html(page).text == expected


def table(rows: str) -> str:
    return parse_html(f"<table>{rows}</table>".encode()).text


def test_a_cell_stands_in_the_first_of_the_columns_and_rows_it_covers() -> None:
    rows = (
        "<thead><tr><th>N<th colspan=2>P</thead>"
        "<tr><td rowspan=2>A<td>1<td>2<tr><td>3<td>4<tr><td>B<td rowspan=2 colspan=2>5<tr><td>C"
    )
    assert table(rows) == (
        "| N | P |  |\n| --- | --- | --- |\n| A | 1 | 2 |\n|  | 3 | 4 |\n| B | 5 |  |\n| C |  |  |"
    )


def test_a_cell_may_cover_the_rows_below_between_others() -> None:
    rows = "<tr><td>a<td rowspan=3>b<td>c<tr><td>d<td>e<tr><td>f<td>g<tr><td>h<td>i<td>j"
    assert table(rows) == (
        "| a | b | c |\n| --- | --- | --- |\n| d |  | e |\n| f |  | g |\n| h | i | j |"
    )


def test_a_cell_ends_with_its_section() -> None:
    rows = (
        "<thead><tr><th rowspan=2>N<th>P</thead>"
        "<tbody><tr><td rowspan=0>A<td>1<tr><td>2</tbody><tbody><tr><td>B<td>3</tbody>"
    )
    assert table(rows) == "| N | P |\n| --- | --- |\n| A | 1 |\n|  | 2 |\n| B | 3 |"


def test_columns_that_no_cell_begins_in_are_none() -> None:
    rows = "<tr><th colspan=100%>Sales<tr><td>2023<td>4<tr><td colspan=99>Sum<tr><td>2024<td>5"
    assert table(rows) == "| Sales |  |\n| --- | --- |\n| 2023 | 4 |\n| Sum |  |\n| 2024 | 5 |"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("<tr><td>N<td>P<tr><td>A<td>1", "| N | P |\n| --- | --- |\n| A | 1 |"),
        ("<tr><td><th>P<tr><th>A<td>1", "|  | P |\n| --- | --- |\n| A | 1 |"),
        ("<tr><th>A<td>1<tr><th>B<td>2", "| A | 1 |\n| B | 2 |"),
        ("<tr><td>A<td>1", "| A | 1 |"),
        ("<tr><td>A<tr><td>B", "| A |\n| B |"),
    ],
)
def test_the_first_row_is_the_header_of_a_table_with_rows_and_columns(
    rows: str, expected: str
) -> None:
    assert table(rows) == expected


@pytest.mark.parametrize(
    "row",
    [
        "<tr>" + "<td rowspan=65534>x" * 500 + "<tr><td>y" * 2000,
        "<tr><td colspan=1000>x<td>y<td colspan=1000>x<td>y" * 500,
        "<tr>" + "<td>x" * 500 + "<tr><td colspan=1000>x<td>y" * 2000,
        "<tr><td rowspan=999999999999999999999 colspan=-3>x",
    ],
)
def test_cells_that_claim_the_world_do_not_get_it(row: str) -> None:
    assert len(table(row)) < 6 * len(row)


@given(
    spans=st.lists(
        st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=4),
        min_size=1,
        max_size=5,
    )
)
def test_tables_lose_no_cell_and_cover_none_twice(spans: list[list[tuple[int, int]]]) -> None:
    """Against the algorithm of the HTML standard: mark each square that a cell covers."""
    names = iter(range(100))
    source, width = "", 0
    squares: dict[tuple[int, int], str] = {}
    for y, row in enumerate(spans):
        source += "<tr>"
        x = 0
        for columns, rows in row:
            while (y, x) in squares:
                x += 1
            name = f"c{next(names)}"
            source += f"<th colspan={columns} rowspan={rows}>{name}"
            covered = itertools.product(range(y, min(y + rows, len(spans))), range(x, x + columns))
            squares |= {square: "" for square in covered if square not in squares}
            squares[y, x] = name
            x += columns
            width = max(width, x)
    begun = [x for x in range(width) if any(squares.get((y, x)) for y in range(len(spans)))]
    lines = [line for line in table(source).split("\n") if "---" not in line]
    for y, line in enumerate(lines):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        expected = [squares.get((y, x), "") for x in begun]
        assert cells == expected[: len(cells)]
        assert not any(expected[len(cells) :])


def test_layout_tables_are_no_tables() -> None:
    page = b"<table><tr><td><h2>A</h2><p>x</p><table><tr><td>1</td></tr></table></td></tr></table>"
    assert parse_html(page).text == "A\n\nx\n\n| 1 |"


def test_tables_within_rows_stay_in_their_cells() -> None:
    inner = (
        "<table><tr><th>Power</th><td><p>5 kW</p></td></tr>"
        "<tr><th>Mass</th><td><p>7</p><p>kg</p></td></tr></table>"
    )
    header = "<tr><th>Name</th><th>Details</th><th>Price</th></tr>"
    rows = f"<tr><td>Pump</td><td>see {inner} below</td><td>100</td></tr><tr><td>Fan<td><td>20</tr>"
    page = f"<table>{header}{rows}</table>"
    assert parse_html(page.encode()).text == (
        "| Name | Details | Price |\n| --- | --- | --- |\n"
        "| Pump | see Power 5 kW; Mass 7 kg below | 100 |\n| Fan |  | 20 |"
    )
    long = page.replace("5 kW", "5 kW " * 100)
    assert "| Power | 5 kW 5 kW" in parse_html(long.encode()).text


def test_preformatted_text_is_kept() -> None:
    page = b"<p>x</p><pre><code>def f():\n    return  1\n\n</code></pre><p>y</p>"
    assert parse_html(page).text == "x\n\ndef f():\n    return  1\n\ny"


@pytest.mark.parametrize(
    "page",
    [
        pytest.param("<meta charset=shift_jis><p>日本語</p>".encode("shift_jis"), id="meta"),
        pytest.param("<p>日本語</p>".encode("utf-16"), id="mark"),
        pytest.param('<?xml version="1.0" encoding="x"?><p>日本語</p>'.encode(), id="utf-8"),
    ],
)
def test_encodings(page: bytes) -> None:
    assert parse_html(page).text == "日本語"


@pytest.mark.parametrize("page", [b"", b"   ", b"<!-- -->", b"<title>T</title><script>x</script>"])
def test_page_without_text_is_refused(page: bytes) -> None:
    with pytest.raises(UnreadableFileError) as caught:
        parse_html(page)
    assert caught.value.code == "no_text"


@pytest.mark.parametrize("tag", [b"div", b"b", b"table><tr><td", b"ul><li"])
def test_deep_nesting_is_survived(tag: bytes) -> None:
    assert parse_html(b"<p>top</p>" + (b"<" + tag + b">") * 50_000 + b"deep").text.startswith("top")


def test_raised_and_lowered_numbers_do_not_join_the_number_before_them() -> None:
    page = (
        "<p>About 10<sup>6</sup> bees in 2024<sup><a>3</a></sup>, 2<sup>-10</sup>, 7<sub>8</sub>, "
        "5 m<sup>2</sup>, CO<sub>2</sub>, 1<sup>st</sup>, 4<sup>[1]</sup>, 9<sup></sup>9, "
        "(8)<sup>0</sup>.</p>"
    )
    assert read_html(page.encode()).text == (
        "About 10^6 bees in 2024^3, 2^-10, 7_8, 5 m2, CO2, 1st, 4[1], 99, (8)^0."
    )


def test_formulas_keep_their_fractions_and_powers() -> None:
    def formula(content: str) -> str:
        return read_html(f"<p>So <math>{content}</math>.</p>".encode()).text

    assert formula("<mfrac><mn>1</mn><mn>2</mn></mfrac>") == "So 1/2."
    total = "<mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow>"
    assert formula(f"<mfrac>{total}<mrow><mi>c</mi></mrow></mfrac>") == "So (a+b)/c."
    assert formula("<msup><mi>x</mi><mn>2</mn></msup>") == "So x^2."
    assert formula("<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>") == "So x_i^2."


def test_items_have_the_numbers_that_they_are_given() -> None:
    page = "<ol start='3'><li>three</li><li value='7'>seven</li><li value='x'>eight</li></ol>"
    assert read_html(page.encode()).text == "3. three\n7. seven\n8. eight"
    for kind, shown in (("a", "d"), ("A", "D"), ("i", "iv"), ("I", "IV"), ("1", "4"), ("x", "4")):
        page = f"<ol type='{kind}' start='4'><li>item</li></ol>"
        assert read_html(page.encode()).text == f"{shown}. item"
