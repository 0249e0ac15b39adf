"""Which elements of a page no reader sees, as far as the page itself tells without its styles."""

import re

from lxml.html import HtmlElement

from ingest.parsers.html_writer import tag_set

_INVISIBLE = tag_set(
    "annotation audio button canvas datalist dialog embed head iframe input map noscript object "
    "option script select style svg template textarea title video "
    "rp rt"  # readings, which would stand between the characters of a word
)
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_MAIN_PARTS = ("main", "article", "h1")


def is_invisible(element: HtmlElement) -> bool:
    """Tell whether an element and all within it is left out."""
    tag = element.tag
    return (
        not isinstance(tag, str)
        or tag in _INVISIBLE
        or element.get("hidden", "until-found") != "until-found"
        or _HIDDEN_STYLE.search(element.get("style", "")) is not None
        or (element.get("aria-hidden") == "true" and not _is_behind_dialog(element))
    )


def _is_behind_dialog(element: HtmlElement) -> bool:
    """Tell whether this is the page itself, saved while a dialog stood in front of it."""
    return next(element.iter(*_MAIN_PARTS), None) is not None
