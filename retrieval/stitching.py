"""Stitching: which stretches of documents some chunks make together, and what these cost.

In whatever order chunks come, they make the same stretches, and what one more adds depends only on
the stretches near it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, KeysView, Mapping, Sequence
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


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """A span of a document's canonical text; equal only to itself.

    Attributes:
        document_id: document the span belongs to.
        revision: SHA-256 of the document's bytes, hexadecimal.
        start: first character in the canonical text.
        end: one past the last character.
        chunks: that are in it, by place; one may be there without its end.
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
        return is_inside and _document(self) == _document(chunk)

    def first_of(self, ranks: Mapping[str, int]) -> int:
        """Return the best rank of its chunks."""
        return min(ranks[chunk.chunk_id] for chunk in self.chunks)


class Joint(NamedTuple):
    """A span of a document joined to the stretches that it touches.

    Attributes:
        stretch: of all of them.
        num_tokens: that it has more than those stretches had, or fewer.
    """

    stretch: Stretch
    num_tokens: int


class Seam:
    """A chunk beside the stretches of a draft that are near it.

    Nothing else of a draft matters to what the chunk adds, so drafts share seams.
    """

    __slots__ = ("_near", "_num_tokens", "_stitcher", "_whole", "chunk")

    def __init__(self, stitcher: "Stitcher", near: Sequence[Stretch], chunk: Chunk) -> None:
        """Set up.

        Args:
            stitcher: joins them.
            near: by place.
            chunk: that is in none of them.
        """
        self.chunk = chunk
        self._stitcher = stitcher
        self._near = near
        self._whole: Joint | None = None
        self._num_tokens: dict[int, int] = {}

    def joint(self, end: int) -> Joint:
        """Return what they become when the chunk is added up to an offset."""
        if end < self.chunk.end:
            return self._join(end)
        if self._whole is None:
            self._whole = self._join(end)
        return self._whole

    def num_tokens(self, end: int) -> int:
        """Return the tokens that the chunk adds up to an offset."""
        num_tokens = self._num_tokens.get(end)
        if num_tokens is None:
            num_tokens = self._num_tokens[end] = self.joint(end).num_tokens
        return num_tokens

    def last_end(self, room: float) -> int | None:
        """Return the offset up to which the chunk fits; None: not even its first sentence does.

        Args:
            room: tokens that may be added.
        """
        if self.num_tokens(self.chunk.end) <= room:
            return self.chunk.end
        ends = self._stitcher.sentence_ends(self.chunk)
        if not ends or self.num_tokens(ends[0]) > room:
            return None
        return next(end for end in reversed(ends) if self.num_tokens(end) <= room)

    def _join(self, end: int) -> Joint:
        return self._stitcher.join(self._near, self.chunk, self.chunk.start, end)


class Stitcher:
    """Joins chunks to stretches; what it has read and counted it remembers."""

    def __init__(
        self,
        chunks: Iterable[Chunk],
        text_of: TextOf,
        count_tokens: Callable[[str], int],
        label_tokens: LabelTokens = lambda _: 0,
        *,
        are_cut: bool = True,
    ) -> None:
        """Set up.

        Args:
            chunks: all that may come.
            text_of: gives the canonical texts; called for documents of several chunks.
            count_tokens: of the model that reads the prompt.
            label_tokens: of each stretch.
            are_cut: whether a chunk may be there without its end.
        """
        self.neighbours = _neighbours(chunks)
        self._text_of = text_of
        self._count_tokens = count_tokens
        self._label_tokens = label_tokens
        self._are_cut = are_cut
        self._seams: dict[tuple[str, tuple[Stretch, ...]], Seam] = {}
        self._heads: dict[tuple[str, int, int], _Head] = {}
        self._fewest_tokens: dict[str, int] = {}
        self._sentence_ends: dict[str, list[int]] = {}
        self._statements: dict[str, frozenset[str]] = {}
        self._sayers: defaultdict[str, set[str]] = defaultdict(set)
        # Who says what told a chunk apart from others, which it mostly does again.
        self._telling: dict[str, set[str]] = {}

    def seam(self, near: tuple[Stretch, ...], chunk: Chunk) -> Seam:
        """Return what a chunk makes with the stretches near it."""
        key = (chunk.chunk_id, near)
        seam = self._seams.get(key)
        if seam is None:
            seam = self._seams[key] = Seam(self, near, chunk)
        return seam

    def fewest_tokens(self, chunk: Chunk) -> int:
        """Return the least room in which something fits of a chunk that is apart from others."""
        fewest = self._fewest_tokens.get(chunk.chunk_id)
        if fewest is None:
            ends = [*self.sentence_ends(chunk)[:1], chunk.end]
            fewest = min(map(self.seam((), chunk).num_tokens, ends))
            self._fewest_tokens[chunk.chunk_id] = fewest
        return fewest

    def join(self, near: Iterable[Stretch], chunk: Chunk, start: int, end: int) -> Joint:
        """Join a span of a chunk's document to all from which no more than a blank parts it.

        Args:
            near: all of a draft that it may touch, by place.
            chunk: in the span.
            start: of the span, in the canonical text.
            end: one past its last character.
        """
        chunks = {chunk.chunk_id: chunk}
        num_before = 0
        for one in near:
            if self._touches(one, chunk, start, end):
                start, end = min(start, one.start), max(end, one.end)
                chunks |= {other.chunk_id: other for other in one.chunks}
                num_before += one.num_tokens
        ordered = tuple(sorted(chunks.values(), key=_place))
        head = self._head(ordered, start, end)
        stretch = Stretch(chunk.document_id, chunk.revision, start, end, ordered, *head)
        return Joint(stretch, stretch.num_tokens - num_before)

    def text(self, stretch: Stretch) -> str:
        """Return the text of a stretch."""
        return self._slice(stretch.chunks, stretch.start, stretch.end)

    def text_of(self, chunk: Chunk) -> str | None:
        """Return the canonical text of a chunk's document, or None where it is not kept."""
        return self._text_of(chunk.document_id, chunk.revision)

    def sentence_ends(self, chunk: Chunk) -> list[int]:
        """Return where a chunk may be cut: the ends of its sentences in the canonical text."""
        ends = self._sentence_ends.get(chunk.chunk_id)
        if ends is None:
            spans = sentence_spans(chunk.text)[:-1] if self._are_cut else []
            ends = [chunk.start + end for _, end in spans]
            self._sentence_ends[chunk.chunk_id] = ends
        return ends

    def statements(self, chunk: Chunk) -> frozenset[str]:
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

    def sayers(self, chunk: Chunk, among: KeysView[str]) -> set[str]:
        """Return which of some chunks say one thing that a chunk says: what the fewest say."""
        telling = self._telling.get(chunk.chunk_id)
        if telling is not None and among.isdisjoint(telling):
            return set()
        sayers = [self._sayers[statement] for statement in self.statements(chunk)]
        for telling in sayers:
            if among.isdisjoint(telling):
                self._telling[chunk.chunk_id] = telling
                return set()
        return min((among & one for one in sayers), key=len)

    def _touches(self, stretch: Stretch, chunk: Chunk, start: int, end: int) -> bool:
        """Tell whether no more than a blank is between a stretch and a span of a text."""
        blank_start, blank_end = min(stretch.end, end), max(stretch.start, start)
        if blank_start >= blank_end:
            return True
        if blank_end - blank_start > MAX_BLANK:
            return False
        text = self.text_of(chunk)
        return text is not None and text[blank_start:blank_end].isspace()

    def _head(self, chunks: Sequence[Chunk], start: int, end: int) -> "_Head":
        first = chunks[0]
        key = (first.chunk_id, start, end)
        head = self._heads.get(key)
        if head is None:
            text = self._slice(chunks, start, end)
            headings, table_header = _above(first, text, first.start - start)
            num_tokens = self._count_tokens(make_passage(headings, table_header, text))
            num_tokens += self._label_tokens(first.document_id)
            head = self._heads[key] = _Head(headings, table_header, num_tokens)
        return head

    def _slice(self, chunks: Sequence[Chunk], start: int, end: int) -> str:
        """Return a span of the canonical text; of a text that is not kept, by its chunks."""
        first, *others = chunks
        if others or start < first.start or end > first.end:
            text = self.text_of(first)
            if text is not None:
                return text[start:end]
        pieces = ""
        for chunk in chunks:
            pieces += chunk.text[start + len(pieces) - chunk.start :]
        return pieces[: end - start]


class Draft:
    """A context under way.

    Attributes:
        num_tokens: of all stretches.
        is_full: whether a chunk was cut, so that no more are taken.
        chunk_ids: of the chunks in it, also of those that come later.
    """

    __slots__ = ("_stitcher", "_stretches", "chunk_ids", "is_full", "num_tokens")

    def __init__(self, stitcher: Stitcher) -> None:
        """Set up an empty one."""
        self.num_tokens = 0
        self.is_full = False
        self._stitcher = stitcher
        # Chunk id -> what it is in.
        self._stretches: dict[str, Stretch] = {}
        self.chunk_ids = self._stretches.keys()

    @property
    def stretches(self) -> list[Stretch]:
        """Those there are, by place; no character is in two."""
        return sorted(set(self._stretches.values()), key=_place)

    def copy(self) -> "Draft":
        """Return a draft of the same that goes its own way."""
        copy = Draft(self._stitcher)
        copy.num_tokens, copy.is_full = self.num_tokens, self.is_full
        copy._stretches |= self._stretches
        return copy

    def take(self, chunk: Chunk, max_tokens: int | None) -> bool:
        """Add a chunk, or as many of its first sentences as fit; tell whether it was.

        It is not when the draft is full, when the chunk says nothing new, or when not even a
        sentence fits.

        Args:
            chunk: that is not in the draft.
            max_tokens: of the whole draft; None: any.
        """
        if self.is_full:
            return False
        seam = self.seam(chunk)
        end = seam.last_end(inf if max_tokens is None else max_tokens - self.num_tokens)
        if end is None or self.twins(chunk):
            return False
        self.add(seam, end)
        return True

    def add(self, seam: Seam, end: int) -> None:
        """Add a chunk up to an offset, where it is cut if that is not its end."""
        self.is_full = end < seam.chunk.end
        self._put(seam.joint(end))

    def widen(self, chunk: Chunk, max_tokens: int | None) -> None:
        """Add the parent window of a chunk that is in the draft, if it fits.

        Of a document whose text is not kept nothing is added.
        """
        start, end = chunk.parent_start, chunk.parent_end
        stretch = self._stretches[chunk.chunk_id]
        is_wide = stretch.start <= start and end <= stretch.end
        if is_wide or self._stitcher.text_of(chunk) is None:
            return
        near = {
            one
            for one in self._stretches.values()
            if one.start <= end + MAX_BLANK
            and start <= one.end + MAX_BLANK
            and _document(one) == _document(chunk)
        }
        joint = self._stitcher.join(sorted(near, key=_place), chunk, start, end)
        if max_tokens is None or self.num_tokens + joint.num_tokens <= max_tokens:
            self._put(joint)

    def seam(self, chunk: Chunk) -> Seam:
        """Return a chunk that is not in the draft beside what is near it."""
        stretches = self._stretches
        near: list[Stretch] = []
        for neighbour in self._stitcher.neighbours[chunk.chunk_id]:
            stretch = stretches.get(neighbour)
            if stretch is not None and not (near and near[-1] is stretch):
                near.append(stretch)
        return self._stitcher.seam(tuple(near), chunk)

    def twins(self, chunk: Chunk) -> list[Stretch]:
        """Return the stretches elsewhere that say all that a chunk says."""
        sayers = self._stitcher.sayers(chunk, self.chunk_ids)
        if not sayers:
            return []
        statements_of = self._stitcher.statements
        return [
            stretch
            for stretch in {self._stretches[one] for one in sayers}
            if not stretch.contains(chunk)
            and statements_of(chunk) <= frozenset().union(*map(statements_of, stretch.chunks))
        ]

    def _put(self, joint: Joint) -> None:
        self.num_tokens += joint.num_tokens
        for chunk in joint.stretch.chunks:
            self._stretches[chunk.chunk_id] = joint.stretch


class _Head(NamedTuple):
    """What stands above a stretch, and the tokens of both."""

    headings: tuple[str, ...]
    table_header: str
    num_tokens: int


def _document(one: Chunk | Stretch) -> tuple[str, str]:
    return one.document_id, one.revision


def _place(one: Chunk | Stretch) -> tuple[str, str, int, str]:
    """Return what puts in order; where chunks begin alike, their ids do."""
    return *_document(one), one.start, one.chunk_id if isinstance(one, Chunk) else ""


def _neighbours(chunks: Iterable[Chunk]) -> dict[str, list[str]]:
    """Return for each chunk the others, by place, from which no more than a blank may part it."""
    neighbours: dict[str, list[str]] = {}
    reaching: list[Chunk] = []
    for chunk in sorted(chunks, key=_place):
        reaching = [
            one
            for one in reaching
            if _document(one) == _document(chunk) and chunk.start <= one.end + MAX_BLANK
        ]
        neighbours[chunk.chunk_id] = [one.chunk_id for one in reaching]
        for one in reaching:
            neighbours[one.chunk_id].append(chunk.chunk_id)
        reaching.append(chunk)
    return neighbours


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
