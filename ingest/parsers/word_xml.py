"""Readies the parts of a Word file (WordprocessingML, ISO/IEC 29500-1) for mammoth.

Left to itself it loses numbers of paragraphs, equations, simple fields, choices in forms, charts,
and most text boxes, and shows hidden text.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from io import BytesIO
from zipfile import ZipFile

from lxml import etree

from ingest.parsers.equations import linear
from ingest.parsers.opendocument import safe_xml_parser
from ingest.parsers.word_drawings import write_drawings
from ingest.parsers.word_fields import write_fields
from ingest.parsers.word_numbers import Numbering
from ingest.parsers.word_styles import inherited, value_of

_FOLDER = "word/"
_STYLES = "word/styles.xml"
_NUMBERING = "word/numbering.xml"
_TEXT_ROOTS = frozenset({"document", "footnotes", "endnotes", "comments"})
_OFF = frozenset({"0", "false", "off"})
# Around text that belongs where it stands: fields, directions, characters with a reading.
_WRAPPERS = ("{*}fldSimple", "{*}dir", "{*}bdo", "{*}rubyBase", "{*}ruby")
_NUM_HEADING_LEVELS = 6
# The reading of characters, and marks that nobody sees; between rows, `mammoth` breaks on these.
_REMOVED = ("{*}rt", "{*}bookmarkStart", "{*}bookmarkEnd")
# The codes of characters in fonts of symbols.
_SYMBOLS = re.compile("([\uf020-\uf0ff])")


def readied(archive: ZipFile) -> tuple[BytesIO, int]:
    """Return the file with all text where mammoth finds it, without pictures and hidden text.

    Returns:
        The file, and how many characters of it are hidden.

    Raises:
        BadZipFile, XMLSyntaxError: the file is damaged.
    """
    names = [name for name in archive.namelist() if name.endswith((".xml", ".rels"))]
    styles = _part(archive, _STYLES, names)
    numbering = Numbering(_part(archive, _NUMBERING, names), styles)
    hidden = inherited(styles, lambda style: _is_hidden(style.find("{*}rPr")))
    hidden_styles = {name for name, is_hidden in hidden.items() if is_hidden}
    levels = inherited(styles, lambda style: _outline_level(style.find("{*}pPr")))
    file = BytesIO()
    num_hidden = 0
    with ZipFile(file, "w") as copy:
        for name in names:
            data = archive.read(name)
            if name.startswith(_FOLDER) and name.endswith(".xml"):
                root = etree.fromstring(data, safe_xml_parser())
                if _is_text(root):
                    num_hidden += _remove_hidden(root, hidden_styles)
                    _write_equations(root)
                    write_fields(root)
                    _unwrap(root)
                    _write_symbols(root)
                    _fill_rows(root)
                    _break_lines(root)
                    write_drawings(root, archive, name)
                    _free_boxes(root)
                    numbering.write(root)
                    _mark_headings(root, levels)
                    data = etree.tostring(root, encoding="utf-8")
            copy.writestr(name, data)
    file.seek(0)
    return file, num_hidden


def _part(archive: ZipFile, name: str, names: Collection[str]) -> etree._Element:
    return etree.fromstring(archive.read(name) if name in names else b"<none/>", safe_xml_parser())


def _is_text(root: etree._Element) -> bool:
    # Word writes no document types; whoever does may define entities, which mammoth refuses.
    has_type = root.getroottree().docinfo.internalDTD is not None
    return etree.QName(root).localname in _TEXT_ROOTS and not has_type


def _outline_level(properties: etree._Element | None) -> int | None:
    """Return the level of a heading from 0, more for body text, as paragraph properties say it."""
    level = None if properties is None else properties.find("{*}outlineLvl")
    number = "" if level is None else value_of(level, "val")
    return int(number) if number.isdecimal() else None


def _mark_headings(root: etree._Element, levels: Mapping[str, int | None]) -> None:
    """Give paragraphs of an outline level, outside of tables, the styles that headings have.

    Templates have styles of their own for headings, and `mammoth` goes by names.
    """
    for properties in list(root.iter("{*}pPr")):
        style = properties.find("{*}pStyle")
        level = _outline_level(properties)
        if level is None and style is not None:
            level = levels.get(value_of(style, "val"))
        if level is None or level >= _NUM_HEADING_LEVELS:
            continue
        if next(properties.iterancestors("{*}tbl"), None) is None:
            if style is not None:
                properties.remove(style)
            word = etree.QName(root).namespace
            heading = etree.Element(f"{{{word}}}pStyle")
            heading.set(f"{{{word}}}val", f"Heading{level + 1}")
            properties.insert(0, heading)


def _is_hidden(properties: etree._Element | None) -> bool | None:
    """Return what the properties of a run say; None if nothing."""
    vanish = None if properties is None else properties.find("{*}vanish")
    return None if vanish is None else value_of(vanish, "val") not in _OFF


def _remove_hidden(root: etree._Element, hidden_styles: Collection[str]) -> int:
    """Remove the runs that are not shown; return how many characters they have."""
    num_hidden = 0
    for run in list(root.iter("{*}r")):
        properties = run.find("{*}rPr")
        is_hidden = _is_hidden(properties)
        if is_hidden is None and hidden_styles:
            styles = (run.find("{*}rPr/{*}rStyle"), _paragraph_style(run))
            is_hidden = any(
                one is not None and value_of(one, "val") in hidden_styles for one in styles
            )
        if is_hidden:
            # The run itself may hold the end of a field.
            for text in run.findall("{*}t"):
                num_hidden += len(text.text or "")
                run.remove(text)
    return num_hidden


def _paragraph_style(run: etree._Element) -> etree._Element | None:
    paragraph = next(run.iterancestors("{*}p"), None)
    return None if paragraph is None else paragraph.find("{*}pPr/{*}pStyle")


def _write_equations(root: etree._Element) -> None:
    """Put a run with its text in the place of each equation."""
    word = etree.QName(root).namespace
    run: etree._Element | None = None
    for equation in list(root.iter("{*}oMath")):
        follows_another = run is not None and equation.getprevious() is run
        run = etree.Element(f"{{{word}}}r")
        if follows_another:
            etree.SubElement(run, f"{{{word}}}br")
        etree.SubElement(run, f"{{{word}}}t").text = linear(equation)
        _replace(equation, [run])
    _splice(root, "{*}oMathPara")


def _unwrap(root: etree._Element) -> None:
    for removed in list(root.iter(*_REMOVED)):
        _replace(removed, [])
    for wrapper in _WRAPPERS:
        _splice(root, wrapper)


def _break_lines(root: etree._Element) -> None:
    """Write breaks and tabs that `mammoth` does not know as those that it knows."""
    for element in root.iter("{*}cr", "{*}ptab"):
        known = "br" if etree.QName(element).localname == "cr" else "tab"
        element.tag = f"{{{etree.QName(element).namespace}}}{known}"


def _write_symbols(root: etree._Element) -> None:
    """Write characters of fonts of symbols as elements, of which `mammoth` knows the meaning."""
    for text in list(root.iter("{*}t")):
        if not _SYMBOLS.search(text.text or ""):
            continue
        fonts = text.find("../{*}rPr/{*}rFonts")
        font = "" if fonts is None else value_of(fonts, "ascii") or value_of(fonts, "hAnsi")
        pieces: list[etree._Element] = []
        for piece in filter(None, _SYMBOLS.split(text.text or "")):
            if font and _SYMBOLS.fullmatch(piece):
                pieces.append(etree.Element(_named(text, "sym")))
                pieces[-1].set(_named(text, "font"), font)
                pieces[-1].set(_named(text, "char"), f"{ord(piece):04X}")
            else:
                pieces.append(etree.Element(_named(text, "t")))
                pieces[-1].text = piece
        _replace(text, pieces)


def _fill_rows(root: etree._Element) -> None:
    """Put an empty cell at the beginning of each row that leaves columns out there."""
    for gap in list(root.iter("{*}gridBefore")):
        properties, number = gap.getparent(), value_of(gap, "val")
        if properties is not None and number.isdecimal() and int(number):
            cell = etree.Element(_named(gap, "tc"))
            within = etree.SubElement(cell, _named(gap, "tcPr"))
            span = etree.SubElement(within, _named(gap, "gridSpan"))
            span.set(_named(gap, "val"), number)
            properties.addnext(cell)


def _splice(root: etree._Element, tag: str) -> None:
    """Put the children of each such element in its place."""
    for element in list(root.iter(tag)):
        _replace(element, element)


def _free_boxes(root: etree._Element) -> None:
    """Put the paragraphs of each text box behind the paragraph it is anchored in."""
    for alternatives in list(root.iter("{*}AlternateContent")):
        choice = alternatives.find("{*}Choice")
        if choice is not None and next(choice.iter("{*}txbxContent"), None) is not None:
            _replace(alternatives, choice)
    # From the last to the first, so that the first comes to stand in front of the others.
    for box in reversed(list(root.iter("{*}txbxContent"))):
        paragraph = next(box.iterancestors("{*}p"), None)
        if paragraph is not None:
            for child in reversed(box):
                paragraph.addnext(child)


def _named(element: etree._Element, name: str) -> str:
    """Return a name in the namespace of an element."""
    return f"{{{etree.QName(element).namespace}}}{name}"


def _replace(element: etree._Element, others: Iterable[etree._Element]) -> None:
    parent = element.getparent()
    if parent is not None:
        index = parent.index(element)
        parent[index : index + 1] = list(others)
