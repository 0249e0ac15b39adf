"""Where a text may be cut, from the strongest kind of place to the weakest."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence

from ingest.sections import Section
from ingest.texts import CanonicalText
from retrieval.sentences import sentence_spans

_PARAGRAPH = re.compile(r"\n[^\S\n]*+\n\s*+")
_LINE = re.compile(r"\n\s*+")
_SENTENCE_END = re.compile(r"[.!?:\u2026\u3002\uff01\uff1f][\W_]*")
# Enough for an end mark with the quotation marks and brackets after it.
_END_WINDOW = 8


class Boundaries:
    """The offsets of a text at which a chunk may begin.

    Five kinds, strongest first: sections, paragraphs, sentences that begin a line (list items,
    table rows and the like), sentences, lines. No boundary lies between a heading and its text.
    """

    def __init__(self, text: CanonicalText, sections: Sequence[Section]) -> None:
        source = text.text
        torn = _torn_pages(text)
        # Without text of its own a heading stays with whatever comes next.
        glued = torn.union(section.body_start for section in sections if section.path)
        paragraphs = [match.end() for match in _PARAGRAPH.finditer(source)]
        lines = [match.end() for match in _LINE.finditer(source)]
        sentences = [start for start, _ in sentence_spans(source)]
        kinds: tuple[Iterable[int], ...] = (
            (section.start for section in sections if section.path),
            paragraphs,
            set(sentences).intersection(lines),
            sentences,
        )
        self._kinds = [_without(offsets, glued) for offsets in kinds]
        self._kinds.append(_without(lines, glued - torn))

    def last(self, lowest: int, highest: int) -> int | None:
        """Return the last boundary of the strongest kind in `lowest`..`highest`, both included."""
        for offsets in self._kinds:
            position = bisect_right(offsets, highest)
            if position > bisect_left(offsets, lowest):
                return offsets[position - 1]
        return None


def _without(offsets: Iterable[int], excluded: Collection[int]) -> list[int]:
    return sorted(set(offsets).difference(excluded))


def _torn_pages(text: CanonicalText) -> set[int]:
    """Return the page starts in the middle of a sentence, which are no end of a paragraph."""
    torn = set()
    headings = {heading.start for heading in text.headings}
    for start in text.page_starts[1:]:
        before = text.text[max(0, start - _END_WINDOW) : start].rstrip()
        if start not in headings and before and not _ends_sentence(before):
            torn.add(start)
    return torn


def _ends_sentence(text: str) -> bool:
    return any(match.end() == len(text) for match in _SENTENCE_END.finditer(text))
