"""EPUB: the chapters of the spine, one after the other (EPUB 3.3, W3C, and EPUB 2)."""

import posixpath
from collections.abc import Iterator
from urllib.parse import unquote
from zipfile import BadZipFile, ZipFile

from lxml import etree

from ingest.errors import UnreadableFileError
from ingest.parsers.archive import open_archive
from ingest.parsers.builder import TextBuilder
from ingest.parsers.hypertext import read_html
from ingest.parsers.opendocument import safe_xml_parser
from ingest.texts import CanonicalText

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
# Fonts may be scrambled in a book that can be read; chapters may not.
_FONT_SUFFIXES = (".otf", ".ttf", ".woff", ".woff2")


def parse_epub(data: bytes) -> CanonicalText:
    """Return the chapters in reading order; the title of the book stands above them.

    Raises:
        UnreadableFileError: code `damaged`, `encrypted` or `too_large`.
    """
    with open_archive(data) as archive:
        try:
            _check_protection(archive)
            return _read(archive)
        except (KeyError, BadZipFile, etree.XMLSyntaxError) as error:
            raise UnreadableFileError(
                "damaged", "The book is damaged; export it anew and upload it again."
            ) from error


def _read(archive: ZipFile) -> CanonicalText:
    package_path = _find(_parse(archive, _CONTAINER), "rootfile").get("full-path", "")
    package = _parse(archive, package_path)
    builder = TextBuilder()
    title = next(package.iter("{http://purl.org/dc/elements/1.1/}title"), None)
    if title is not None:
        builder.heading(str(title.xpath("string()")), level=1)
    for path in _spine(package, posixpath.dirname(package_path)):
        builder.include(read_html(archive.read(path)), level=1)
    return builder.finish()


def _check_protection(archive: ZipFile) -> None:
    if _ENCRYPTION not in archive.namelist():
        return
    for element in _parse(archive, _ENCRYPTION).iter("{*}CipherReference"):
        if not element.get("URI", "").lower().endswith(_FONT_SUFFIXES):
            raise UnreadableFileError(
                "encrypted", "The book is copy-protected; upload an edition without protection."
            )


def _spine(package: etree._Element, folder: str) -> Iterator[str]:
    hrefs = {item.get("id"): item.get("href", "") for item in package.iter("{*}item")}
    for reference in package.iter("{*}itemref"):
        href = hrefs.get(reference.get("idref"))
        if href:
            yield posixpath.normpath(posixpath.join(folder, unquote(href)))


def _parse(archive: ZipFile, path: str) -> etree._Element:
    return etree.fromstring(archive.read(path), safe_xml_parser())


def _find(root: etree._Element, name: str) -> etree._Element:
    found = next(root.iter(f"{{*}}{name}"), None)
    if found is None:
        raise KeyError(name)
    return found
