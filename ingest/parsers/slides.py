"""PowerPoint (PPTX): each slide is a page, its title a heading."""

from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any

from pptx import Presentation
from pptx.enum.shapes import MSO_SHAPE_TYPE

from ingest.parsers.archive import open_archive
from ingest.parsers.builder import TextBuilder
from ingest.texts import CanonicalText

_INDENT = "  "


def parse_pptx(data: bytes) -> CanonicalText:
    """Return titles, texts, tables and notes of all slides, in reading order.

    Raises:
        UnreadableFileError: code `damaged`, `encrypted` or `too_large`.
    """
    open_archive(data).close()
    builder = TextBuilder()
    for number, slide in enumerate(Presentation(BytesIO(data)).slides, start=1):
        builder.begin_page()
        builder.begin_place(f"slide {number}")
        title = slide.shapes.title
        if title is not None:
            builder.heading(title.text_frame.text, level=1)
        for shape in _in_reading_order(slide.shapes):
            if title is None or shape.shape_id != title.shape_id:
                _add_shape(builder, shape)
        if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame) is not None:
            builder.block(_text(notes))
    return builder.finish()


def _in_reading_order(shapes: Iterable[Any]) -> Iterator[Any]:
    """Yield the shapes from top to bottom, those of a group one after the other."""
    for shape in sorted(shapes, key=lambda one: (one.top or 0, one.left or 0)):
        if shape.shape_type == MSO_SHAPE_TYPE.GROUP:
            yield from _in_reading_order(shape.shapes)
        else:
            yield shape


def _add_shape(builder: TextBuilder, shape: Any) -> None:
    if shape.has_text_frame:
        builder.block(_text(shape.text_frame))
    elif shape.has_table:
        builder.table(
            (None, [cell.text_frame.text for cell in row.cells]) for row in shape.table.rows
        )


def _text(frame: Any) -> str:
    """Return the paragraphs, one on each line, indented by their level."""
    lines = ((p.level, " ".join(p.text.split())) for p in frame.paragraphs)
    return "\n".join(f"{_INDENT * level}{line}" for level, line in lines if line)
