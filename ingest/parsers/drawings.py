"""Charts and diagrams of Office files (DrawingML, ISO/IEC 29500-1, 21.2 and 21.4) as text.

Charts are read from what they keep of their workbook, which is there for every kind of chart.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import groupby

from lxml import etree

from ingest.parsers.builder import TextBuilder

_CATEGORIES = ("{*}cat", "{*}xVal")
_VALUES = ("{*}val", "{*}yVal", "{*}bubbleSize")
_CATEGORY_AXES = ("{*}catAx", "{*}dateAx")
_SHOWN_POINTS = ("doc", "node", "asst")
_INDENT = "  "


def add_chart(builder: TextBuilder, chart: etree._Element) -> None:
    """Write a chart (`c:chartSpace`): its titles, then a table with a column for each series."""
    for title in (*chart.iterfind("{*}chart/{*}title"), *chart.iterfind(".//{*}valAx/{*}title")):
        builder.block(_words(title))
    axes = (title for axis in chart.iter(*_CATEGORY_AXES) for title in axis.iterfind("{*}title"))
    corner = next((_words(title) for title in axes), "")
    columns = [
        column
        for number, series in enumerate(chart.iter("{*}ser"), start=1)
        for column in _columns(series, default_name=f"Series {number}")
    ]
    # The series of a scatter plot have categories of their own.
    for categories, group in groupby(columns, key=lambda column: column[0]):
        table = [(name, values) for _, name, values in group]
        numbers = sorted({*categories, *(number for _, values in table for number in values)})
        header = [corner, *(name for name, _ in table)]
        rows = (
            [categories.get(number, ""), *(values.get(number, "") for _, values in table)]
            for number in numbers
        )
        builder.table((None, row) for row in (header, *rows))


def _columns(
    series: etree._Element, default_name: str
) -> Iterator[tuple[dict[int, str], str, dict[int, str]]]:
    """Yield categories, name and values, each by the number of the point."""
    name = _words(series.find("{*}tx")) or default_name
    categories = next((_points(found) for found in series.iterchildren(*_CATEGORIES)), {})
    for tag in _VALUES:
        if values := _points(series.find(tag)):
            yield categories, name, {number: _shown(value) for number, value in values.items()}


def _points(parent: etree._Element | None) -> dict[int, str]:
    """Return the texts of points by their number; those of several levels are joined."""
    points: defaultdict[int, list[str]] = defaultdict(list)
    for point in () if parent is None else parent.iter("{*}pt"):
        number = point.get("idx", "")
        if number.isdigit():
            points[int(number)].insert(0, point.findtext("{*}v") or "")
    return {number: " ".join(texts).strip() for number, texts in points.items()}


def _shown(value: str) -> str:
    """Return a number with the 15 digits that a sheet shows."""
    try:
        return format(float(value), ".15g")
    except ValueError:
        return value


def _words(parent: etree._Element | None) -> str:
    """Return the text of a title or name, be it written there or taken from a cell."""
    texts = () if parent is None else parent.iter("{*}t", "{*}v")
    return " ".join(" ".join(text.text or "" for text in texts).split())


def add_diagram(builder: TextBuilder, diagram: etree._Element) -> None:
    """Write the data of a diagram (SmartArt, `dgm:dataModel`) as lines, indented by level."""
    texts = {
        point.get("modelId", ""): _words(point.find("{*}t"))
        for point in diagram.iter("{*}pt")
        if point.get("type", "node") in _SHOWN_POINTS
    }
    parts: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for connection in diagram.iter("{*}cxn"):
        if connection.get("type", "parOf") == "parOf":
            order = connection.get("srcOrd", "")
            number = int(order) if order.isdigit() else 0
            parts[connection.get("srcId", "")].append((number, connection.get("destId", "")))
    builder.block("\n".join(_outline(texts, parts)))


def _outline(texts: dict[str, str], parts: Mapping[str, list[tuple[int, str]]]) -> Iterator[str]:
    """Yield each point once, below the one it is part of."""
    below = {part for others in parts.values() for _, part in others}
    left = dict(texts)
    stack = [(point, 0) for point in reversed(texts) if point not in below]
    while stack or left:
        point, level = stack.pop() if stack else (next(iter(left)), 0)
        if point not in left:
            continue
        text = left.pop(point)
        if text:
            yield f"{_INDENT * level}{text}"
        deeper = level + 1 if text else level
        stack += [(part, deeper) for _, part in sorted(parts.get(point, ()), reverse=True)]
