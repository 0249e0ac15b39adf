from ingest.parsers.numerals import letters, roman
from ingest.parsers.opendocument import parse_odt
from tests.ingest.parsers.office import make_odt
from tests.ingest.parsers.reading import headings


def level(number: int, kind: str, suffix: str = "", shown: int = 1, start: int = 1) -> str:
    return (
        f'<text:list-level-style-number text:level="{number}" style:num-format="{kind}" '
        f'style:num-suffix="{suffix}" text:display-levels="{shown}" text:start-value="{start}"/>'
    )


STYLES = (
    f'<text:list-style style:name="L1">{level(1, "1", ".")}{level(2, "a", ")")}'
    f"{level(3, 'I', '', 3)}</text:list-style>"
    '<text:list-style style:name="Dots"><text:list-level-style-bullet text:level="1"/>'
    f"{level(2, '1', '.', 2)}</text:list-style>"
    f'<text:list-style style:name="L3">{level(1, "i", ".", start=4)}</text:list-style>'
)


def item(*parts: str, more: str = "") -> str:
    return f"<text:list-item {more}>{''.join(parts)}</text:list-item>"


def p(text: str) -> str:
    return f"<text:p>{text}</text:p>"


def items(*parts: str, style: str = "", more: str = "") -> str:
    named = f'text:style-name="{style}"' if style else ""
    return f"<text:list {named} {more}>{''.join(parts)}</text:list>"


def read(body: str, styles: str = STYLES) -> str:
    return parse_odt(make_odt(body, styles=styles)).text


def test_items_have_the_numbers_of_their_levels() -> None:
    deepest = items(item(p("deep")))
    inner = items(item(p("one"), p("more")), item(p("two"), deepest))
    text = read(
        items(item(p("first"), inner), item(p("second"), items(item(p("new")))), style="L1")
    )
    assert text == ("1. first\n  a) one\n    more\n  b) two\n    1.b.I deep\n2. second\n  a) new")


def test_items_of_bullets_have_none() -> None:
    inner = items(item(p("one")), item(p("two")))
    text = read(
        items(
            item(p("first"), inner),
            "<text:list-header><text:p>x</text:p></text:list-header>",
            style="Dots",
        )
    )
    assert text == "- first\n  1. one\n  2. two\n- x"


def test_a_wrapper_of_a_deeper_list_is_not_counted() -> None:
    assert read(
        items(item(p("first")), item(items(item(p("in")))), item(p("second")), style="L1")
    ) == ("1. first\n  a) in\n2. second")


def test_lists_go_on_where_they_say_so() -> None:
    first = items(item(p("one")), item(p("two")), style="L1", more='xml:id="a"')
    other = items(item(p("four")), item(p("nine"), more='text:start-value="9"'), style="L3")
    again = items(item(p("anew")), style="L1")
    goes_on = items(item(p("three")), style="L1", more='text:continue-list="a"')
    by_style = items(item(p("four")), style="L1", more='text:continue-numbering="true"')
    assert read(first + other + again + goes_on + by_style).split("\n\n") == [
        "1. one\n2. two",
        "iv. four\nix. nine",
        "1. anew",
        "3. three",
        "4. four",
    ]


def test_headings_have_the_numbers_of_the_outline() -> None:
    outline = f"<text:outline-style>{level(1, '1')}{level(2, '1', '.', 2)}</text:outline-style>"
    plain = '<style:style style:name="Plain" style:list-style-name=""/>'
    titles = [
        (1, "Bees", ""),
        (2, "Dance", ""),
        (2, "Food", ""),
        (1, "Preface", 'text:style-name="Plain"'),
        (1, "Wasps", ""),
        (2, "Nests", ""),
        (2, "Late", 'text:start-value="7"'),
        (3, "Notes", ""),
    ]
    body = "".join(
        f'<text:h text:outline-level="{level}" {more}>{title}</text:h>'
        for level, title, more in titles
    )
    found = headings(parse_odt(make_odt(body, styles=outline + plain)))
    assert found == [
        (1, "1 Bees"),
        (2, "1.1. Dance"),
        (2, "1.2. Food"),
        (1, "Preface"),
        (1, "2 Wasps"),
        (2, "2.1. Nests"),
        (2, "2.7. Late"),
        (3, "Notes"),
    ]


def test_headings_in_lists_have_the_numbers_of_these() -> None:
    h = '<text:h text:outline-level="1">{}</text:h>'
    first = items(item(h.format("Bees")), style="L1")
    second = items(
        item(h.format("Wasps"), p("text")), style="L1", more='text:continue-numbering="true"'
    )
    text = parse_odt(make_odt(f"{first}{p('In hives.')}{second}", styles=STYLES))
    assert headings(text) == [(1, "1. Bees"), (1, "2. Wasps")]
    assert text.text == "1. Bees\n\nIn hives.\n\n2. Wasps\n\ntext"


def test_rows_that_are_numbered_have_their_numbers() -> None:
    def row(first: str, second: str) -> str:
        cells = (f"<table:table-cell>{one}</table:table-cell>" for one in (first, p(second)))
        return f"<table:table-row>{''.join(cells)}</table:table-row>"

    on = 'text:continue-numbering="true"'
    rows = [row(p("No."), "Item"), row(items(item(p("")), style="L1"), "bees")]
    rows.append(row(items(item(p("")), style="L1", more=on), "wasps"))
    assert read(f"<table:table>{''.join(rows)}</table:table>") == (
        "| No. | Item |\n| --- | --- |\n| 1. | bees |\n| 2. | wasps |"
    )


def test_numbers_too_large_for_letters_are_in_digits() -> None:
    assert (roman(1994), letters(28)) == ("mcmxciv", "bb")
    assert (roman(10_000), letters(1_000_000)) == ("10000", "1000000")
