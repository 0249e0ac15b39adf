"""Stitching: which stretches of documents some chunks make together, and what these cost.

In whatever order chunks come, they make the same stretches, so rankings of the same chunks share
them. Pure: a draft never changes, each chunk that is taken gives a new one.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from retrieval.chunks import Chunk, make_passage
from retrieval.sentences import sentence_spans

# White space between two chunks that are stitched, in characters; chunkers leave a blank line.
MAX_BLANK = 100

TextOf = Callable[[str, str], str | None]
"""(document id, revision) -> the canonical text, or None where it is not kept."""
LabelTokens = Callable[[str], int]
"""document id -> tokens that the prompt adds to each of its passages: number, file name."""


class Stretch(NamedTuple):
    """A span of a document's canonical text; sorts by its place.

    Attributes:
        document_id: document the span belongs to.
        revision: SHA-256 of the document's bytes, hexadecimal.
        start: first character in the canonical text.
        end: one past the last character.
        chunks: that are in it; one may be there without its end.
        headings: titles of the sections around the start, without those the text begins with.
        table_header: header row of the table that the text continues, or the empty string.
        num_tokens: of the label, and of the text with what is set above it.
    """

    document_id: str
    revision: str
    start: int
    end: int
    chunks: tuple[Chunk, ...]
    headings: tuple[str, ...]
    table_header: str
    num_tokens: int

    def contains(self, chunk: Chunk) -> bool:
        """Tell whether all of a chunk's place is in the stretch."""
        is_inside = self.start <= chunk.start and chunk.end <= self.end
        return is_inside and self[:2] == (chunk.document_id, chunk.revision)

    def first_of(self, ranks: Mapping[str, int]) -> int:
        """Return the best rank of its chunks."""
        return min(ranks[chunk.chunk_id] for chunk in self.chunks)


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A context under way; equal only to itself.

    Attributes:
        stretches: by place; no character is in two.
        num_tokens: of all stretches.
        chunk_ids: of all chunks in them.
        is_full: whether a chunk was cut, so that no more are taken.
    """

    stretches: tuple[Stretch, ...] = ()
    num_tokens: int = 0
    chunk_ids: frozenset[str] = frozenset()
    is_full: bool = False

    def around(self, document_id: str, revision: str, start: int, end: int) -> slice:
        """Return which stretches share a character with a span of a document, or touch it."""
        stretches = self.stretches
        low = bisect_left(stretches, (document_id, revision, start))
        if low:
            before = stretches[low - 1]
            if before.end >= start and before[:2] == (document_id, revision):
                low -= 1
        return slice(low, bisect_left(stretches, (document_id, revision, end + 1), low))


class Options:
    """What can become of a draft when a chunk is offered to it.

    Attributes:
        twins: stretches elsewhere in the draft that say all that the chunk says.
    """

    __slots__ = (
        "_chunk",
        "_cuts",
        "_draft",
        "_fewest_tokens",
        "_is_apart",
        "_num_tokens",
        "_stitcher",
        "twins",
    )

    def __init__(self, stitcher: "Stitcher", draft: Draft, chunk: Chunk) -> None:
        """Set up.

        Args:
            stitcher: adds the chunk.
            draft: that the chunk is offered to; not full.
            chunk: that is not in it.
        """
        self._stitcher = stitcher
        self._draft = draft
        self._chunk = chunk
        self.twins = stitcher.twins(draft, chunk)
        near = draft.around(*_surroundings(chunk, chunk.start, chunk.end))
        self._is_apart = near.start == near.stop
        self._num_tokens = draft.num_tokens if self.twins else self._size(chunk.end)
        self._fewest_tokens: float | None = None
        self._cuts: dict[int, Draft] = {}

    def within(self, max_tokens: int | None) -> Draft:
        """Return the draft with the chunk, or with as many of its first sentences as fit.

        It is the same draft when the chunk says nothing new or not even a sentence fits. It is full
        when the chunk was cut.
        """
        if self.twins:
            return self._draft
        if max_tokens is None or self._num_tokens <= max_tokens:
            return self._stitcher.whole(self._draft, self._chunk)
        if self._fewest_tokens is None:
            ends = self._stitcher.sentence_ends(self._chunk)
            self._fewest_tokens = self._size(ends[0]) if ends else inf
        if self._fewest_tokens > max_tokens:
            return self._draft
        ends = self._stitcher.sentence_ends(self._chunk)
        return self._cut(next(end for end in reversed(ends) if self._size(end) <= max_tokens))

    def _size(self, end: int) -> int:
        """Return the tokens of the draft with the chunk up to an offset."""
        if self._is_apart:
            alone = self._stitcher.num_tokens(self._chunk, end)
            return self._draft.num_tokens + alone
        if end == self._chunk.end:
            return self._stitcher.whole(self._draft, self._chunk).num_tokens
        return self._cut(end).num_tokens

    def _cut(self, end: int) -> Draft:
        cut = self._cuts.get(end)
        if cut is None:
            chunk = self._chunk
            cut = self._stitcher.stitch(self._draft, chunk, chunk.start, end, is_full=True)
            self._cuts[end] = cut
        return cut


class Stitcher:
    """Adds chunks to drafts; what it has read and counted it remembers."""

    def __init__(
        self,
        text_of: TextOf,
        count_tokens: Callable[[str], int],
        label_tokens: LabelTokens = lambda _: 0,
    ) -> None:
        """Set up.

        Args:
            text_of: gives the canonical texts; called for documents of several chunks.
            count_tokens: of the model that reads the prompt.
            label_tokens: of each stretch.
        """
        self._text_of = text_of
        self._count_tokens = count_tokens
        self._label_tokens = label_tokens
        self._sentence_ends: dict[str, list[int]] = {}
        self._statements: dict[str, frozenset[str]] = {}
        self._sayers: defaultdict[str, set[str]] = defaultdict(set)
        self._heads: dict[tuple[str, int, int], _Head] = {}

    def options(self, draft: Draft, chunk: Chunk) -> Options:
        """Return what can become of a draft when a chunk is offered to it."""
        return Options(self, draft, chunk)

    def whole(self, draft: Draft, chunk: Chunk) -> Draft:
        """Add a whole chunk."""
        return self.stitch(draft, chunk, chunk.start, chunk.end)

    def num_tokens(self, chunk: Chunk, end: int) -> int:
        """Return the tokens of a stretch of one chunk up to an offset."""
        return self._head((chunk,), chunk.start, end).num_tokens

    def twins(self, draft: Draft, chunk: Chunk) -> list[Stretch]:
        """Return the stretches elsewhere that say all that a chunk says."""
        statements = self._statements_of(chunk)
        chunk_ids, sayers = draft.chunk_ids, self._sayers
        for statement in statements:
            if chunk_ids.isdisjoint(sayers[statement]):
                return []
        return [
            stretch
            for stretch in draft.stretches
            if not stretch.contains(chunk)
            and statements <= frozenset().union(*map(self._statements_of, stretch.chunks))
        ]

    def widen(self, draft: Draft, chunk: Chunk, max_tokens: int | None) -> Draft:
        """Add the parent window of a chunk that is in a draft; return the same if it does not fit.

        Of a document whose text is not kept nothing is added.
        """
        if self._text_of(chunk.document_id, chunk.revision) is None:
            return draft
        wider = self.stitch(
            draft, chunk, chunk.parent_start, chunk.parent_end, is_full=draft.is_full
        )
        return wider if max_tokens is None or wider.num_tokens <= max_tokens else draft

    def text(self, stretch: Stretch) -> str:
        """Return the text of a stretch."""
        return self._slice(stretch.chunks, stretch.start, stretch.end)

    def sentence_ends(self, chunk: Chunk) -> list[int]:
        """Return where the sentences of a chunk end in the canonical text, but for the last one."""
        ends = self._sentence_ends.get(chunk.chunk_id)
        if ends is None:
            ends = [chunk.start + end for _, end in sentence_spans(chunk.text)[:-1]]
            self._sentence_ends[chunk.chunk_id] = ends
        return ends

    def stitch(
        self, draft: Draft, chunk: Chunk, start: int, end: int, *, is_full: bool = False
    ) -> Draft:
        """Add a span of a chunk's document, stitched to all from which only a blank parts it."""
        near = draft.around(*_surroundings(chunk, start, end))
        chunks: tuple[Chunk, ...] = (chunk,)
        num_tokens = draft.num_tokens
        apart = []
        for one in draft.stretches[near]:
            if self._touches(one, chunk, start, end):
                start, end = min(start, one.start), max(end, one.end)
                chunks += tuple(other for other in one.chunks if other.chunk_id != chunk.chunk_id)
                num_tokens -= one.num_tokens
            else:
                apart.append(one)
        head = self._head(chunks, start, end)
        stretch = Stretch(chunk.document_id, chunk.revision, start, end, chunks, *head)
        return Draft(
            (
                *draft.stretches[: near.start],
                *sorted([*apart, stretch]),
                *draft.stretches[near.stop :],
            ),
            num_tokens + stretch.num_tokens,
            draft.chunk_ids | {chunk.chunk_id},
            is_full,
        )

    def _touches(self, stretch: Stretch, chunk: Chunk, start: int, end: int) -> bool:
        """Tell whether there is nothing but white space between a stretch and a span of a text."""
        blank_start, blank_end = min(stretch.end, end), max(stretch.start, start)
        if blank_start >= blank_end:
            return True
        text = self._text_of(chunk.document_id, chunk.revision)
        return text is not None and text[blank_start:blank_end].isspace()

    def _head(self, chunks: tuple[Chunk, ...], start: int, end: int) -> "_Head":
        first = chunks[0]
        if len(chunks) > 1:
            first = min(chunks, key=lambda one: (one.start, one.chunk_id))
        key = (first.chunk_id, start, end)
        head = self._heads.get(key)
        if head is None:
            text = self._slice(chunks, start, end)
            headings, table_header = _above(first, text, first.start - start)
            num_tokens = self._count_tokens(make_passage(headings, table_header, text))
            num_tokens += self._label_tokens(first.document_id)
            head = self._heads[key] = _Head(headings, table_header, num_tokens)
        return head

    def _slice(self, chunks: tuple[Chunk, ...], start: int, end: int) -> str:
        """Return a span of the canonical text; of a text that is not kept, by its chunks."""
        first, *others = sorted(chunks, key=lambda chunk: chunk.start)
        if others or start < first.start or end > first.end:
            text = self._text_of(first.document_id, first.revision)
            if text is not None:
                return text[start:end]
        pieces = ""
        for chunk in (first, *others):
            pieces += chunk.text[start + len(pieces) - chunk.start :]
        return pieces[: end - start]

    def _statements_of(self, chunk: Chunk) -> frozenset[str]:
        """Return what a chunk says: its sentences and the lines above it, white space made one."""
        statements = self._statements.get(chunk.chunk_id)
        if statements is None:
            sentences = (chunk.text[start:end] for start, end in sentence_spans(chunk.text))
            lines = (chunk.heading_path, chunk.table_header, *sentences)
            statements = frozenset(" ".join(line.split()) for line in lines)
            self._statements[chunk.chunk_id] = statements
            for statement in statements:
                self._sayers[statement].add(chunk.chunk_id)
        return statements


class _Head(NamedTuple):
    """What stands above a stretch, and the tokens of both."""

    headings: tuple[str, ...]
    table_header: str
    num_tokens: int


def _surroundings(chunk: Chunk, start: int, end: int) -> tuple[str, str, int, int]:
    """Return the span of a chunk's document in which stretches may touch a span."""
    return chunk.document_id, chunk.revision, start - MAX_BLANK, end + MAX_BLANK


def _above(chunk: Chunk, text: str, offset: int) -> tuple[tuple[str, ...], str]:
    """Return the headings and the table header to set above a text.

    They are those of its first chunk, which begins at `offset`, without the titles and the header
    that stand in the text up to the first line of the chunk.
    """
    line_end = text.find("\n", offset)
    lines = text if line_end < 0 else text[:line_end]
    stated = {line.strip("# ") for line in lines.split("\n")}
    headings = chunk.headings
    while headings and headings[-1] in stated:
        headings = headings[:-1]
    return headings, "" if chunk.table_header in stated else chunk.table_header
