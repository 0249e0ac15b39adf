"""Word (DOCX): turned into HTML by mammoth, which knows styles, lists, tables and footnotes."""

import re
from dataclasses import replace
from typing import Any

import mammoth
from mammoth.documents import Table, TableRow

from ingest.errors import UnreadableFileError
from ingest.parsers.archive import open_archive
from ingest.parsers.html_writer import OWN_NUMBERS
from ingest.parsers.hypertext import read_html
from ingest.parsers.office_parts import relations
from ingest.parsers.word_numbers import NUM_LEVELS
from ingest.parsers.word_xml import readied
from ingest.texts import CanonicalText

_HEADINGS = "\n".join(
    f"p.Heading{level} => h{level}:fresh\np[style-name='heading {level}'] => h{level}:fresh"
    for level in range(1, 7)
)
# Items whose numbers are in their text; a list within a list belongs to the item above it.
_LISTS = "\n".join(
    f"p:{kind}-list({level}) => {f'ul|ol.{OWN_NUMBERS} > li > ' * (level - 1)}"
    f"{tag}.{OWN_NUMBERS} > li:fresh"
    for level in range(1, NUM_LEVELS + 1)
    for kind, tag in (("ordered", "ol"), ("unordered", "ul"))
)
_STYLES = f"""
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
br[type='page'] => br
br[type='column'] => br
comment-reference => sup
{_HEADINGS}
{_LISTS}
"""
# From a note or comment to where it is referred to.
_BACK_LINK = re.compile(r' <a href="#\w+-ref-[^"]*">↑</a>')
# Files of other formats within, which Word makes a part of the text (`altChunk`).
_DOCUMENT, _INCLUDED = "word/document.xml", "aFChunk"
_NOT_INCLUDED = (
    "It includes another file, which only Word shows; open it in Word, save it there and upload "
    "that."
)
_MIN_ROWS = 2  # of a table with a header


def parse_docx(data: bytes) -> CanonicalText:
    """Return the text of the body with headings, lists, tables, text boxes, charts, equations.

    Paragraphs have the numbers that Word shows before them; notes and comments stand at the end.
    Running headers and footers, deleted text, hidden text and pictures are left out.

    Raises:
        UnreadableFileError: code `damaged`, `encrypted`, `too_large` or `no_text`.
    """
    with open_archive(data) as archive:
        file, num_hidden = readied(archive)
        includes = any(one.kind == _INCLUDED for one in relations(archive, _DOCUMENT))
    page = mammoth.convert_to_html(
        file,
        style_map=_STYLES,
        convert_image=lambda _image: [],
        transform_document=mammoth.transforms.element_of_type(Table, _with_header),
    )
    text = read_html(f"<body>{_BACK_LINK.sub('', page.value)}</body>".encode())
    if includes and not text.text:
        raise UnreadableFileError("no_text", _NOT_INCLUDED)
    reason = _NOT_INCLUDED if includes else None
    return replace(text, num_hidden_characters=num_hidden, unreadable_reason=reason)


def _with_header(table: Any) -> Any:
    """Let the first row be the header, which few authors mark as such, if there are others.

    Rows into which merged cells of the header reach become a part of it: HTML ends such cells with
    the header, and what stands beside them would move below.
    """
    rows = table.children
    if len(rows) < _MIN_ROWS or not all(isinstance(row, TableRow) for row in rows):
        return table
    if any(row.is_header for row in rows) and not rows[0].is_header:
        return table
    end = 1
    for at, row in enumerate(rows):
        if at >= end and not row.is_header:
            break
        end = max(end, *(at + getattr(cell, "rowspan", 1) for cell in row.children), at + 1)
    return table.copy(children=[*(row.copy(is_header=True) for row in rows[:end]), *rows[end:]])
