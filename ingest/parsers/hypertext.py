"""HTML: the visible text as light Markdown; of web pages, the main text."""

import re
from collections.abc import Collection

from lxml import etree, html
from lxml.html import HtmlElement

from ingest.errors import UnreadableFileError
from ingest.parsers.boilerplate import boilerplate
from ingest.parsers.builder import BLOCK_SEPARATOR
from ingest.parsers.decoding import decode
from ingest.parsers.html_visibility import is_invisible
from ingest.parsers.html_writer import HtmlWriter
from ingest.texts import CanonicalText, Heading

_CHARSET_WINDOW = 4096
_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)
_XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*>")
# A main part with less of the text of the page is a teaser.
_MIN_MAIN_SHARE = 1 / 3


def parse_html(data: bytes) -> CanonicalText:
    """Return the main text of a web page; its title stands in for a missing h1.

    Blocks are separated by blank lines; list items, tables and line breaks are kept as Markdown.

    Raises:
        UnreadableFileError: code `no_text`, or `damaged` when no known encoding fits.
    """
    document = _document(data)
    text = CanonicalText("") if document is None else _main_text(document)
    if document is None or not text.text:
        raise UnreadableFileError(
            "no_text",
            "The page holds no text of its own; it may be filled by a script. Save the page as it "
            "is shown in a browser, or as PDF, and upload that.",
        )
    return _with_title(text, document)


def read_html(data: bytes) -> CanonicalText:
    """Return all visible text of a mail, a chapter or the like; it may be empty."""
    document = _document(data)
    if document is None:
        return CanonicalText("")
    text = _write(document)
    return _with_title(text, document) if text.text else text


def _document(data: bytes) -> HtmlElement | None:
    declared = _CHARSET.search(data, 0, _CHARSET_WINDOW)
    source = decode(data, declared.group(1).decode("ascii") if declared else None)
    # lxml takes bytes only when the file declares an encoding, and then believes it.
    parser = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    content = _XML_DECLARATION.sub("", source).encode("utf-8", "replace")
    try:
        return html.document_fromstring(content, parser=parser)
    except etree.ParserError:
        # What lxml raises for a document without any element.
        return None


def _main_text(document: HtmlElement) -> CanonicalText:
    left_out = boilerplate(document)
    text = _write(document, left_out)
    for main in _only(document, "main") or _only(document, "article"):
        inner = _write(main, left_out)
        if len(inner.text) >= _MIN_MAIN_SHARE * len(text.text):
            text = inner
    # Some pages are a table of contents, or stand within one form.
    return _write(document) if _has_only_headings(text) else text


def _only(document: HtmlElement, tag: str) -> list[HtmlElement]:
    found = [one for one in document.iter() if tag in (one.tag, one.get("role"))]
    return found if len(found) == 1 else []


def _has_only_headings(text: CanonicalText) -> bool:
    return text.text == BLOCK_SEPARATOR.join(heading.title for heading in text.headings)


def _write(root: HtmlElement, left_out: Collection[HtmlElement] = ()) -> CanonicalText:
    """Walk the tree with a stack of its own: pages may be nested deeper than Python recurses."""
    writer = HtmlWriter()
    writer.open(root)
    stack = [(root, iter(root))]
    while stack:
        element, children = stack[-1]
        child = next(children, None)
        if child is None:
            stack.pop()
            writer.close(element)
            # What follows the root is outside of the main text.
            writer.write(element.tail if stack else None)
        elif child in left_out or is_invisible(child):
            writer.skip(child)
        else:
            writer.open(child)
            stack.append((child, iter(child)))
    return writer.finish()


def _with_title(text: CanonicalText, document: HtmlElement) -> CanonicalText:
    title = " ".join((document.findtext(".//title") or "").split())
    if not title or any(heading.level == 1 for heading in text.headings):
        return text
    shift = len(title) + len(BLOCK_SEPARATOR)
    moved = [Heading(h.start + shift, h.end + shift, h.level, h.title) for h in text.headings]
    return CanonicalText(
        title + BLOCK_SEPARATOR + text.text, headings=(Heading(0, len(title), 1, title), *moved)
    )
