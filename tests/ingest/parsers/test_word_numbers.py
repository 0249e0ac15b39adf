"""Numbers that Word counts by itself stand before their paragraphs."""

from ingest.parsers.word import parse_docx
from tests.ingest.parsers.office import make_docx


def level(
    number: int, kind: str, text: str, more: str = "", *, start: int = 1, style: str = ""
) -> str:
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return (
        f'<w:lvl w:ilvl="{number}"><w:start w:val="{start}"/><w:numFmt w:val="{kind}"/>{named}'
        f'{more}<w:lvlText w:val="{text}"/></w:lvl>'
    )


def definition(number: int, *levels: str) -> str:
    return f'<w:abstractNum w:abstractNumId="{number}">{"".join(levels)}</w:abstractNum>'


def numbered_list(number: int, of: int, more: str = "") -> str:
    return f'<w:num w:numId="{number}"><w:abstractNumId w:val="{of}"/>{more}</w:num>'


def item(text: str, number: int, at: int = 0, mark: str = "") -> str:
    named = f'<w:numPr><w:ilvl w:val="{at}"/><w:numId w:val="{number}"/></w:numPr>'
    return f"<w:p><w:pPr>{named}<w:rPr>{mark}</w:rPr></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def plain(text: str, style: str = "") -> str:
    named = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{named}<w:r><w:t>{text}</w:t></w:r></w:p>"


DECIMAL = definition(1, level(0, "decimal", "%1."), level(1, "bullet", "o")) + numbered_list(1, 1)


def read(*paragraphs: str, numbering: str = DECIMAL, styles: str = "") -> str:
    return parse_docx(make_docx("".join(paragraphs), numbering=numbering, styles=styles)).text


def test_a_list_goes_on_behind_a_paragraph() -> None:
    text = read(item("one", 1), item("dot", 1, 1), item("two", 1), plain("Wait."), item("three", 1))
    assert text == "1. one\n  - dot\n2. two\n\nWait.\n\n3. three"


def test_a_list_of_the_same_definition_counts_on_unless_it_has_a_start_of_its_own() -> None:
    own = '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride>'
    numbering = DECIMAL + numbered_list(2, 1) + numbered_list(3, 1, own)
    text = read(item("a", 1), item("b", 2), item("c", 3), item("d", 3), numbering=numbering)
    assert text == "1. a\n2. b\n5. c\n6. d"


def test_a_list_may_count_a_level_that_its_definition_does_not_have() -> None:
    own = f'<w:lvlOverride w:ilvl="2">{level(2, "lowerLetter", "%3)")}</w:lvlOverride>'
    numbering = DECIMAL + numbered_list(2, 1, own)
    text = read(item("one", 1), item("x", 2, 2), item("two", 1), numbering=numbering)
    assert text.split("\n\n") == ["1. one", "a) x", "2. two"]


def test_clauses_have_the_numbers_that_others_refer_to() -> None:
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="Heading{n}"><w:name w:val="heading {n}"/>'
        f'<w:pPr><w:outlineLvl w:val="{n - 1}"/>{listed}</w:pPr></w:style>'
        for n, listed in ((1, '<w:numPr><w:numId w:val="1"/></w:numPr>'), (2, ""))
    )
    styles = styles.replace('"heading 2"/>', '"heading 2"/><w:basedOn w:val="Heading1"/>')
    numbering = definition(
        1,
        level(0, "upperRoman", "Article %1", style="Heading1"),
        level(1, "decimal", "%1.%2", "<w:isLgl/>", style="Heading2"),
        level(2, "lowerLetter", "(%3)"),
        level(3, "lowerRoman", "(%4)"),
    ) + numbered_list(1, 1)
    text = parse_docx(
        make_docx(
            plain("Terms", "Heading1")
            + plain("Hives", "Heading2")
            + item("of wood", 1, 2)
            + item("old", 1, 3)
            + item("of straw", 1, 2)
            + plain("Price", "Heading1")
            + plain("Due", "Heading2")
            + item("in May", 1, 2),
            numbering=numbering,
            styles=styles,
        )
    )
    assert text.text == (
        "Article I Terms\n\n1.1 Hives\n\n    (a) of wood\n      (i) old\n    (b) of straw\n\n"
        "Article II Price\n\n2.1 Due\n\n    (a) in May"
    )
    assert [(one.level, one.title) for one in text.headings] == [
        (1, "Article I Terms"),
        (2, "1.1 Hives"),
        (1, "Article II Price"),
        (2, "2.1 Due"),
    ]


def test_formats_of_numbers() -> None:
    kinds = {
        "decimalZero": "07",
        "lowerLetter": "g",
        "upperLetter": "G",
        "lowerRoman": "vii",
        "upperRoman": "VII",
        "japaneseCounting": "7",
    }
    levels = [level(n, kind, f"%{n + 1})", start=7) for n, kind in enumerate(kinds)]
    text = read(
        *(item("x", 1, n) for n in range(len(kinds))),
        numbering=definition(1, *levels) + numbered_list(1, 1),
    )
    assert [line.split() for line in text.splitlines()] == [[f"{n})", "x"] for n in kinds.values()]
    letters = definition(1, level(0, "lowerLetter", "%1", start=28)) + numbered_list(1, 1)
    assert read(item("x", 1), numbering=letters) == "bb x"
    roman = definition(1, level(0, "upperRoman", "%1", start=1994)) + numbered_list(1, 1)
    assert read(item("x", 1), numbering=roman) == "MCMXCIV x"


def test_a_level_that_never_begins_anew_counts_on() -> None:
    levels = (
        level(0, "decimal", "%1."),
        level(1, "decimal", "Rule %2", '<w:lvlRestart w:val="0"/>'),
    )
    numbering = definition(1, *levels) + numbered_list(1, 1)
    text = read(item("a", 1), item("b", 1, 1), item("c", 1), item("d", 1, 1), numbering=numbering)
    assert text == "1. a\n  Rule 1 b\n2. c\n  Rule 2 d"


def test_what_was_deleted_or_is_in_no_list_is_not_counted() -> None:
    gone = item("", 1, mark='<w:del w:id="1"/>')
    assert read(item("a", 1), gone, item("b", 1), item("c", 0)) == "1. a\n2. b\n\nc"


def test_numbers_alone_are_shown_in_tables() -> None:
    rows = (
        f"<w:tr><w:tc>{first}</w:tc><w:tc>{plain(second)}</w:tc></w:tr>"
        for first, second in ((plain("No"), "Rule"), (item("", 1), "Wait"), (item("", 1), "Go"))
    )
    assert read(f"<w:tbl>{''.join(rows)}</w:tbl>", item("", 1), item("end", 1)) == (
        "| No | Rule |\n| --- | --- |\n| 1. | Wait |\n| 2. | Go |\n\n4. end"
    )


def test_a_list_style_names_the_list_that_is_meant() -> None:
    numbering = (
        definition(1, level(0, "decimal", "Step %1:"))
        + definition(2, '<w:numStyleLink w:val="Steps"/>')
        + numbered_list(1, 1)
        + numbered_list(2, 2)
    )
    styles = (
        '<w:style w:type="numbering" w:styleId="Steps"><w:pPr><w:numPr><w:numId w:val="1"/>'
        "</w:numPr></w:pPr></w:style>"
    )
    assert read(item("go", 2), numbering=numbering, styles=styles) == "Step 1: go"
