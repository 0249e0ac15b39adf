"""Word (DOCX): turned into HTML by mammoth, which knows styles, lists, tables and footnotes."""

from dataclasses import replace
from typing import Any

import mammoth

from ingest.parsers.archive import open_archive
from ingest.parsers.hypertext import read_html
from ingest.parsers.word_xml import readied
from ingest.texts import CanonicalText

_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
br[type='page'] => br
br[type='column'] => br
"""


def parse_docx(data: bytes) -> CanonicalText:
    """Return the text of the body with headings, lists, tables, text boxes, equations and notes.

    Running headers and footers, deleted text, hidden text and pictures are left out.

    Raises:
        UnreadableFileError: code `damaged`, `encrypted` or `too_large`.
    """
    with open_archive(data) as archive:
        file, num_hidden = readied(archive)
    page = mammoth.convert_to_html(
        file,
        style_map=_STYLES,
        convert_image=lambda _image: [],
        transform_document=mammoth.transforms.element_of_type(
            mammoth.documents.Table, _with_header
        ),
    )
    text = read_html(f"<body>{page.value}</body>".encode())
    return replace(text, num_hidden_characters=num_hidden)


def _with_header(table: Any) -> Any:
    """Let the first row be the header, which few authors mark as such."""
    first, *others = table.children or [None]
    if not others or any(getattr(row, "is_header", False) for row in table.children):
        return table
    return table.copy(children=[first.copy(is_header=True), *others])
