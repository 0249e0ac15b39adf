"""Faults of workbooks (XLSX) that cost no value, put right before they are read."""

from zipfile import ZipFile

from lxml import etree

from ingest.parsers.opendocument import safe_xml_parser
from ingest.parsers.workbook_parts import STYLES, replaced

_NO_STYLES = b'<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"/>'


def with_sound_styles(archive: ZipFile, data: bytes) -> bytes:
    """Return the file with as much of its styles as there is, when their XML is broken."""
    if STYLES not in archive.namelist():
        return data
    styles = archive.read(STYLES)
    try:
        etree.fromstring(styles, safe_xml_parser())
    except etree.XMLSyntaxError:
        return replaced(archive, {STYLES: _mended(styles)})
    return data


def _mended(styles: bytes) -> bytes:
    try:
        root = etree.fromstring(styles, safe_xml_parser(recover=True))
    except etree.XMLSyntaxError:
        return _NO_STYLES
    # Of what is no XML at all, nothing is left.
    return _NO_STYLES if root is None else etree.tostring(root)
