import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.parsers.richtext import parse_rtf
from ingest.texts import CanonicalText
from tests.ingest.parsers.reading import headings

STYLES = (
    r"{\stylesheet{\ql Normal;}{\s1\sbasedon0 heading 1;}{\s2\outlinelevel1 \'dcberschrift 2;}"
    r"{\s3\sbasedon2 My heading;}{\s9 Title;}{\*\cs4 Strong;}}"
)
FONTS = (
    r"{\fonttbl{\f0\fswiss\fcharset0 Arial;}{\f1\fcharset204 Arial Cyr{\*\falt Arial};}"
    r"{\f2\fcharset128 Mincho;}{\f3\fcharset2 Symbol;}{\f4\fcharset2{\*\panose 05} Wingdings;}}"
)


def parse(body: str, header: str = r"\ansi\ansicpg1252\deff0" + FONTS + STYLES) -> CanonicalText:
    return parse_rtf(f"{{\\rtf1{header} {body}}}".encode("latin-1"))


def text_of(body: str) -> str:
    return parse(body).text


def row(*cells: str, borders: tuple[int, ...] = ()) -> str:
    edges = "".join(rf"\cellx{border}" for border in borders or range(1, len(cells) + 1))
    return rf"\trowd{edges}\pard\intbl " + "".join(rf"{cell}\cell " for cell in cells) + r"\row "


def test_headings_by_style_and_outline_level() -> None:
    text = parse(
        r"\pard\s9 Book\par\pard\s1 One\par\pard\plain Words.\par\pard\s2 Two\par\pard\s3 Based\par"
        r"{\pard\outlinelevel2 Three\par}\pard\s1\outlinelevel9 Not one.\par"
    )
    assert headings(text) == [(1, "Book"), (1, "One"), (2, "Two"), (2, "Based"), (3, "Three")]
    assert text.text == "Book\n\nOne\n\nWords.\n\nTwo\n\nBased\n\nThree\n\nNot one."


def test_number_of_a_heading_is_part_of_it() -> None:
    text = parse(r"\pard\s1{\listtext 1.2\tab}\ls1 Scope\par")
    assert headings(text) == [(1, "1.2 Scope")]


def test_lists() -> None:
    bullet = r"\pard{\listtext\f3\'b7\tab}\ls1\ilvl0 "
    body = (
        rf"Before:\par{bullet}one\par{bullet}two\par"
        r"\pard{\listtext\f4 o\tab}\ls1\ilvl1 inner\par\pard After.\par"
        r"\pard{\pntext 1.\tab}{\*\pn\pnlvlbody{\pntxta .}}first\par{\pntext b)\tab}second\par"
        r"\pard\ls2 without mark\par"
    )
    assert text_of(body) == (
        "Before:\n\n- one\n- two\n  - inner\n\nAfter.\n\n1. first\nb) second\n- without mark"
    )


PRICES = "| Size | Price |\n| --- | --- |\n| small | 5 |"


def test_table() -> None:
    body = rf"Prices:\par {row('Size', 'Price')}{row('small', '5')}\pard Done.\par"
    assert text_of(body) == f"Prices:\n\n{PRICES}\n\nDone."


def test_table_as_word_writes_it() -> None:
    def word_row(*cells: str) -> str:
        definition = r"\trowd\trgaph70" + "".join(rf"\cellx{n}" for n in (1000, 2000))
        texts = "".join(rf"{{\rtlch {cell}\cell}}" for cell in cells)
        return rf"{definition}\pard\plain\intbl {texts}\pard\intbl{{{definition}\row}}"

    assert text_of(word_row("Size", "Price") + word_row("small", "5")) == PRICES


def test_rows_whose_paragraphs_are_not_marked_make_a_table() -> None:
    body = (
        r"\trowd\cellx1\cellx2 Size\cell Price\cell\row\trowd\cellx1\cellx2 small\cell 5\cell\row"
    )
    assert text_of(body) == PRICES


def test_cells_stand_in_their_columns() -> None:
    wide = row("2025", borders=(3000,))
    body = row("Item", "Q1", "Q2", borders=(1000, 2000, 3010)) + row(
        "Honey", "7", borders=(990, 3000)
    )
    assert text_of(body + wide) == (
        "| Item | Q1 | Q2 |\n| --- | --- | --- |\n| Honey | 7 |  |\n| 2025 |  |  |"
    )


def test_cell_of_several_paragraphs_is_one_line() -> None:
    body = row(r"a\par b\line c", "{\\listtext 1.\\tab}d") + row("e", "")
    assert text_of(body) == "| a b c | 1. d |\n| --- | --- |\n| e |  |"


def test_table_in_a_cell_is_a_table_and_the_one_around_it_a_frame() -> None:
    def nested_row(*cells: str) -> str:
        edges = "".join(rf"\cellx{1000 * n}" for n, _ in enumerate(cells, start=1))
        return (
            r"\pard\intbl\itap2 "
            + "".join(rf"{{{cell}\nestcell{{\nonesttables\par }}}}" for cell in cells)
            + rf"{{{{\*\nesttableprops\trowd{edges}\nestrow}}{{\nonesttables\par }}}}"
        )

    inner = nested_row("Size", "Price") + nested_row("small", r"5\par ")
    frame = rf"\trowd\cellx10\cellx20\pard\intbl Left\cell Before\par {inner}"
    after = r"\pard\intbl After\cell\row\pard End.\par"
    assert (
        text_of(frame + after) == f"| Left | Before |\n| --- | --- |\n\n{PRICES}\n\nAfter\n\nEnd."
    )
    assert text_of(rf"\trowd\cellx10\pard\intbl {inner}\pard\intbl\cell\row") == PRICES


def test_single_column_is_a_frame() -> None:
    assert text_of(row("Note:") + row("Bees sting.")) == "Note:\n\nBees sting."


def test_rows_with_borders_that_tell_nothing_keep_their_cells() -> None:
    rows = row("a", "b", borders=(10, 20)) + row("c", "d", borders=(5,)) + row("e", borders=(1, 2))
    rows += row("f", "g", borders=(3000, 2000))
    assert text_of(rows) == "| a | b |\n| --- | --- |\n| c | d |\n| e |\n| f | g |"


def test_row_without_end_is_kept() -> None:
    assert text_of(r"\trowd\cellx1\cellx2 a\cell b\cell c") == "| a | b | c |\n| --- | --- | --- |"


def test_notes_stand_where_they_belong_and_boxes_before_their_paragraph() -> None:
    note = r"{\super\chftn{\footnote\pard\plain{\super\chftn} In the\par dark.}}"
    assert text_of(rf"They dance{note}.\par") == "They dance (In the dark.)."
    box = r"{\shp{\*\shpinst\shpwr2{\sp{\sn x}{\sv 1}}{\shptxt\pard Box\par}}{\shprslt gone}}"
    assert text_of(rf"Before.\par They {box}dance.\par") == "Before.\n\nBox\n\nThey dance."


def test_what_readers_do_not_see_is_left_out() -> None:
    body = (
        r"{\info{\title T}{\author A}}{\header Running head}{\footerf Foot}{\*\generator Word;}"
        r"{\pict\pngblip 89504e47}{\*\annotation Comment}{\field{\*\fldinst HYPERLINK "
        r'"http://x"}{\fldrslt Link}} {\*\bkmkstart a}text{\deleted gone}{\xe\v entry}'
        r"{\*\unknown gone {deeper}}\par"
    )
    assert text_of(body) == "Link text"


def test_hidden_text_is_counted() -> None:
    text = parse(r"seen {\v hidden}\v more\v0  again{\v x\plain y}\par")
    assert (text.text, text.num_hidden_characters) == ("seen  againy", len("hidden" + "more" + "x"))


def test_pictures_of_raw_bytes_are_jumped_over() -> None:
    assert text_of(r"a{\pict\bin6 }}\'}{}b\bin3 }}}c") == "abc"


def test_characters_in_fonts_of_symbols_are_those_that_are_seen() -> None:
    symbols = r"{\f3 b} {\f3\'b1}{\f3\u-3917 ?}{\f4\'fc} b"
    assert text_of(rf"\pard {symbols}\par") == "\u03b2 ±≥✓ b"
    bullet = r"{\listtext\f3\'b7\tab}"
    assert text_of(rf"\pard{bullet}\ls1 Wax\par") == "- Wax"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (r"caf\'e9 \f1 \'cf\'f0\'e8{\f2 \'93\'fa\'96\'7b{\f1 \'e4}}\plain \'e9", "café При日本дé"),
        (r"\f2\'83\'41\'83A \'83\\", "アア ソ"),  # the second byte of a character may be any
        (r"\uc1 5 \u8364? \u8364\'80", "5 € €"),
        (r"\uc2\u26085 ab\u26412\'93\'fa{\uc0\u8364 x}", "日本€x"),
        (r"\u-10179?\u-8704?", "😀"),
        (r"\u128512?", "😀"),
        (r"\u-10179? \u-99999?", "\ufffd \ufffd"),
        (r"\u8212\emdash x", "—x"),
        (r"\{a\}\\b", r"{a}\b"),
        ("a\\~b\\-c\\_d\\\ne", "a\xa0bc\u2011d\n\ne"),
        (r"a\tab b\line c\ldblquote d\rdblquote", "a\tb\nc\u201cd\u201d"),
    ],
)
def test_characters(body: str, expected: str) -> None:
    assert text_of(body) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (r"\ansi\ansicpg1251", "й"),
        (r"\ansi\ansicpg65001", "\ufffd"),
        (r"\ansi\ansicpg99999", "é"),
        (r"\mac", "È"),
        (r"\pca", "Ú"),
        (r"\deff7{\fonttbl{\f7\cpg1251 Arial;}}", "й"),
    ],
)
def test_code_page_of_the_file(header: str, expected: str) -> None:
    assert parse(r"\'e9", header).text == expected


def test_what_follows_the_document_is_left_out() -> None:
    assert parse_rtf(rb"{\rtf1 a}b{\rtf1 c}").text == "a"


def rtf_of(paragraph: str) -> str:
    units = paragraph.encode("utf-16-le")
    codes = [
        int.from_bytes(units[i : i + 2], "little", signed=True) for i in range(0, len(units), 2)
    ]
    return "".join(rf"\u{code}?" for code in codes)


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1), max_size=5))
def test_any_text_comes_back(paragraphs: list[str]) -> None:
    body = "".join(rf"{rtf_of(one)}\par " for one in paragraphs)
    assert text_of(body) == "\n\n".join(paragraphs)


FRAGMENTS = (
    r"{ } \ ; * text \par \'e9 \u-9999? \uc9 \* \bin4 \v \footnote \shptxt \stylesheet \s1 \f1 "
    r"\fonttbl \trowd \cellx-5 \cellx900 \cellx99 \cell \row \intbl \itap2 \nestcell \nestrow "
    r"\nesttableprops \listtext \outlinelevel99 \ilvl-3 \pard \plain"
)


@given(
    st.lists(
        st.sampled_from(FRAGMENTS.split()) | st.text(st.characters(codec="latin-1"), max_size=3),
        max_size=60,
    )
)
def test_broken_files_are_read_as_far_as_they_go(fragments: list[str]) -> None:
    text = parse(" ".join(fragments), "")
    assert headings(text) is not None
    text.text.encode()


def test_endless_nesting_is_no_trouble() -> None:
    deep = 20_000
    assert text_of("{" * deep + "x" + "}" * deep) == "x"
    assert text_of(r"{\footnote{\shptxt " * deep + "x") == "x"
