"""Files within a PDF (ISO 32000-1, 7.11.4): of the whole file, of a portfolio, and on its pages."""

from collections.abc import Iterable, Iterator

from pypdf import PdfReader
from pypdf.errors import DependencyError, LimitReachedError, PyPdfError
from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject, PdfObject, StreamObject

from ingest.parsers.archive import MAX_UNPACKED_BYTES
from ingest.parsers.attachments import Attachment
from ingest.parsers.cleaning import clean
from ingest.parsers.damage import DAMAGE

# What pypdf raises for broken files.
PDF_ERRORS = (PyPdfError, DependencyError, *DAMAGE)
# How a page is to be printed, which Acrobat attaches by itself.
_PRINT_SETTINGS = ".joboptions"
_NAMES = ("/UF", "/F", "/Unix", "/Mac", "/DOS")
_TOO_LARGE = "It unpacks to too much; save it and upload it as a file of its own."
_NOT_UNPACKED = "It could not be unpacked; save it and upload it as a file of its own."


def read_attachments(reader: PdfReader, pages: Iterable[int]) -> list[Attachment]:
    """Return the files within a PDF, each once, and why one could not be unpacked.

    Args:
        reader: the PDF.
        pages: those on which files are pinned, from 0.
    """
    found: list[Attachment] = []
    seen: set[tuple[int, int]] = set()
    bytes_left = MAX_UNPACKED_BYTES
    for specification in _specifications(reader, pages):
        stream = _stream(specification)
        name = _name(specification)
        place = stream if isinstance(stream, IndirectObject) else None
        if name.lower().endswith(_PRINT_SETTINGS) or (place and _key(place) in seen):
            continue
        if place:
            seen.add(_key(place))
        one = _unpacked(name, stream, bytes_left)
        bytes_left -= len(one.data) if isinstance(one.data, bytes) else 0
        found.append(one)
    return found


def _key(place: IndirectObject) -> tuple[int, int]:
    return place.idnum, place.generation


def _specifications(reader: PdfReader, pages: Iterable[int]) -> Iterator[DictionaryObject]:
    names = _resolved(reader.root_object.get("/Names"))
    if isinstance(names, DictionaryObject):
        yield from _leaves(names.get("/EmbeddedFiles"))
    for index in pages:
        for annotation in _items(reader.pages[index].get("/Annots")):
            one = _resolved(annotation)
            if isinstance(one, DictionaryObject) and one.get("/Subtype") == "/FileAttachment":
                specification = _resolved(one.get("/FS"))
                if isinstance(specification, DictionaryObject):
                    yield specification


def _leaves(tree: PdfObject | None) -> Iterator[DictionaryObject]:
    """Yield the values of a name tree, in order."""
    waiting, seen = [tree], set()
    while waiting:
        place = waiting.pop()
        if isinstance(place, IndirectObject):
            if _key(place) in seen:
                continue
            seen.add(_key(place))
        node = _resolved(place)
        if isinstance(node, DictionaryObject):
            waiting += reversed(_items(node.get("/Kids")))
            for value in map(_resolved, _items(node.get("/Names"))):
                if isinstance(value, DictionaryObject):
                    yield value


def _items(array: PdfObject | None) -> list[PdfObject]:
    items = _resolved(array)
    return list(items) if isinstance(items, ArrayObject) else []


def _resolved(value: PdfObject | None) -> PdfObject | None:
    return None if value is None else value.get_object()


def _stream(specification: DictionaryObject) -> PdfObject | None:
    """Return the content of a file, as a reference where it is one."""
    files = _resolved(specification.get("/EF"))
    if not isinstance(files, DictionaryObject):
        return None
    return next((files.raw_get(name) for name in _NAMES if name in files), None)


def _name(specification: DictionaryObject) -> str:
    for key in _NAMES:
        name = _resolved(specification.get(key))
        if isinstance(name, str) and (cleaned := clean(name)):
            return cleaned
    return ""


def _unpacked(name: str, place: PdfObject | None, max_bytes: int) -> Attachment:
    reason = _NOT_UNPACKED
    try:
        stream = _resolved(place)
        if isinstance(stream, StreamObject):
            media_type = str(stream.get("/Subtype", "")).removeprefix("/")
            data = stream.get_data()
            if len(data) <= max_bytes:
                return Attachment(name, media_type, data)
            reason = _TOO_LARGE
    except LimitReachedError:
        reason = _TOO_LARGE
    except PDF_ERRORS:
        pass
    return Attachment(name, "", reason=reason)
