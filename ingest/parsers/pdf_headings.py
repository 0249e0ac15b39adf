"""Headings of a PDF without an outline: by type size, and by number where the type is bold."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from ingest.parsers.builder import MAX_HEADING_LEVEL
from ingest.parsers.page_lines import Line

# Larger than the text of the body by so much; LaTeX sets sections 9.6 % larger.
_MIN_SIZE = 1.08
_MAX_LINES = 3
_MAX_CHARACTERS = 200
_MIN_LETTERS = 3
# Distance between the lines of one heading, in type sizes.
_MAX_ROOM = 0.9
# In a document that is set in display type, size says nothing.
_MAX_SHARE = 0.3
_NUMBER = re.compile(r"\d+(?:\.\d+)*")
_OUTER = ("part", "chapter")


def body_size(pages: Sequence[Sequence[Line]]) -> float:
    """Return the type size, in points, of most characters; 0 without any."""
    counts: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            counts[line.size] += len(line.text)
    return counts.most_common(1)[0][0] if counts else 0.0


def mark_headings(pages: Sequence[Sequence[Line]]) -> None:
    """Set `heading_level`: larger type is further out, bold numbered lines are below it."""
    size = body_size(pages)
    if not size:
        return
    groups = [group for lines in pages for group in _large_groups(lines, size)]
    num_large = sum(len(line.text) for group in groups for line in group)
    if num_large > _MAX_SHARE * sum(len(line.text) for lines in pages for line in lines):
        groups = []
    sizes = sorted({group[0].size for group in groups}, reverse=True)
    levels = {one: level for level, one in enumerate(sizes, start=1)}
    for group in groups:
        for line in group:
            line.heading_level = min(levels[line.size], MAX_HEADING_LEVEL)
            line.starts_paragraph = line is group[0]
    for lines in pages:
        for line in lines:
            if line.is_bold and not line.in_table and not line.heading_level:
                line.heading_level = min(len(sizes) + _depth(line.text), MAX_HEADING_LEVEL)


def _large_groups(lines: Sequence[Line], size: float) -> Iterator[list[Line]]:
    """Yield one to three lines of the same large type that stand together."""
    group: list[Line] = []
    for line in lines:
        is_large = line.size >= _MIN_SIZE * size and not line.in_table
        if group and not (is_large and _continues(group[-1], line)):
            if _is_title(group):
                yield group
            group = []
        if is_large:
            group.append(line)
    if group and _is_title(group):
        yield group


def _continues(line: Line, following: Line) -> bool:
    room = line.bottom - following.top
    return following.size == line.size and -line.size < room < _MAX_ROOM * line.size


def _is_title(group: Sequence[Line]) -> bool:
    text = " ".join(line.text for line in group)
    return (
        len(group) <= _MAX_LINES
        and len(text) <= _MAX_CHARACTERS
        and sum(map(str.isalpha, text)) >= max(_MIN_LETTERS, len(text) / 2)
    )


def _depth(text: str) -> int:
    """Return how deep the number at the start of a heading goes: 2 for `2.1`."""
    number = _NUMBER.match(text)
    if number:
        return number.group().count(".") + 1
    return 1 if text.casefold().startswith(_OUTER) else 2
