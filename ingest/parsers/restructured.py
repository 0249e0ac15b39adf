"""reStructuredText: rendered by docutils, without includes, raw parts and settings of the file."""

from docutils.core import publish_string

from ingest.parsers.decoding import decode
from ingest.parsers.hypertext import read_html
from ingest.texts import CanonicalText

_SETTINGS = {
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "_disable_config": True,
    "report_level": 5,
    "halt_level": 6,
    "output_encoding": "utf-8",
    "input_encoding": "unicode",
    "embed_stylesheet": False,
    "stylesheet_path": None,
    "smart_quotes": False,
    "doctitle_xform": True,
}


def parse_rst(data: bytes) -> CanonicalText:
    """Return the text with its headings, lists and tables.

    Raises:
        UnreadableFileError: code `damaged`; no known encoding fits.
    """
    page = publish_string(decode(data), writer="html5", settings_overrides=_SETTINGS)
    return read_html(page)
