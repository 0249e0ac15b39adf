"""Charts and diagrams, alone and on slides."""

from io import BytesIO

import pytest
from lxml import etree
from pptx import Presentation
from pptx.chart.data import CategoryChartData, XyChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.opc.package import Part
from pptx.opc.packuri import PackURI
from pptx.oxml import parse_xml
from pptx.util import Inches

from ingest.parsers.builder import TextBuilder
from ingest.parsers.drawings import add_chart, add_diagram
from ingest.parsers.slides import parse_pptx

_CHART = "http://schemas.openxmlformats.org/drawingml/2006/chart"
_DIAGRAM = "http://schemas.openxmlformats.org/drawingml/2006/diagram"
_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SLIDES = "http://schemas.openxmlformats.org/presentationml/2006/main"


def chart_text(source: str) -> str:
    builder = TextBuilder()
    add_chart(
        builder, etree.fromstring(f"<c:chartSpace xmlns:c='{_CHART}'>{source}</c:chartSpace>")
    )
    return builder.finish().text


def points(*texts: str) -> str:
    return "".join(f"<c:pt idx='{n}'><c:v>{text}</c:v></c:pt>" for n, text in enumerate(texts))


def test_a_chart_is_a_table_below_its_titles() -> None:
    source = (
        "<c:chart><c:title><c:tx><c:v>Honey</c:v></c:tx></c:title><c:plotArea><c:barChart>"
        f"<c:ser><c:tx><c:v>2023</c:v></c:tx><c:cat>{points('East', 'West')}</c:cat>"
        f"<c:val>{points('0.30000000000000004', '12')}</c:val></c:ser>"
        f"<c:ser><c:tx>{points('2024')}</c:tx><c:cat>{points('East', 'West')}</c:cat>"
        "<c:val><c:pt idx='1'><c:v>13</c:v></c:pt></c:val></c:ser></c:barChart>"
        "<c:catAx><c:title><c:tx><c:v>Meadow</c:v></c:tx></c:title></c:catAx>"
        "<c:valAx><c:title><c:tx><c:v>Tonnes</c:v></c:tx></c:title></c:valAx></c:plotArea></c:chart>"
    )
    assert chart_text(source) == (
        "Honey\n\nTonnes\n\n| Meadow | 2023 | 2024 |\n| --- | --- | --- |\n"
        "| East | 0.3 |  |\n| West | 12 | 13 |"
    )


def test_levels_of_categories_are_joined() -> None:
    levels = f"<c:lvl>{points('Q1', 'Q2')}</c:lvl><c:lvl>{points('2024')}</c:lvl>"
    source = f"<c:ser><c:cat>{levels}</c:cat><c:val>{points('1', '2')}</c:val></c:ser>"
    assert chart_text(source) == "|  | Series 1 |\n| --- | --- |\n| 2024 Q1 | 1 |\n| Q2 | 2 |"


def test_a_chart_that_claims_many_points_has_those_it_has() -> None:
    point = "<c:ptCount val='9999999999'/><c:pt idx='999999999'><c:v>7</c:v></c:pt>"
    text = chart_text(f"<c:ser><c:val>{point}</c:val></c:ser>")
    assert text == "|  | Series 1 |\n| --- | --- |\n|  | 7 |"


def diagram_data(connections: str) -> str:
    texts = {"0": "", "1": "Hive", "2": "Queen", "3": "Frame", "4": "Egg"}
    kinds = {"0": "doc"}
    data = "".join(
        f"<dgm:pt modelId='{number}' type='{kinds.get(number, 'node')}'><dgm:t><a:p><a:r>"
        f"<a:t>{text}</a:t></a:r></a:p></dgm:t></dgm:pt>"
        for number, text in texts.items()
    )
    presentation = "<dgm:pt modelId='9' type='pres'><dgm:t><a:t>layout</a:t></dgm:t></dgm:pt>"
    return (
        f"<dgm:dataModel xmlns:dgm='{_DIAGRAM}' xmlns:a='{_DRAWING}'>{data}{presentation}"
        f"{connections}</dgm:dataModel>"
    )


def connection(source: int, target: int, order: int) -> str:
    return f"<dgm:cxn srcId='{source}' destId='{target}' srcOrd='{order}'/>"


TREE = connection(0, 3, 1) + connection(0, 1, 0) + connection(1, 2, 0) + connection(2, 4, 0)
OUTLINE = "Hive\n  Queen\n    Egg\nFrame"


@pytest.mark.parametrize(
    ("connections", "text"),
    [
        (TREE, OUTLINE),
        ("", "Hive\nQueen\nFrame\nEgg"),
        (connection(1, 2, 0) + connection(2, 1, 0), "Frame\nEgg\nHive\n  Queen"),
    ],
)
def test_a_diagram_is_an_outline(connections: str, text: str) -> None:
    builder = TextBuilder()
    add_diagram(builder, etree.fromstring(diagram_data(connections)))
    assert builder.finish().text == text


def test_slides_have_their_charts_diagrams_and_equations() -> None:
    presentation = Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[6])
    frame = (Inches(1), Inches(1), Inches(4), Inches(3))
    bars = CategoryChartData()  # type: ignore[no-untyped-call]
    bars.categories = ["East", "West"]
    bars.add_series("Revenue", (4711.5, 12))  # type: ignore[no-untyped-call]
    chart = slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *frame, bars).chart
    chart.chart_title.text_frame.text = "Sales"
    dots = XyChartData()  # type: ignore[no-untyped-call]
    dots.add_series("Bees").add_data_point(1.5, 20)  # type: ignore[no-untyped-call]
    slide.shapes.add_chart(XL_CHART_TYPE.XY_SCATTER, *frame, dots)

    data = Part(PackURI("/ppt/diagrams/data1.xml"), "application/xml", presentation.part.package)
    data.blob = diagram_data(TREE).encode()
    identifier = slide.part.relate_to(data, f"{_RELATIONS}/diagramData")
    slide.shapes.element.append(
        parse_xml(
            f"<p:graphicFrame xmlns:p='{_SLIDES}' xmlns:a='{_DRAWING}'><p:nvGraphicFramePr>"
            "<p:cNvPr id='77' name='d'/></p:nvGraphicFramePr><p:xfrm><a:off x='9' y='9999999'/>"
            f"<a:ext cx='1' cy='1'/></p:xfrm><a:graphic><a:graphicData uri='{_DIAGRAM}'>"
            f"<dgm:relIds xmlns:dgm='{_DIAGRAM}' xmlns:r='{_RELATIONS}' r:dm='{identifier}'/>"
            "</a:graphicData></a:graphic></p:graphicFrame>"
        )
    )
    equation = (
        "<a14:m xmlns:a14='http://schemas.microsoft.com/office/drawing/2010/main'><m:oMath "
        "xmlns:m='http://schemas.openxmlformats.org/officeDocument/2006/math'><m:r><m:t>E=m</m:t>"
        "</m:r></m:oMath></a14:m>"
    )
    slide.shapes.element.append(
        parse_xml(
            "<mc:AlternateContent xmlns:mc='http://schemas.openxmlformats.org/markup-compatibility"
            f"/2006' xmlns:p='{_SLIDES}' xmlns:a='{_DRAWING}'><mc:Choice><p:sp><p:nvSpPr>"
            "<p:cNvPr id='78' name='e'/><p:nvPr/></p:nvSpPr><p:spPr><a:xfrm><a:off x='9' "
            "y='99999999'/><a:ext cx='1' cy='1'/></a:xfrm></p:spPr><p:txBody><a:p><a:r><a:t>"
            f"Mass: </a:t></a:r>{equation}</a:p></p:txBody></p:sp></mc:Choice><mc:Fallback/>"
            "</mc:AlternateContent>"
        )
    )
    buffer = BytesIO()
    presentation.save(buffer)
    assert parse_pptx(buffer.getvalue()).text == (
        "Sales\n\n|  | Revenue |\n| --- | --- |\n| East | 4711.5 |\n| West | 12 |\n\n"
        f"|  | Bees |\n| --- | --- |\n| 1.5 | 20 |\n\n{OUTLINE}\n\nMass: E=m"
    )
