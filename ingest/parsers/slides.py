"""PowerPoint (PPTX): each slide is a page, its title a heading."""

import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any
from zipfile import ZipFile

from lxml import etree
from pptx import Presentation
from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.oxml.xmlchemy import OxmlElement
from pptx.shapes.group import GroupShape

from ingest.parsers.archive import open_archive
from ingest.parsers.builder import TextBuilder
from ingest.parsers.drawings import add_chart, add_diagram
from ingest.parsers.equations import linear
from ingest.parsers.opendocument import safe_xml_parser
from ingest.texts import CanonicalText

_INDENT = "  "
# What the master repeats on every slide.
_RUNNING = frozenset(
    {
        PP_PLACEHOLDER.DATE,
        PP_PLACEHOLDER.FOOTER,
        PP_PLACEHOLDER.HEADER,
        PP_PLACEHOLDER.SLIDE_NUMBER,
    }
)
_RELATIONS = "_rels/.rels"
_XML_SUFFIXES = (".xml", ".rels")
# How names begin that `python-pptx` does not know.
_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/")
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}relIds"
_DATA = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}dm"
_EQUATION = "{http://schemas.microsoft.com/office/drawing/2010/main}m"


def parse_pptx(data: bytes) -> CanonicalText:
    """Return titles, texts, tables, charts, diagrams and notes of all slides, in reading order.

    Dates, footers and numbers of slides are left out.

    Raises:
        UnreadableFileError: code `damaged`, `encrypted` or `too_large`.
    """
    with open_archive(data) as archive:
        file = _transitional(archive) if _is_strict(archive) else BytesIO(data)
    builder = TextBuilder()
    for number, slide in enumerate(Presentation(file).slides, start=1):
        builder.begin_page()
        builder.begin_place(f"slide {number}")
        _write_equations(slide.shapes.element)
        title = slide.shapes.title
        if title is not None:
            builder.heading(title.text_frame.text, level=1)
        for shape in _in_reading_order(slide.shapes):
            is_title = title is not None and shape.shape_id == title.shape_id
            if not is_title and not _is_running(shape):
                _add_shape(builder, shape)
        if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame) is not None:
            builder.block(_text(notes))
    return builder.finish()


def _is_strict(archive: ZipFile) -> bool:
    return _STRICT.search(archive.read(_RELATIONS)) is not None


def _transitional(archive: ZipFile) -> BytesIO:
    """Return a strict file (ISO/IEC 29500) with the names of the transitional kind."""
    file = BytesIO()
    with ZipFile(file, "w") as copy:
        for name in archive.namelist():
            data = archive.read(name)
            if name.endswith(_XML_SUFFIXES):
                data = _STRICT.sub(rb"http://schemas.openxmlformats.org/\1/2006/", data)
            copy.writestr(name, data)
    file.seek(0)
    return file


def _write_equations(shapes: Any) -> None:
    """Put shapes with equations in the place of their pictures, and text in that of equations."""
    for alternatives in list(shapes.iter("{*}AlternateContent")):
        choice = alternatives.find("{*}Choice")
        if choice is not None and next(choice.iter(_EQUATION), None) is not None:
            for child in list(choice):
                alternatives.addprevious(child)
            alternatives.getparent().remove(alternatives)
    for equations in list(shapes.iter(_EQUATION)):
        run, text = OxmlElement("a:r"), OxmlElement("a:t")
        text.text = "; ".join(map(linear, equations.iter("{*}oMath")))
        run.append(text)
        equations.getparent().replace(equations, run)


def _in_reading_order(shapes: Iterable[Any]) -> Iterator[Any]:
    """Yield the shapes from top to bottom, those of a group one after the other."""
    for shape in sorted(shapes, key=lambda one: (one.top or 0, one.left or 0)):
        if isinstance(shape, GroupShape):
            yield from _in_reading_order(shape.shapes)
        else:
            yield shape


def _is_running(shape: Any) -> bool:
    return shape.is_placeholder and shape.placeholder_format.type in _RUNNING


def _add_shape(builder: TextBuilder, shape: Any) -> None:
    if shape.has_text_frame:
        builder.block(_text(shape.text_frame))
    elif shape.has_table:
        builder.table(
            (None, [cell.text_frame.text for cell in row.cells]) for row in shape.table.rows
        )
    elif shape.has_chart:
        add_chart(builder, shape.chart.element)
    else:
        for diagram in shape.element.iter(_DIAGRAM):
            data = shape.part.related_part(diagram.get(_DATA)).blob
            add_diagram(builder, etree.fromstring(data, safe_xml_parser()))


def _text(frame: Any) -> str:
    """Return the paragraphs, one on each line, indented by their level."""
    lines = ((p.level, " ".join(p.text.split())) for p in frame.paragraphs)
    return "\n".join(f"{_INDENT * level}{line}" for level, line in lines if line)
