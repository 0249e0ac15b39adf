"""Where a text may be cut, from the strongest kind of place to the weakest."""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence

from ingest.sections import Section
from ingest.tables import Tables
from ingest.texts import CanonicalText
from retrieval.sentences import sentence_spans

_PARAGRAPH = re.compile(r"\n[^\S\n]*+\n\s*+")
_LINE = re.compile(r"\n\s*+")
_SENTENCE_END = re.compile(r"[.!?:\u2026\u3002\uff01\uff1f][\W_]*")
# Enough for an end mark with the quotation marks and brackets after it.
_END_WINDOW = 8
_NO_BREAK_SPACES = "\u00a0\u2007\u202f"
# Three digits after a space, as in `1 234 567`: one number.
_DIGIT_GROUP = re.compile(r"(?<=\d)[ \u2009]\d{3}(?!\d)")
# Scripts that put no spaces between words: Thai, Lao, Burmese, Khmer, Chinese, Japanese. Letters
# and digits of full width are left out, they form words.
_UNSPACED_RANGES = (
    "\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff"
    "\uff01-\uff0f\uff5b-\uff9f\U00020000-\U0003ffff"
)
_UNSPACED = re.compile(f"[{_UNSPACED_RANGES}]")
_BREAKABLE = re.compile(rf"[\s{_UNSPACED_RANGES}]")


class Boundaries:
    """The offsets of a text at which a chunk may begin.

    Five kinds, strongest first: sections, paragraphs, sentences that begin a line (list items,
    table rows and the like), sentences, lines. No boundary lies between a heading and its text or
    between the header of a table and its first row.
    """

    def __init__(self, text: CanonicalText, sections: Sequence[Section], tables: Tables) -> None:
        source = text.text
        torn = _torn_pages(text)
        # Without text of its own a heading stays with whatever comes next.
        glued = {section.body_start for section in sections if section.path}
        glued.update(start for table in tables.all for start in table.glued)
        paragraphs = [match.end() for match in _PARAGRAPH.finditer(source)]
        lines = [match.end() for match in _LINE.finditer(source)]
        sentences = [start for start, _ in sentence_spans(source)]
        kinds: tuple[Iterable[int], ...] = (
            (section.start for section in sections if section.path),
            paragraphs,
            set(sentences).intersection(lines),
            sentences,
        )
        self._kinds = [_without(offsets, glued | torn) for offsets in kinds]
        self._kinds.append(_without(lines, glued))

    def last(self, lowest: int, highest: int) -> int | None:
        """Return the last boundary of the strongest kind in `lowest`..`highest`, both included."""
        for offsets in self._kinds:
            position = bisect_right(offsets, highest)
            if position > bisect_left(offsets, lowest):
                return offsets[position - 1]
        return None

    def after(self, offset: int) -> int | None:
        """Return the next boundary of any kind."""
        positions = [(offsets, bisect_right(offsets, offset)) for offsets in self._kinds]
        return min((offsets[i] for offsets, i in positions if i < len(offsets)), default=None)

    def first_sentence(self, lowest: int, highest: int) -> int | None:
        """Return the first sentence, or else the first line, that begins in `lowest`..`highest`."""
        for offsets in self._kinds[-2:]:
            position = bisect_left(offsets, lowest)
            if position < len(offsets) and offsets[position] <= highest:
                return offsets[position]
        return None


def last_word_break(text: str, lowest: int, highest: int) -> int | None:
    """Return the last offset in `lowest`..`highest` between two words, or None.

    A number in groups (`1 234 567`) and what no-break spaces join are taken apart only when there
    is no other place.
    """
    if not _BREAKABLE.search(text, lowest - 1, highest + 1):
        return None  # at once, because such a word may be very long
    for is_break in (is_word_break, _is_space):
        for offset in range(highest, lowest - 1, -1):
            if is_break(text, offset):
                return offset
    return None


def is_word_break(text: str, offset: int) -> bool:
    """Tell whether a cut here leaves words and numbers whole."""
    if _is_space(text, offset):
        space = offset if text[offset].isspace() else offset - 1
        return text[space] not in _NO_BREAK_SPACES and not _DIGIT_GROUP.match(text, space)
    beside = text[offset - 1 : offset + 1]
    return _UNSPACED.search(beside) is not None and not unicodedata.combining(beside[1])


def _is_space(text: str, offset: int) -> bool:
    return text[offset - 1].isspace() or text[offset].isspace()


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
