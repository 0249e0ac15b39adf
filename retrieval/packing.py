"""Packing: hits in rank order become the passages of a prompt, within a budget of tokens.

Pure: the same hits and texts give the same passages. Each passage is a span of a document's
canonical text, so what is cited from it is found in the document.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from retrieval.chunks import Chunk, Hit, make_passage
from retrieval.sentences import sentence_spans

# White space between two chunks that are stitched, in characters; chunkers leave a blank line.
MAX_BLANK = 100

TextOf = Callable[[str, str], str | None]
"""(document id, revision) -> the canonical text, or None where it is not kept."""
LabelTokens = Callable[[str], int]
"""document id -> tokens that the prompt adds to each of its passages: number, file name."""


class Placed(Protocol):
    """What has a place in a document, as a passage has."""

    @property
    def document_id(self) -> str:
        """The document."""

    @property
    def revision(self) -> str:
        """Of the document."""

    @property
    def start(self) -> int:
        """First character in the canonical text."""


P = TypeVar("P", bound=Placed)


class Order(StrEnum):
    """In which order the passages stand in the prompt."""

    SCORE = "score"
    """Best first."""
    POSITION = "position"
    """By place in their documents, these by their best passage (Yu et al., arXiv 2409.01666)."""
    EDGES = "edges"
    """Best first, second best last, worst in the middle (Liu et al., arXiv 2307.03172)."""
    STABLE = "stable"
    """By document and place whatever the question: prompts share prefixes that servers cache."""


class PackingPolicy(BaseModel):
    """How a context is packed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_tokens: int | None = Field(
        default=None, ge=1, description="Most tokens of all passages with their labels; unset: any."
    )
    order: Order = Field(default=Order.STABLE, description="Of the passages in the prompt.")
    expand: bool = Field(
        default=False,
        description="Spend tokens that the hits leave on the sections around them, best hit first.",
    )


class Reason(StrEnum):
    """Why a chunk is in no passage."""

    DUPLICATE = "duplicate"
    OVER_BUDGET = "over_budget"


@dataclass(frozen=True, slots=True)
class Dropped:
    """A chunk that is in no passage.

    Attributes:
        duplicate_of: of a duplicate, the best chunk of the passage that says all it says.
    """

    chunk_id: str
    reason: Reason
    duplicate_of: str | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A span of a document's canonical text that goes into the prompt.

    Attributes:
        document_id: document the span belongs to.
        revision: SHA-256 of the document's bytes, hexadecimal.
        start: first character in the canonical text.
        end: one past the last character.
        text: the canonical text from `start` to `end`, exactly.
        headings: titles of the sections around the start, without those the text begins with.
        table_header: header row of the table that the text continues, or the empty string.
        hits: whose chunks are in it, best first; one may be there without its end.
        num_tokens: of the label and `prompt_text`.
    """

    document_id: str
    revision: str
    start: int
    end: int
    text: str
    headings: tuple[str, ...]
    table_header: str
    hits: tuple[Hit, ...]
    num_tokens: int

    @property
    def prompt_text(self) -> str:
        """What is prompted, see `make_passage`."""
        return make_passage(self.headings, self.table_header, self.text)

    @property
    def score(self) -> float:
        """The score of its best hit."""
        return self.hits[0].score


@dataclass(frozen=True, slots=True)
class Packing:
    """The passages, and what became of the hits: each is in one passage or dropped.

    Attributes:
        passages: in the order of the policy; no character is in two.
        dropped: in the order of the hits.
        tokens_before: of all hits, each with its head and a label.
        tokens_after: of the passages; never above the budget.
    """

    passages: tuple[Passage, ...]
    dropped: tuple[Dropped, ...]
    tokens_before: int
    tokens_after: int

    @property
    def num_chunks(self) -> int:
        """How many chunks are in the passages."""
        return sum(len(passage.hits) for passage in self.passages)


def pack(
    hits: Sequence[Hit],
    text_of: TextOf,
    count_tokens: Callable[[str], int],
    policy: PackingPolicy,
    label_tokens: LabelTokens = lambda _: 0,
) -> Packing:
    """Pack hits, best first, until the budget is spent.

    - A chunk that overlaps a passage of its document, or has only white space between, is stitched
      to it: one label and one head less. Over white space this needs the document's text.
    - A chunk of which a passage has all sentences, under the same headings, is dropped: it is
      contained in the sense of Broder (SEQUENCES 1997), with sentences for shingles. A sentence
      with another number, name or `not` is another sentence.
    - The first chunk that does not fit is cut behind a sentence, and no more are taken. Only where
      not even a sentence fits is the next one tried.

    Args:
        hits: of different chunks, best first.
        text_of: gives the canonical texts; called for documents that have several hits.
        count_tokens: of the model that reads the prompt.
        policy: the budget, and how to use it.
        label_tokens: of each passage.
    """
    packer = Packer(Excerpts(text_of, count_tokens, label_tokens), policy.max_tokens)
    for hit in hits:
        packer.add(hit)
    if policy.expand:
        packer.expand()
    return Packing(
        passages=tuple(in_order(packer.passages, policy.order)),
        dropped=tuple(packer.dropped),
        tokens_before=sum(
            count_tokens(hit.chunk.passage) + label_tokens(hit.chunk.document_id) for hit in hits
        ),
        tokens_after=packer.num_tokens,
    )


class Excerpts:
    """Cuts passages out of texts and counts them; what it has cut and counted it remembers."""

    def __init__(
        self,
        text_of: TextOf,
        count_tokens: Callable[[str], int],
        label_tokens: LabelTokens = lambda _: 0,
    ) -> None:
        """Set up, see `pack`."""
        self._text_of = text_of
        self._count_tokens = count_tokens
        self._label_tokens = label_tokens
        self._sentence_ends: dict[str, list[int]] = {}
        self._statements: dict[str, frozenset[str]] = {}
        self._bodies: dict[tuple[str, int, int], _Body] = {}

    def has_text(self, chunk: Chunk) -> bool:
        """Tell whether the text that a chunk was cut from is kept."""
        return self._text_of(chunk.document_id, chunk.revision) is not None

    def statements(self, chunk: Chunk) -> frozenset[str]:
        """Return what a chunk says: its sentences and the lines above it, white space made one."""
        if chunk.chunk_id not in self._statements:
            sentences = (chunk.text[start:end] for start, end in sentence_spans(chunk.text))
            lines = (chunk.heading_path, chunk.table_header, *sentences)
            self._statements[chunk.chunk_id] = frozenset(" ".join(line.split()) for line in lines)
        return self._statements[chunk.chunk_id]

    def sentence_ends(self, chunk: Chunk) -> list[int]:
        """Return where the sentences of a chunk end in the canonical text, but for the last one."""
        if chunk.chunk_id not in self._sentence_ends:
            ends = [chunk.start + end for _, end in sentence_spans(chunk.text)[:-1]]
            self._sentence_ends[chunk.chunk_id] = ends
        return self._sentence_ends[chunk.chunk_id]

    def is_blank(self, chunk: Chunk, start: int, end: int) -> bool:
        """Tell whether the text of a chunk has only white space between two offsets."""
        if end - start > MAX_BLANK:
            return False
        text = self._text_of(chunk.document_id, chunk.revision)
        return text is not None and text[start:end].isspace()

    def passage(self, hits: Sequence[Hit], start: int, end: int) -> Passage:
        """Return the passage of a span.

        Args:
            hits: whose chunks are in it, best first.
            start: first character in the canonical text.
            end: one past the last character.
        """
        body = self._body(hits, start, end)
        return Passage(
            document_id=hits[0].chunk.document_id,
            revision=hits[0].chunk.revision,
            start=start,
            end=end,
            text=body.text,
            headings=body.headings,
            table_header=body.table_header,
            hits=tuple(hits),
            num_tokens=body.num_tokens,
        )

    def num_tokens(self, hits: Sequence[Hit], start: int, end: int) -> int:
        """Return the tokens of the passage of a span; its hits may come in any order."""
        return self._body(hits, start, end).num_tokens

    def _body(self, hits: Sequence[Hit], start: int, end: int) -> "_Body":
        first = hits[0].chunk
        if len(hits) > 1:
            first = min((hit.chunk for hit in hits), key=lambda one: (one.start, one.chunk_id))
        key = (first.chunk_id, start, end)
        body = self._bodies.get(key)
        if body is None:
            body = self._bodies[key] = self._cut(hits, first, start, end)
        return body

    def _cut(self, hits: Sequence[Hit], first: Chunk, start: int, end: int) -> "_Body":
        text = self._slice([hit.chunk for hit in hits], start, end)
        headings, table_header = _head(first, text, first.start - start)
        num_tokens = self._count_tokens(make_passage(headings, table_header, text))
        label_tokens = self._label_tokens(first.document_id)
        return _Body(text, headings, table_header, num_tokens + label_tokens)

    def _slice(self, chunks: list[Chunk], start: int, end: int) -> str:
        """Return a span of the canonical text; of a text that is not kept, by its chunks."""
        chunks.sort(key=lambda chunk: chunk.start)
        if len(chunks) > 1 or start < chunks[0].start or end > chunks[0].end:
            text = self._text_of(chunks[0].document_id, chunks[0].revision)
            if text is not None:
                return text[start:end]
        pieces = ""
        for chunk in chunks:
            pieces += chunk.text[start + len(pieces) - chunk.start :]
        return pieces[: end - start]


@dataclass(frozen=True, slots=True)
class _Body:
    """What a passage has whatever its hits are."""

    text: str
    headings: tuple[str, ...]
    table_header: str
    num_tokens: int


@dataclass(slots=True)
class Packer:
    """A packing under way; hits are added best first.

    Attributes:
        excerpts: cuts the passages.
        max_tokens: most tokens of all passages with their labels; None: any.
        passages: best first; a list that is replaced, not changed.
        num_tokens: of all passages with their labels.
        dropped: what is in no passage, in the order it was added.
        is_full: whether a chunk was cut, so that no more are taken.
    """

    excerpts: Excerpts
    max_tokens: int | None = None
    passages: Sequence[Passage] = ()
    num_tokens: int = 0
    dropped: list[Dropped] = field(default_factory=list)
    is_full: bool = False
    _ranks: dict[str, int] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)

    def fork(self, passages: Sequence[Passage], max_tokens: int) -> "Packer":
        """Return a packer that goes on from an earlier state, within a budget that this one kept.

        Args:
            passages: that there were then; what it is given next must come in the same order.
            max_tokens: the budget.
        """
        hits = [hit for passage in passages for hit in passage.hits]
        return replace(
            self,
            max_tokens=max_tokens,
            passages=passages,
            num_tokens=sum(passage.num_tokens for passage in passages),
            dropped=[],
            _known=set().union(*(self.excerpts.statements(hit.chunk) for hit in hits)),
        )

    def add(self, hit: Hit) -> None:
        """Take a hit or drop it."""
        chunk = hit.chunk
        self._ranks.setdefault(chunk.chunk_id, len(self._ranks))
        twin = None if self.is_full else self._twin(chunk)
        if twin is not None:
            self.dropped.append(Dropped(chunk.chunk_id, Reason.DUPLICATE, twin))
        elif self.is_full or not (self._place(hit, chunk.start, chunk.end) or self._place_cut(hit)):
            self.dropped.append(Dropped(chunk.chunk_id, Reason.OVER_BUDGET))

    def expand(self) -> None:
        """Widen passages to the parent windows of their hits as far as the budget goes."""
        for hit in [hit for passage in self.passages for hit in passage.hits]:
            if self.excerpts.has_text(hit.chunk):
                self._place(hit, hit.chunk.parent_start, hit.chunk.parent_end)

    def _twin(self, chunk: Chunk) -> str | None:
        """Return the best chunk of a passage that has all that a chunk says, if there is one."""
        statements = self.excerpts.statements(chunk)
        if not statements <= self._known:
            return None
        for passage in self.passages:
            if not _contains(passage, chunk):
                said = (self.excerpts.statements(hit.chunk) for hit in passage.hits)
                if statements <= frozenset().union(*said):
                    return passage.hits[0].chunk.chunk_id
        return None

    def _place(self, hit: Hit, start: int, end: int) -> bool:
        """Put a span of a hit's document in, stitched to the passages it touches, if it fits."""
        document_id, revision = hit.chunk.document_id, hit.chunk.revision
        touched = [
            one
            for one in self.passages
            if one.document_id == document_id
            and one.revision == revision
            and self._touches(one, hit.chunk, start, end)
        ]
        hits = [hit]
        num_tokens = self.num_tokens
        for passage in touched:
            start, end = min(start, passage.start), max(end, passage.end)
            hits += passage.hits
            num_tokens -= passage.num_tokens
        num_tokens += self.excerpts.num_tokens(hits, start, end)
        if self.max_tokens is not None and num_tokens > self.max_tokens:
            return False
        self.num_tokens = num_tokens
        if touched:
            hits = sorted({one.chunk.chunk_id: one for one in hits}.values(), key=self._rank)
            passage = self.excerpts.passage(hits, start, end)
            others = [one for one in self.passages if one not in touched]
            self.passages = sorted([*others, passage], key=self._place_of)
        else:  # hits come best first
            self.passages = [*self.passages, self.excerpts.passage(hits, start, end)]
        self._known |= self.excerpts.statements(hit.chunk)
        return True

    def _place_cut(self, hit: Hit) -> bool:
        """Put as many of the first sentences of a chunk into the passages as fit, but not all."""
        start, ends = hit.chunk.start, self.excerpts.sentence_ends(hit.chunk)
        if not ends or not self._place(hit, start, ends[0]):
            return False
        self.is_full = True
        for end in reversed(ends[1:]):
            if self._place(hit, start, end):
                break
        return True

    def _touches(self, passage: Passage, chunk: Chunk, start: int, end: int) -> bool:
        """Tell whether there is nothing but white space between a passage and a span of a text."""
        blank_start, blank_end = min(passage.end, end), max(passage.start, start)
        return blank_start >= blank_end or self.excerpts.is_blank(chunk, blank_start, blank_end)

    def _rank(self, hit: Hit) -> int:
        return self._ranks[hit.chunk.chunk_id]

    def _place_of(self, passage: Passage) -> int:
        return self._ranks[passage.hits[0].chunk.chunk_id]


def _contains(passage: Passage, chunk: Chunk) -> bool:
    is_inside = passage.start <= chunk.start and chunk.end <= passage.end
    is_same = (passage.document_id, passage.revision) == (chunk.document_id, chunk.revision)
    return is_inside and is_same


def _head(chunk: Chunk, text: str, offset: int) -> tuple[tuple[str, ...], str]:
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


def in_order(passages: Sequence[P], order: Order) -> list[P]:
    """Order passages that come best first."""
    if order is Order.EDGES:
        return [*passages[::2], *reversed(passages[1::2])]
    if order is Order.STABLE:
        return sorted(passages, key=lambda one: (one.document_id, one.revision, one.start))
    if order is Order.POSITION:
        documents = list(dict.fromkeys((one.document_id, one.revision) for one in passages))
        return sorted(
            passages,
            key=lambda one: (documents.index((one.document_id, one.revision)), one.start),
        )
    return list(passages)
