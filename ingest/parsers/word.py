"""Word (DOCX): turned into HTML by mammoth, which knows styles, lists, tables and footnotes."""

from io import BytesIO
from typing import Any

import mammoth

from ingest.parsers.archive import open_archive
from ingest.parsers.hypertext import read_html
from ingest.texts import CanonicalText

_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Subtitle'] => p:fresh
br[type='page'] => br
br[type='column'] => br
"""


def parse_docx(data: bytes) -> CanonicalText:
    """Return the text of the body with headings, lists, tables and notes.

    Running headers and footers, deleted text and pictures are left out.

    Raises:
        UnreadableFileError: code `damaged`, `encrypted` or `too_large`.
    """
    open_archive(data).close()
    page = mammoth.convert_to_html(
        BytesIO(data),
        style_map=_STYLES,
        convert_image=lambda _image: [],
        transform_document=mammoth.transforms.element_of_type(
            mammoth.documents.Table, _with_header
        ),
    )
    return read_html(f"<body>{page.value}</body>".encode())


def _with_header(table: Any) -> Any:
    """Let the first row be the header, which few authors mark as such."""
    first, *others = table.children or [None]
    if not others or any(getattr(row, "is_header", False) for row in table.children):
        return table
    return table.copy(children=[first.copy(is_header=True), *others])
