"""Cuts a canonical text into chunks at its structure, counted in tokens of the embedder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingest.boundaries import Boundaries, is_word_break, last_word_break
from ingest.heads import Head, Heads
from ingest.parents import parent_windows
from ingest.sections import Section, Sections
from ingest.settings import IngestSettings
from ingest.tables import Tables
from ingest.texts import CanonicalText
from ingest.token_positions import TokenPositions, TokenStarts
from retrieval.chunk_ids import make_chunk_id
from retrieval.chunks import Chunk

_ALGORITHM = "structure-2"
# One character can be 18 tokens (U+FDFA under NFKC), and a head takes up to half of the limit.
MIN_MAX_TOKENS = 32


@dataclass(frozen=True, slots=True)
class Chunker:
    """Splits canonical texts.

    Attributes:
        max_tokens: upper bound for the tokens of a chunk's passage, special tokens left out.
        tokenize: the tokenizer of the embedder that will read the passages.
        overlap_tokens: most tokens at the end of a chunk that the next one repeats; at most half
            of `max_tokens`.
        min_tokens: a chunk with less text is joined with a neighbour if both fit into one; at most
            half of `max_tokens`.
    """

    max_tokens: int
    tokenize: TokenStarts
    overlap_tokens: int = 0
    min_tokens: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes with which a text could not be cut."""
        if self.max_tokens < MIN_MAX_TOKENS:
            raise ValueError(f"max_tokens is {self.max_tokens}, but at least {MIN_MAX_TOKENS}.")
        for name in ("overlap_tokens", "min_tokens"):
            if not 0 <= getattr(self, name) <= self.max_tokens // 2:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, but from 0 to half of max_tokens, "
                    f"{self.max_tokens // 2}."
                )

    @classmethod
    def for_embedder(
        cls, settings: IngestSettings, max_tokens: int, tokenize: TokenStarts
    ) -> "Chunker":
        """Return the chunker of the settings, cut down to what an embedder can read.

        Args:
            settings: the sizes wanted.
            max_tokens: longest passage that the embedder reads, special tokens left out.
            tokenize: its tokenizer.
        """
        longest = min(settings.chunk_tokens, max_tokens)
        shortest = settings.chunk_min_tokens
        return cls(
            max_tokens=longest,
            tokenize=tokenize,
            overlap_tokens=min(settings.chunk_overlap_tokens, longest // 2),
            min_tokens=longest // 4 if shortest is None else min(shortest, longest // 2),
        )

    @property
    def fingerprint(self) -> str:
        """What decides where a text is cut, but for the tokenizer."""
        sizes = f"max={self.max_tokens}/overlap={self.overlap_tokens}/min={self.min_tokens}"
        return f"{_ALGORITHM}/{sizes}"

    def split(
        self, document_id: str, revision: str, text: CanonicalText, title: str = ""
    ) -> list[Chunk]:
        """Return the chunks of a document, in order.

        They cover every character that is not white space, and none more than twice. They overlap
        only within a section.

        Args:
            document_id: of the document.
            revision: of its bytes.
            text: that is cut.
            title: what users call the document.
        """
        splitting = _Splitting(self, text)
        pieces = splitting.pieces()
        name = f"{document_id}\n{revision}\n{self.fingerprint}"
        return [
            Chunk(
                chunk_id=make_chunk_id(f"{name}\n{ordinal}"),
                document_id=document_id,
                revision=revision,
                start=piece.start,
                end=piece.end,
                text=text.text[piece.start : piece.end],
                headings=piece.head.headings,
                page_start=text.page_at(piece.start),
                page_end=text.page_at(piece.end - 1),
                token_count=piece.token_count,
                parent_start=parent_start,
                parent_end=parent_end,
                table_header=piece.head.table_header,
                place=text.place_at(piece.start),
                title=title,
            )
            for ordinal, (piece, (parent_start, parent_end)) in enumerate(
                zip(pieces, splitting.parents(pieces), strict=True)
            )
        ]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A chunk to be.

    Attributes:
        start: first character, overlap included.
        fresh: first character that no piece before has.
        end: one past the last character.
        head: what stands above the text.
        token_count: tokens of head and text.
    """

    start: int
    fresh: int
    end: int
    head: Head
    token_count: int


class _Splitting:
    """One text on its way to become chunks; it is tokenised once, then counted by positions."""

    def __init__(self, chunker: Chunker, text: CanonicalText) -> None:
        self._chunker = chunker
        self._max_tokens = chunker.max_tokens
        self._text = text.text
        self._tokens = TokenPositions(text.text, chunker.tokenize)
        self._tables = Tables(text.text)
        self._sections = Sections(text)
        self._boundaries = Boundaries(text, self._sections.all, self._tables)
        self._heads = Heads(
            text.text, self._sections, self._tables, chunker.tokenize, chunker.max_tokens
        )

    def pieces(self) -> list[_Piece]:
        """Cut the text; join what is too small."""
        pieces: list[_Piece] = []
        for piece in self._cut_pieces():
            joined = self._joined(pieces[-1], piece) if pieces else None
            if joined:
                pieces[-1] = joined
            else:
                pieces.append(piece)
        return pieces

    def parents(self, pieces: Sequence[_Piece]) -> Iterator[tuple[int, int]]:
        """Yield the parent window of each piece."""
        spans = [(piece.start, piece.end) for piece in pieces]
        return parent_windows(spans, self._sections, self._tokens, self._max_tokens)

    def _cut_pieces(self) -> Iterator[_Piece]:
        for start, end in self._groups():
            fresh, last = self._trim(start, end)
            piece_start = fresh
            while fresh < last:
                piece = self._piece(piece_start, fresh, last)
                yield piece
                fresh, _ = self._trim(piece.end, last)
                piece_start = self._overlap_start(piece, fresh)

    def _groups(self) -> list[tuple[int, int]]:
        """Join each section too small for a chunk of its own with those that follow."""
        groups: list[tuple[int, int]] = []
        opening = self._sections.all[0]
        is_bare = True
        for section in self._sections.all:
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
        return self._tokens.count(opening.start, section.start) >= self._chunker.min_tokens

    def _joined(self, piece: _Piece, following: _Piece) -> _Piece | None:
        """Return both pieces as one if one of them is too small and they fit."""
        if piece.head.table_header and self._tables.at(piece.start) != self._tables.at(
            following.fresh
        ):
            return None  # the header would stand above what is not in its table
        sizes = [self._tokens.count(one.fresh, one.end) for one in (piece, following)]
        if min(sizes) >= self._chunker.min_tokens:
            return None
        if following.end > self._tokens.forward(piece.start, self._max_tokens):
            return None
        joined = self._measured(piece.start, piece.fresh, following.end, piece.head)
        return joined if joined.token_count <= self._max_tokens else None

    def _piece(self, start: int, fresh: int, end: int) -> _Piece:
        """Return the next piece: as full as the limit allows, with words and rows left whole.

        Where they do not fit, the overlap or the head makes room.
        """
        tried: list[tuple[int, int, _Piece]] = []
        for first in dict.fromkeys((start, fresh)):
            for head in self._heads.at(first):
                piece = self._longest(first, fresh, end, head)
                tried.append((self._flaw(piece, end), len(tried), piece))
                if tried[-1][0] == 0:
                    return piece
        return min(tried)[2]

    def _longest(self, start: int, fresh: int, end: int, head: Head) -> _Piece:
        room = self._max_tokens - head.token_count - self._tokens.count(start, fresh)
        budget = max(1, room)
        while True:
            piece_end = self._trim(fresh, self._cut(fresh, end, budget))[1]
            piece = self._measured(start, fresh, piece_end, head)
            # A slice may have other tokens at its ends than the whole text has there.
            excess = piece.token_count - self._max_tokens
            if excess <= 0 or budget == 1:
                return piece
            budget = max(1, budget - excess)

    def _measured(self, start: int, fresh: int, end: int, head: Head) -> _Piece:
        passage = head.passage(self._text[start:end])
        return _Piece(start, fresh, end, head, len(self._chunker.tokenize(passage)))

    def _flaw(self, piece: _Piece, end: int) -> int:
        """Return what is wrong with a piece: 0 nothing, 1 it ends in a table row, 2 in a word.

        3: it is too long, or has more overlap than the head leaves room for.
        """
        num_old = self._tokens.count(piece.start, piece.fresh)
        is_crowded = num_old > 0 and num_old + piece.head.token_count > 3 * self._max_tokens // 4
        if is_crowded or piece.token_count > self._max_tokens:
            return 3
        following, _ = self._trim(piece.end, end)
        if following == end:
            return 0
        if not is_word_break(self._text, piece.end):
            return 2
        is_in_row = self._tables.at(following) and "\n" not in self._text[piece.end : following]
        return 1 if is_in_row else 0

    def _cut(self, start: int, end: int, budget: int) -> int:
        """Return where to cut so that at most `budget` tokens lie between."""
        highest = self._tokens.forward(start, budget)
        if highest >= end:
            return end
        balanced = self._balanced(start, end, budget)
        min_tokens = self._chunker.min_tokens
        for num_tokens, upper in (
            (budget // 2, balanced),
            (min_tokens, balanced),
            (min_tokens, highest),
            (1, highest),
        ):
            lowest = max(start + 1, self._tokens.forward(start, num_tokens))
            boundary = self._boundaries.last(lowest, upper)
            if boundary is not None:
                return boundary
        sentence_end = self._boundaries.after(highest) or end
        for upper in (self._balanced(start, min(sentence_end, end), budget), highest):
            cut = self._word_cut(start, upper)
            if cut is not None:
                return cut
        return max(highest, start + 1)

    def _balanced(self, start: int, end: int, budget: int) -> int:
        """Return the farthest cut that leaves no scrap before `end`.

        Where two chunks are left, they take 2 / 3 and 1 / 3 at worst.
        """
        total = self._tokens.count(start, end)
        num_tokens = 2 * total // 3 if budget < total < 3 * budget // 2 else budget
        return self._tokens.forward(start, min(budget, num_tokens))

    def _word_cut(self, start: int, highest: int) -> int | None:
        """Cut between words, or, where a heading keeps to a table row, between these two."""
        table = self._tables.at(highest)
        row = self._text.rfind("\n", start, highest) + 1
        if table and row:
            row_end = self._text.find("\n", highest, table.end)
            if self._tokens.count(row, table.end if row_end < 0 else row_end) <= self._max_tokens:
                return row
        return last_word_break(self._text, start + 1, highest)

    def _overlap_start(self, piece: _Piece, fresh: int) -> int:
        """Return where the piece after this one begins, whose new text begins at `fresh`."""
        lowest = max(
            piece.start + 1,
            piece.fresh,  # what two chunks have is not repeated
            self._sections.at(fresh).start,
            self._tokens.backward(piece.end, self._chunker.overlap_tokens),
        )
        start = self._boundaries.first_sentence(lowest, piece.end - 1)
        return fresh if start is None else start

    def _trim(self, start: int, end: int) -> tuple[int, int]:
        while start < end and self._text[start].isspace():
            start += 1
        while start < end and self._text[end - 1].isspace():
            end -= 1
        return start, end
