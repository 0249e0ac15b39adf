"""EPUB: the chapters of the spine, one after the other (EPUB 3.3, W3C, and EPUB 2)."""

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import unquote
from zipfile import BadZipFile, ZipFile

from lxml import etree

from ingest.errors import UnreadableFileError
from ingest.parsers.archive import ZIP_ERRORS, open_archive
from ingest.parsers.builder import TextBuilder
from ingest.parsers.hypertext import read_html
from ingest.parsers.opendocument import safe_xml_parser
from ingest.texts import CanonicalText

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
# Fonts may be scrambled in a book that can be read; chapters may not.
_FONT_SUFFIXES = (".otf", ".ttf", ".woff", ".woff2")
# Parts that the reason lists by name.
_MAX_NAMED = 5


def parse_epub(data: bytes) -> CanonicalText:
    """Return the chapters in reading order; the title of the book stands above them.

    Chapters that are missing or damaged are named in `unreadable_reason`.

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
    lost: list[str] = []
    num_read = 0
    for path in _spine(package, posixpath.dirname(package_path)):
        try:
            builder.include(read_html(archive.read(path)), level=1)
            num_read += 1
        except (*ZIP_ERRORS, UnreadableFileError):
            lost.append(posixpath.basename(path))
    if lost and not num_read:
        raise KeyError(lost[0])
    return replace(builder.finish(), unreadable_reason=_reason(lost))


def _reason(lost: Sequence[str]) -> str | None:
    if not lost:
        return None
    names = ", ".join(lost[:_MAX_NAMED]) + (" and more" if len(lost) > _MAX_NAMED else "")
    parts = "A part of the book is" if len(lost) == 1 else f"{len(lost)} parts of the book are"
    return f"{parts} missing or damaged ({names}); export it anew and upload it again."


def _check_protection(archive: ZipFile) -> None:
    if _ENCRYPTION not in archive.namelist():
        return
    for element in _parse(archive, _ENCRYPTION).iter("{*}CipherReference"):
        if not element.get("URI", "").lower().endswith(_FONT_SUFFIXES):
            raise UnreadableFileError(
                "encrypted", "The book is copy-protected; upload an edition without protection."
            )


def _spine(package: etree._Element, folder: str) -> Iterator[str]:
    items = {item.get("id"): item for item in package.iter("{*}item")}
    for reference in package.iter("{*}itemref"):
        item = items.get(reference.get("idref"))
        if item is None:
            yield reference.get("idref", "")
        # A table of contents is shown beside the text.
        elif "nav" not in item.get("properties", "").split():
            yield posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))


def _parse(archive: ZipFile, path: str) -> etree._Element:
    return etree.fromstring(archive.read(path), safe_xml_parser())


def _find(root: etree._Element, name: str) -> etree._Element:
    found = next(root.iter(f"{{*}}{name}"), None)
    if found is None:
        raise KeyError(name)
    return found
