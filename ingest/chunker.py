"""Cuts a canonical text into chunks at its structure, counted in tokens of the embedder."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID, uuid5

from ingest.boundaries import Boundaries
from ingest.sections import Section, sections_of
from ingest.texts import CanonicalText
from retrieval.chunks import HEADING_SEPARATOR, Chunk

_ALGORITHM = "structure-1"
_NAMESPACE = UUID("6f1d9a52-3c0e-5b7d-9f43-2a8e51c7d0b4")
# A heading path takes at most a quarter of the limit, and one character can be 18 tokens
# (U+FDFA under NFKC): below this limit no cut could be guaranteed to fit.
MIN_MAX_TOKENS = 32
# A word that is one unknown token may have any length; this bounds the chunk it is in.
_MAX_CHARACTERS_PER_TOKEN = 32


class TokenOffsets(Protocol):
    """The tokenizer of the embedder."""

    def __call__(self, text: str, /) -> Sequence[tuple[int, int]]:
        """Return the (start, end) characters of each token in order, without special tokens."""
        ...


@dataclass(frozen=True, slots=True)
class Chunker:
    """Splits canonical texts.

    Attributes:
        max_tokens: upper bound for the tokens of a chunk's passage, special tokens left out.
        tokenize: the tokenizer of the embedder that will read the passages.
    """

    max_tokens: int
    tokenize: TokenOffsets

    def __post_init__(self) -> None:
        """Refuse a limit under which a single character might not fit."""
        if self.max_tokens < MIN_MAX_TOKENS:
            raise ValueError(f"max_tokens is {self.max_tokens}, but at least {MIN_MAX_TOKENS}.")

    @property
    def fingerprint(self) -> str:
        """What decides where a text is cut, but for the tokenizer."""
        return f"{_ALGORITHM}/max_tokens={self.max_tokens}"

    def split(self, document_id: str, revision: str, text: CanonicalText) -> list[Chunk]:
        """Return the chunks of a document, in order.

        They do not overlap and cover every character that is not white space.
        """
        splitting = _Splitting(self, text)
        name = f"{document_id}\n{revision}\n{self.fingerprint}"
        return [
            Chunk(
                chunk_id=str(uuid5(_NAMESPACE, f"{name}\n{ordinal}")),
                document_id=document_id,
                revision=revision,
                start=piece.start,
                end=piece.end,
                text=text.text[piece.start : piece.end],
                headings=piece.headings,
                page_start=text.page_at(piece.start),
                page_end=text.page_at(piece.end - 1),
                token_count=piece.token_count,
                place=text.place_at(piece.start),
            )
            for ordinal, piece in enumerate(splitting.pieces())
        ]


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    end: int
    headings: tuple[str, ...]
    token_count: int


class _Splitting:
    """One text on its way to become chunks; it is tokenised once, then counted by offsets."""

    def __init__(self, chunker: Chunker, text: CanonicalText) -> None:
        self._max_tokens = chunker.max_tokens
        self._tokenize = chunker.tokenize
        self._text = text.text
        self._token_starts = [start for start, _ in chunker.tokenize(text.text)]
        self._sections = sections_of(text)
        self._section_starts = [section.start for section in self._sections]
        self._boundaries = Boundaries(text, self._sections)
        self._heads: dict[tuple[str, ...], _Head] = {}

    def pieces(self) -> Iterator[_Piece]:
        for start, end in self._groups():
            first, last = self._trim(start, end)
            while first < last:
                piece = self._fitting_piece(first, last)
                yield piece
                first, last = self._trim(piece.end, end)

    def _groups(self) -> list[tuple[int, int]]:
        """Join each section too small for a chunk of its own with those that follow."""
        groups: list[tuple[int, int]] = []
        opening = self._sections[0]
        is_bare = True
        for section in self._sections:
            if groups and not is_bare and self._is_complete(opening, section):
                groups.append((section.start, section.end))
                opening, is_bare = section, section.is_bare
            else:
                groups[-1:] = [(opening.start, section.end)]
                is_bare = is_bare and section.is_bare
        if is_bare and len(groups) > 1:
            groups[-2:] = [(groups[-2][0], groups[-1][1])]
        return groups

    def _is_complete(self, opening: Section, section: Section) -> bool:
        if not opening.shares_parent(section):
            return True
        return self._count(opening.start, section.start) >= self._max_tokens // 4

    def _fitting_piece(self, start: int, end: int) -> _Piece:
        head = self._head(start)
        budget = self._max_tokens - head.token_count
        while True:
            piece_end = self._trim(start, self._cut(start, end, budget))[1]
            passage = head.prefix + self._text[start:piece_end]
            token_count = len(self._tokenize(passage))
            # A slice may have other tokens at its ends than the whole text has there.
            if token_count <= self._max_tokens or budget == 1:
                return _Piece(start, piece_end, head.headings, token_count)
            budget = max(1, budget - (token_count - self._max_tokens))

    def _cut(self, start: int, end: int, budget: int) -> int:
        """Return where to cut so that at most `budget` tokens lie between."""
        highest = self._reach(start, budget)
        if highest >= end:
            return end
        total = self._count(start, end)
        if total < 3 * budget // 2:
            # Two chunks are left: 2 / 3 and 1 / 3 at worst, instead of a full one and a scrap.
            highest = min(highest, self._reach(start, max(1, 2 * total // 3)))
        for min_tokens in (budget // 2, budget // 4, 1):
            lowest = max(start + 1, self._reach(start, min_tokens))
            boundary = self._boundaries.last(lowest, highest)
            if boundary is not None:
                return boundary
        return self._word_cut(start, highest)

    def _reach(self, start: int, num_tokens: int) -> int:
        position = bisect_left(self._token_starts, start) + num_tokens
        farthest = min(len(self._text), start + num_tokens * _MAX_CHARACTERS_PER_TOKEN)
        if position >= len(self._token_starts):
            return farthest
        return min(farthest, self._token_starts[position])

    def _word_cut(self, start: int, highest: int) -> int:
        for offset in range(highest, start, -1):
            if self._text[offset - 1].isspace() or self._text[offset].isspace():
                return offset
        return max(highest, start + 1)

    def _count(self, start: int, end: int) -> int:
        return bisect_left(self._token_starts, end) - bisect_left(self._token_starts, start)

    def _trim(self, start: int, end: int) -> tuple[int, int]:
        while start < end and self._text[start].isspace():
            start += 1
        while start < end and self._text[end - 1].isspace():
            end -= 1
        return start, end

    def _head(self, offset: int) -> "_Head":
        section = self._sections[bisect_right(self._section_starts, offset) - 1]
        titles = section.titles
        if titles not in self._heads:
            self._heads[titles] = self._shortened(titles)
        return self._heads[titles]

    def _shortened(self, titles: tuple[str, ...]) -> "_Head":
        """Drop the outermost titles until the path takes a quarter of the limit or less."""
        for first in range(len(titles)):
            prefix = HEADING_SEPARATOR.join(titles[first:]) + "\n"
            token_count = len(self._tokenize(prefix))
            if token_count <= self._max_tokens // 4:
                return _Head(titles[first:], prefix, token_count)
        return _Head()


@dataclass(frozen=True, slots=True)
class _Head:
    """The heading path above the text of a passage."""

    headings: tuple[str, ...] = ()
    prefix: str = ""
    token_count: int = field(default=0)
