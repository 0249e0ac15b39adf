"""Markdown: the canonical text is the source itself, so that a quote can be found in the file."""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ingest.parsers.decoding import decode
from ingest.texts import CanonicalText, Heading

# Inline markup is parsed for headings only: most of the time goes there.
_BLOCKS = MarkdownIt("commonmark").disable("inline")
_INLINE = MarkdownIt("commonmark")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(?=[\w-]+:).*?\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)


def parse_markdown(data: bytes) -> CanonicalText:
    """Return the source text with the headings of its top level.

    Raises:
        UnreadableFileError: code `damaged`; no known encoding fits.
    """
    text = decode(data)
    return CanonicalText(text, headings=tuple(_headings(text)))


def _headings(text: str) -> Iterator[Heading]:
    line_starts = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
    tokens = _BLOCKS.parse(_without_front_matter(text))
    for opening, inline in pairwise(tokens):
        # Level 0: a heading inside a quotation or list item opens no section.
        if opening.type != "heading_open" or opening.level or not opening.map:
            continue
        first_line, end_line = opening.map
        source = text[line_starts[first_line] : line_starts[end_line] - 1]
        start = line_starts[first_line] + len(source) - len(source.lstrip())
        title = _plain_text(_INLINE.parseInline(inline.content))
        if title:
            end = line_starts[first_line] + len(source.rstrip())
            yield Heading(start, end, int(opening.tag[1:]), title)


def _without_front_matter(text: str) -> str:
    # The closing dashes of YAML front matter would read as the underline of a heading.
    return _FRONT_MATTER.sub(lambda match: "\n" * match.group().count("\n"), text)


def _plain_text(tokens: Sequence[Token]) -> str:
    pending = list(reversed(tokens))
    parts: list[str] = []
    while pending:
        token = pending.pop()
        if token.children:
            pending.extend(reversed(token.children))
        elif token.type in ("softbreak", "hardbreak"):
            parts.append(" ")
        elif token.type in ("text", "code_inline"):
            parts.append(token.content)
    return " ".join("".join(parts).split())
