"""HTML: the visible main text as light Markdown, without the frame of the page around it."""

import re

from lxml import etree, html
from lxml.html import HtmlElement

from ingest.errors import UnreadableFileError
from ingest.parsers.builder import BLOCK_SEPARATOR
from ingest.parsers.decoding import decode
from ingest.parsers.html_writer import HtmlWriter, tag_set
from ingest.texts import CanonicalText, Heading

_CHARSET_WINDOW = 4096
_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)
_XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*>")
_INVISIBLE = tag_set(
    "annotation audio button canvas datalist dialog embed head iframe input map noscript object "
    "option script select style svg template textarea title video"
)
_FRAME = frozenset({"nav", "header", "footer", "aside", "form"})
# An article has a header of its own, which holds its title.
_FRAME_OF_MAIN = _FRAME - {"header"}
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


def parse_html(data: bytes) -> CanonicalText:
    """Return the main text with its headings; the page title stands in for a missing h1.

    Blocks are separated by blank lines; list items, tables and line breaks are kept as Markdown.

    Raises:
        UnreadableFileError: code `no_text`, or `damaged` when no known encoding fits.
    """
    text = read_html(data)
    if not text.text:
        raise UnreadableFileError(
            "no_text",
            "The page holds no text of its own; it may be filled by a script. Save the page as it "
            "is shown in a browser, or as PDF, and upload that.",
        )
    return text


def read_html(data: bytes) -> CanonicalText:
    """Return the text of a page like `parse_html`; it may be empty."""
    return _render(_document(data))


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


def _render(document: HtmlElement | None) -> CanonicalText:
    if document is None:
        return CanonicalText("")
    main = _only(document, "main") or _only(document, "article")
    attempts = [(main[0], _FRAME_OF_MAIN)] if main else []
    # Some generators put the whole page inside one form: better with its frame than without text.
    attempts += [(document, _FRAME), (document, frozenset())]
    for root, frame in attempts:
        text = _write(root, frame)
        if text.text:
            return _with_title(text, document)
    return CanonicalText("")


def _only(document: HtmlElement, tag: str) -> list[HtmlElement]:
    found = list(document.iter(tag))
    return found if len(found) == 1 else []


def _write(root: HtmlElement, frame: frozenset[str]) -> CanonicalText:
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
        elif _is_skipped(child, frame):
            writer.skip(child)
        else:
            writer.open(child)
            stack.append((child, iter(child)))
    return writer.finish()


def _is_skipped(element: HtmlElement, frame: frozenset[str]) -> bool:
    tag = element.tag
    return (
        not isinstance(tag, str)
        or tag in _INVISIBLE
        or tag in frame
        or "hidden" in element.attrib
        or element.get("aria-hidden") == "true"
        or _HIDDEN_STYLE.search(element.get("style", "")) is not None
    )


def _with_title(text: CanonicalText, document: HtmlElement) -> CanonicalText:
    title = " ".join((document.findtext(".//title") or "").split())
    if not title or any(heading.level == 1 for heading in text.headings):
        return text
    shift = len(title) + len(BLOCK_SEPARATOR)
    moved = [Heading(h.start + shift, h.end + shift, h.level, h.title) for h in text.headings]
    return CanonicalText(
        title + BLOCK_SEPARATOR + text.text, headings=(Heading(0, len(title), 1, title), *moved)
    )
