"""The lines of all pages as one canonical text."""

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

from ingest.parsers.hyphens import Hyphenation
from ingest.parsers.page_lines import Line
from ingest.parsers.unread_pages import UnreadPages
from ingest.texts import CanonicalText, Heading

PAGE_SEPARATOR = "\n\n"
_Span = tuple[int, int, int]  # start and end in the text of the page, level


def write_pages(pages: Sequence[Sequence[Line]]) -> tuple[list[str], list[list[_Span]]]:
    """Return the text of each page and its headings as (start, end, level).

    Lines stay lines, but words broken at their ends are put together; paragraphs are separated by
    a blank line.
    """
    hyphenation = Hyphenation(line.text for lines in pages for line in lines if not line.in_table)
    _join_across_pages([lines for lines in pages if lines], hyphenation)
    written = [_write(lines, hyphenation) for lines in pages]
    return [text for text, _ in written], [spans for _, spans in written]


def plain_text(
    pages: Sequence[Sequence[Line]], unread: UnreadPages, ocr_pages: tuple[int, ...] = ()
) -> CanonicalText:
    """Return the text of pages of which nothing but their lines is known."""
    texts, _ = write_pages(pages)
    return CanonicalText(
        text=PAGE_SEPARATOR.join(texts),
        page_starts=page_starts(texts),
        unreadable_pages=unread.numbers,
        unreadable_reason=unread.reason,
        ocr_pages=ocr_pages,
    )


def page_starts(texts: Iterable[str]) -> tuple[int, ...]:
    """Return where each page begins in the texts joined by `PAGE_SEPARATOR`."""
    lengths = [len(text) + len(PAGE_SEPARATOR) for text in texts]
    return tuple(accumulate(lengths[:-1], initial=0)) if lengths else ()


def _write(lines: Sequence[Line], hyphenation: Hyphenation) -> tuple[str, list[_Span]]:
    parts: list[str] = []
    spans: list[_Span] = []
    length, level = 0, 0
    for line, text in _whole_words(lines, hyphenation):
        starts_paragraph = line.starts_paragraph or line.heading_level != level
        separator = ("\n\n" if starts_paragraph else "\n") if parts else ""
        start = length + len(separator)
        parts += [separator, text]
        length = start + len(text)
        if line.heading_level:
            if spans and not starts_paragraph:
                start = spans.pop()[0]
            spans.append((start, length, line.heading_level))
        level = line.heading_level
    return "".join(parts), spans


def _join_across_pages(pages: Sequence[Sequence[Line]], hyphenation: Hyphenation) -> None:
    """Put words together that are broken between two pages."""
    for above, below in pairwise(pages):
        last, first = above[-1], below[0]
        if not last.in_table and not first.in_table:
            joined = hyphenation.join(last.text, first.text)
            if joined:
                last.text, first.text = joined


def _whole_words(lines: Sequence[Line], hyphenation: Hyphenation) -> Iterable[tuple[Line, str]]:
    """Yield the lines with their texts; what is left of a line without text is left out."""
    texts = [hyphenation.mend(line.text) if line.in_table else line.text for line in lines]
    for index, line in enumerate(lines):
        following = lines[index + 1] if index + 1 < len(lines) else None
        if following and not line.in_table and not following.in_table:
            joined = hyphenation.join(texts[index], texts[index + 1])
            if joined:
                texts[index], texts[index + 1] = joined
        if texts[index]:
            yield line, texts[index]


def to_headings(
    texts: Sequence[str], spans: Sequence[Sequence[_Span]], starts: Sequence[int]
) -> tuple[Heading, ...]:
    """Return the headings of `write_pages` at their place in the canonical text."""
    return tuple(
        Heading(at + start, at + end, level, " ".join(text[start:end].split()))
        for text, on_page, at in zip(texts, spans, starts, strict=True)
        for start, end, level in on_page
    )
