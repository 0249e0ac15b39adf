"""Word files: what mammoth alone would lose or show."""

from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from ingest.errors import UnreadableFileError
from ingest.parsers.word import parse_docx
from tests.ingest.parsers.office import make_docx

_NAMESPACES = (
    'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
    'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" '
    'xmlns:w14="http://schemas.microsoft.com/office/word/2010/wordml" '
    'xmlns:v="urn:schemas-microsoft-com:vml"'
)


def run(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def read(*paragraphs: str, styles: str = "") -> str:
    body = "".join(f"<w:p {_NAMESPACES}>{one}</w:p>" for one in paragraphs)
    text = parse_docx(make_docx(body, styles=styles))
    return f"{text.text} [{text.num_hidden_characters}]"


def equation(text: str) -> str:
    return f"<m:oMath><m:r><m:t>{text}</m:t></m:r></m:oMath>"


def test_equations_stand_in_their_sentence() -> None:
    assert read(run("The area is "), equation("E=m") + run(" exactly.")) == (
        "The area is\n\nE=m exactly. [0]"
    )
    sentence = run("The area is ") + equation("a=b") + run(" exactly.")
    assert read(sentence) == "The area is a=b exactly. [0]"


def test_equations_one_after_the_other_stand_on_lines() -> None:
    block = f"<m:oMathPara>{equation('a=b')}{equation('c=d')}</m:oMathPara>"
    assert read(run("Let"), block, equation("e") + equation("f")) == "Let\n\na=b\nc=d\n\ne\nf [0]"


def box(text: str) -> str:
    content = f"<w:txbxContent><w:p>{run(text)}</w:p><w:p>{run('End.')}</w:p></w:txbxContent>"
    return f"<w:drawing><wps:wsp><wps:txbx>{content}</wps:txbx></wps:wsp></w:drawing>"


def vml(text: str, shape: str) -> str:
    content = f"<w:txbxContent><w:p>{run(text)}</w:p></w:txbxContent>"
    return f"<w:pict><v:{shape}><v:textbox>{content}</v:textbox></v:{shape}></w:pict>"


@pytest.mark.parametrize(
    "shape",
    [
        box("Box."),
        f"<mc:AlternateContent><mc:Choice>{box('Box.')}</mc:Choice></mc:AlternateContent>",
        f"<mc:AlternateContent><mc:Choice>{box('Box.')}</mc:Choice>"
        f"<mc:Fallback>{vml('Box. End.', 'oval')}</mc:Fallback></mc:AlternateContent>",
    ],
)
def test_text_boxes_are_read_once_behind_their_paragraph(shape: str) -> None:
    assert read(run("One") + f"<w:r>{shape}</w:r>" + run(" two."), run("Three.")) == (
        "One two.\n\nBox.\n\nEnd.\n\nThree. [0]"
    )


@pytest.mark.parametrize("shape", ["oval", "shape"])
def test_old_text_boxes_are_read(shape: str) -> None:
    assert read(run("One.") + f"<w:r>{vml('Box.', shape)}</w:r>") == "One.\n\nBox. [0]"


def test_boxes_of_one_paragraph_keep_their_order() -> None:
    boxes = f"<w:r>{box('First.')}{box('Second.')}</w:r>"
    assert read(run("One.") + boxes) == "One.\n\nFirst.\n\nEnd.\n\nSecond.\n\nEnd. [0]"


def test_hidden_text_is_left_out_and_counted() -> None:
    secret = run("secret", "<w:vanish/>") + run("shown", '<w:vanish w:val="0"/>')
    assert read(secret) == "shown [6]"


def test_text_is_hidden_by_styles_as_well() -> None:
    styles = (
        '<w:style w:type="character" w:styleId="Note"><w:basedOn w:val="Base"/></w:style>'
        '<w:style w:type="character" w:styleId="Base"><w:rPr><w:vanish/></w:rPr></w:style>'
        '<w:style w:type="character" w:styleId="Odd"><w:basedOn w:val="Loop"/></w:style>'
        '<w:style w:type="character" w:styleId="Loop"><w:basedOn w:val="Odd"/></w:style>'
        '<w:style w:type="character" w:styleId="Plain"><w:basedOn w:val="Base"/><w:rPr>'
        '<w:vanish w:val="false"/></w:rPr></w:style>'
    )
    runs = [run(name, f'<w:rStyle w:val="{name}"/>') for name in ("Note", "Base", "Plain", "Odd")]
    in_paragraph = (
        '<w:pPr><w:pStyle w:val="Base"/></w:pPr>' + run("x") + run("y", '<w:vanish w:val="off"/>')
    )
    assert read("".join(runs), in_paragraph, styles=styles) == "PlainOdd\n\ny [9]"


def test_fields_directions_and_readings_keep_their_text() -> None:
    field = f'<w:fldSimple w:instr="SEQ Figure">{run("7")}</w:fldSimple>'
    assert read(run("Figure ") + field) == "Figure 7 [0]"
    assert read(f"<w:bdo w:val='rtl'><w:dir>{run('abc')}</w:dir></w:bdo>") == "abc [0]"
    ruby = f"<w:ruby><w:rt>{run('kan')}</w:rt><w:rubyBase>{run('漢')}</w:rubyBase></w:ruby>"
    assert read(run("x") + f"<w:r>{ruby}</w:r>" + run("y")) == "x漢y [0]"


@pytest.mark.data
def field(kind: str, code: str = "", more: str = "") -> str:
    """Return a mark of a field, with code behind it."""
    mark = f'<w:fldChar w:fldCharType="{kind}">{more}</w:fldChar>'
    return f"<w:r>{mark}<w:instrText>{code}</w:instrText></w:r>"


def test_results_of_fields_within_the_code_of_others_are_not_shown() -> None:
    inner = field("begin", "MERGEFIELD sex") + field("separate") + run("F") + field("end")
    letter = f"{field('begin', 'IF ')}{inner}{field('', ' = F Mrs Mr')}{field('separate')}"
    assert read(run("Dear ") + letter + run("Mrs") + field("end") + run(" Bauer,")) == (
        "Dear Mrs Bauer, [0]"
    )
    assert read(run("Dear ") + field("begin", "IF ") + run("all")) == "Dear all [0]"


def test_choices_in_forms_are_shown() -> None:
    def control(sign: str) -> str:
        box = "<w:sdtPr><w14:checkbox/></w:sdtPr>"
        return f"<w:sdt>{box}<w:sdtContent>{run(sign)}</w:sdtContent></w:sdt>"

    def form(code: str, choice: str) -> str:
        return field("begin", code, f"<w:ffData>{choice}</w:ffData>") + field("end")

    checked = form("FORMCHECKBOX", '<w:checkBox><w:default w:val="1"/></w:checkBox>')
    cleared = form("FORMCHECKBOX", '<w:checkBox><w:default/><w:checked w:val="0"/></w:checkBox>')
    entries = "".join(f'<w:listEntry w:val="{one}"/>' for one in ("linden", "heather"))
    listed = form("FORMDROPDOWN", f'<w:ddList><w:result w:val="1"/>{entries}</w:ddList>')
    assert (
        read(
            control("☒") + run(" yes ") + control("☐") + run(" no"),
            checked + run(" frames ") + cleared + run(" wax, ") + listed,
        )
        == "☒ yes ☐ no\n\n☒ frames ☐ wax, heather [0]"
    )


def test_characters_in_fonts_of_symbols_are_those_that_are_seen() -> None:
    fonts = '<w:rFonts w:ascii="{0}" w:hAnsi="{0}"/>'
    text = run("\uf062 \uf0b1", fonts.format("Symbol")) + run("\uf0fc", fonts.format("Wingdings"))
    assert read(text) == "β ±✓ [0]"


def test_rows_that_leave_out_their_first_columns_keep_the_others_in_place() -> None:
    def row(*cells: str, properties: str = "") -> str:
        written = "".join(f"<w:tc><w:p>{run(cell)}</w:p></w:tc>" for cell in cells)
        return f"<w:tr>{properties}{written}</w:tr>"

    def gap(value: str) -> str:
        return f"<w:trPr><w:gridBefore {value}/></w:trPr>"

    table = row("Item", "Mass", "Price") + row("Wax", "1 kg", "9", properties=gap('w:val="0"'))
    table += row("12", properties=gap('w:val="2"')) + row("Jar", properties=gap(""))
    assert parse_docx(make_docx(f"<w:tbl>{table}</w:tbl>")).text == (
        "| Item | Mass | Price |\n| --- | --- | --- |\n| Wax | 1 kg | 9 |\n|  |  | 12 |\n| Jar |"
    )


def test_charts_and_diagrams_stand_once_behind_their_paragraph() -> None:
    chart = (
        "<c:chartSpace xmlns:c='chart'><c:chart><c:title><c:t>Honey</c:t></c:title><c:ser>"
        "<c:tx><c:v>2024</c:v></c:tx><c:cat><c:pt idx='0'><c:v>Clover</c:v></c:pt></c:cat>"
        "<c:val><c:pt idx='0'><c:v>7.50</c:v></c:pt></c:val></c:ser></c:chart></c:chartSpace>"
    )
    diagram = (
        "<d:dataModel xmlns:d='diagram'><d:pt modelId='1'><d:t>Swarm</d:t></d:pt></d:dataModel>"
    )
    kinds = {"chart1": chart, "data1": diagram}
    relations = "".join(f"<r Id='{name}' Target='{name}.xml'/>" for name in kinds)
    names = "".join(
        f"<w:r><w:drawing>{one}</w:drawing></w:r>"
        for one in (
            "<c:chart xmlns:c='chart' xmlns:r='r' r:id='chart1'/>",
            "<d:relIds xmlns:d='diagram' xmlns:r='r' r:dm='data1'/>",
            "<c:chart xmlns:c='chart' xmlns:r='r' r:id='lost'/>",
            "<d:relIds xmlns:d='diagram' xmlns:r='r' r:dm='data1'/>",
        )
    )
    body = f"<w:p>{run('See')}{names}{run(' it.')}</w:p><w:p>{run('End.')}</w:p>"
    with ZipFile(file := BytesIO(make_docx(body)), "a") as archive:
        archive.writestr(
            "word/_rels/document.xml.rels", f"<rs><!-- of a program -->{relations}</rs>"
        )
        for name, content in kinds.items():
            archive.writestr(f"word/{name}.xml", content)
    assert parse_docx(file.getvalue()).text == (
        "See it.\n\nHoney\n\n| | 2024 |\n| --- | --- |\n| Clover | 7.5 |\n\nSwarm\n\nEnd."
    )


def test_files_that_only_word_includes_are_told() -> None:
    def including(body: str) -> bytes:
        with ZipFile(file := BytesIO(make_docx(body)), "a") as archive:
            archive.writestr("word/page.mht", "From: word")
            archive.writestr(
                "word/_rels/document.xml.rels",
                "<rs><r Id='a' Type='http://schemas.openxmlformats.org/officeDocument/2006/"
                "relationships/aFChunk' Target='page.mht'/></rs>",
            )
        return file.getvalue()

    told = "It includes another file, which only Word shows; open it in Word, save it there"
    text = parse_docx(including(f"<w:p>{run('See')}</w:p><w:altChunk/>"))
    assert text.text == "See"
    assert str(text.unreadable_reason).startswith(told)
    with pytest.raises(UnreadableFileError, match=told) as caught:
        parse_docx(including("<w:altChunk/>"))
    assert caught.value.code == "no_text"


def test_equations_of_a_real_file(data_dir: Path) -> None:
    path = data_dir / "hostile_dev" / "documents" / "docling" / "sources" / "equations.docx"
    if not path.exists():
        pytest.skip(f"no file at {path}")
    text = parse_docx(path.read_bytes()).text
    assert "an inline equation: A=πr^2.\n\n- First item" in text
    assert "\n\nf(x)=a_0+∑_(n=1)^∞ (a_n cos nπx/L+b_n sin nπx/L)\n\n" in text
    assert "\n\n(x+a)^n=∑_(k=0)^n (n¦k)x^ka^(n-k)\n\n" in text


def cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr><w:p>{run(text)}</w:p></w:tc>"


def table(*rows: str) -> str:
    return f"<w:tbl>{''.join(rows)}</w:tbl>"


def row(*cells: str, properties: str = "") -> str:
    return f"<w:tr><w:trPr>{properties}</w:trPr>{''.join(cells)}</w:tr>"


@pytest.mark.parametrize("mark", ["", "<w:tblHeader/>"])
def test_cells_merged_across_a_header_of_two_rows_keep_columns_apart(mark: str) -> None:
    body = table(
        row(
            cell("Region", '<w:vMerge w:val="restart"/>'),
            cell("Sales", '<w:gridSpan w:val="2"/>'),
            properties=mark,
        ),
        row(cell("", "<w:vMerge/>"), cell("2023"), cell("2024")),
        row(cell("North"), cell("1"), cell("2")),
    )
    assert parse_docx(make_docx(body)).text == (
        "| Region | Sales |  |\n| --- | --- | --- |\n|  | 2023 | 2024 |\n| North | 1 | 2 |"
    )


def test_bookmarks_between_rows_leave_the_table_as_it_is() -> None:
    bookmark = '<w:bookmarkStart w:id="1" w:name="prices"/>'
    merged = [cell("A", '<w:vMerge w:val="restart"/>'), cell("", "<w:vMerge/>")]
    rows = [row(merged[0], cell("1")), row(merged[1], cell("2")), row(cell("B"), cell("3"))]
    assert parse_docx(make_docx(table(bookmark, *rows, '<w:bookmarkEnd w:id="1"/>'))).text == (
        "| A | 1 |\n| --- | --- |\n|  | 2 |\n| B | 3 |"
    )


def test_headings_are_told_by_their_outline_level() -> None:
    styles = (
        '<w:style w:type="paragraph" w:styleId="H2"><w:name w:val="heading 2"/>'
        '<w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style>'
        '<w:style w:type="paragraph" w:styleId="Own"><w:name w:val="Company Title 2"/>'
        '<w:basedOn w:val="H2"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="TOC"><w:name w:val="Contents"/>'
        '<w:basedOn w:val="H2"/><w:pPr><w:outlineLvl w:val="9"/></w:pPr></w:style>'
    )

    def paragraph(text: str, properties: str) -> str:
        return f"<w:p><w:pPr>{properties}</w:pPr>{run(text)}</w:p>"

    pine = paragraph("Pine", '<w:pStyle w:val="Own"/>')
    body = (
        paragraph("Hives", '<w:outlineLvl w:val="0"/>')
        + paragraph("Of wood", '<w:pStyle w:val="Own"/>')
        + paragraph("Page 1", '<w:pStyle w:val="TOC"/>')
        + table(row(f"<w:tc>{pine}</w:tc>", cell("5")))
    )
    text = parse_docx(make_docx(body, styles=styles))
    assert [(one.title, one.level) for one in text.headings] == [("Hives", 1), ("Of wood", 2)]
    assert text.text == "Hives\n\nOf wood\n\nPage 1\n\n| Pine | 5 |"


def note(kind: str, number: int, text: str, properties: str = "") -> str:
    return f'<w:{kind} w:id="{number}" {properties}><w:p>{run(text)}</w:p></w:{kind}>'


def reference(kind: str, number: int) -> str:
    return f'<w:r><w:{kind}Reference w:id="{number}"/></w:r>'


def test_notes_and_comments_stand_behind_the_text() -> None:
    text = parse_docx(
        make_docx(
            f"<w:p>{run('Honey')}{reference('footnote', 2)}{run(' is 5 euros')}"
            f"{reference('comment', 0)}{run('.')}{reference('endnote', 3)}</w:p>",
            footnotes=note("footnote", 2, "In jars."),
            endnotes=note("endnote", 3, "As of May."),
            comments=note("comment", 0, "Or 6?", 'w:author="Ann Lee" w:initials="AL"'),
        )
    ).text
    assert text == (
        "Honey[1] is 5 euros[AL1].[2]\n\n1. In jars.\n2. As of May.\n\nComment [AL1]\n\nOr 6?"
    )


def test_breaks_and_tabs_of_all_kinds_part_words() -> None:
    line = "<w:r><w:t>Name</w:t><w:cr/><w:t>Bee</w:t><w:ptab/><w:t>12</w:t></w:r>"
    assert read(line) == "Name\nBee 12 [0]"
