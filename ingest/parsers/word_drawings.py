"""Charts and diagrams of Word files, each in parts of its own, as paragraphs of the text."""

from collections.abc import Callable
from zipfile import ZipFile

from lxml import etree

from ingest.parsers.builder import BLOCK_SEPARATOR, TextBuilder
from ingest.parsers.drawings import add_chart, add_diagram
from ingest.parsers.office_parts import relations
from ingest.parsers.opendocument import safe_xml_parser
from ingest.parsers.word_styles import value_of

_Add = Callable[[TextBuilder, etree._Element], None]
# What refers to the part: the attribute that does, and what writes the part.
_DRAWINGS: dict[str, tuple[str, _Add]] = {
    "{*}chart": ("id", add_chart),
    "{*}relIds": ("dm", add_diagram),
}


def write_drawings(root: etree._Element, archive: ZipFile, part: str) -> None:
    """Put the text of each chart and diagram behind the paragraph it is anchored in, once."""
    paths = {one.identifier: one.path for one in relations(archive, part)}
    # From the last to the first, so that the first comes to stand in front of the others.
    for drawing in reversed(list(root.iter(*_DRAWINGS))):
        attribute, add = _DRAWINGS[f"{{*}}{etree.QName(drawing).localname}"]
        paragraph = next(drawing.iterancestors("{*}p"), None)
        path = paths.pop(value_of(drawing, attribute), None)
        if paragraph is not None and path is not None:
            builder = TextBuilder()
            add(builder, etree.fromstring(archive.read(path), safe_xml_parser()))
            for block in reversed(builder.finish().text.split(BLOCK_SEPARATOR)):
                paragraph.addnext(_paragraph(block, str(etree.QName(root).namespace)))


def _paragraph(text: str, namespace: str) -> etree._Element:
    paragraph = etree.Element(f"{{{namespace}}}p")
    run = etree.SubElement(paragraph, f"{{{namespace}}}r")
    for number, line in enumerate(text.split("\n")):
        if number:
            etree.SubElement(run, f"{{{namespace}}}br")
        etree.SubElement(run, f"{{{namespace}}}t").text = line
    return paragraph
