"""What is pinned to a page of a PDF: notes, files, and what viewers draw themselves."""

import ctypes
from dataclasses import dataclass, field

import pypdfium2.raw as pdfium
from pypdfium2 import PdfPage

from ingest.parsers.cleaning import clean

_DRAWN = frozenset({pdfium.FPDF_ANNOT_WIDGET, pdfium.FPDF_ANNOT_FREETEXT})
# Of whatever shape a mark is, people write into its note what they think of the place.
_NOTES = frozenset(
    {
        pdfium.FPDF_ANNOT_TEXT,
        pdfium.FPDF_ANNOT_HIGHLIGHT,
        pdfium.FPDF_ANNOT_UNDERLINE,
        pdfium.FPDF_ANNOT_SQUIGGLY,
        pdfium.FPDF_ANNOT_STRIKEOUT,
        pdfium.FPDF_ANNOT_CARET,
        pdfium.FPDF_ANNOT_INK,
        pdfium.FPDF_ANNOT_LINE,
        pdfium.FPDF_ANNOT_SQUARE,
        pdfium.FPDF_ANNOT_CIRCLE,
        pdfium.FPDF_ANNOT_POLYGON,
        pdfium.FPDF_ANNOT_POLYLINE,
    }
)
_UNSEEN = pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW
_CONTENTS = b"Contents"


@dataclass(slots=True)
class Annotations:
    """The annotations of a page.

    Attributes:
        notes: the texts of its comments, each on one line.
        has_files: files are pinned to it.
        has_drawn: it has form fields or typed notes, which are no part of its text.
    """

    notes: list[str] = field(default_factory=list)
    has_files: bool = False
    has_drawn: bool = False


def read_annotations(page: PdfPage) -> Annotations:
    """Return what is pinned to a page."""
    found = Annotations()
    for number in range(pdfium.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium.FPDFPage_GetAnnot(page, number)
        kind = pdfium.FPDFAnnot_GetSubtype(annotation)
        if kind in _DRAWN:
            found.has_drawn = True
        elif kind == pdfium.FPDF_ANNOT_FILEATTACHMENT:
            found.has_files = True
        elif kind in _NOTES and (note := _note(annotation)):
            found.notes.append(note)
        pdfium.FPDFPage_CloseAnnot(annotation)
    return found


def _note(annotation: pdfium.FPDF_ANNOTATION) -> str:
    if pdfium.FPDFAnnot_GetFlags(annotation) & _UNSEEN:
        return ""
    num_bytes = pdfium.FPDFAnnot_GetStringValue(annotation, _CONTENTS, None, 0)
    buffer = ctypes.create_string_buffer(num_bytes)
    characters = ctypes.cast(buffer, ctypes.POINTER(pdfium.FPDF_WCHAR))
    pdfium.FPDFAnnot_GetStringValue(annotation, _CONTENTS, characters, num_bytes)
    return " ".join(clean(buffer.raw.decode("utf-16-le", "replace")).split())
