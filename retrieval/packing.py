"""Packing: hits in rank order become the passages of a prompt, within a budget of tokens.

Pure: the same hits and texts give the same passages. Each passage is a span of a document's
canonical text, so what is cited from it is found in the document.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from retrieval.chunks import Chunk, Hit, make_passage
from retrieval.sentence_ranking import whole_id
from retrieval.stitching import Draft, LabelTokens, Stitcher, Stretch, TextOf


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
        default=None,
        ge=1,
        strict=True,
        description="Most tokens of all passages with their labels; unset: any.",
    )
    order: Order = Field(default=Order.STABLE, description="Of the passages in the prompt.")
    expand: bool = Field(
        default=False,
        strict=True,
        description="Spend tokens that the hits leave on the sections around them, best hit first.",
    )
    sentences: bool = Field(
        default=False,
        strict=True,
        description="Fill `max_tokens` with the sentences of the hits that share most words with "
        "the question, instead of with whole chunks. Not together with `expand`.",
    )
    sentence_dense_weight: float = Field(
        default=0,
        ge=0,
        le=1,
        strict=True,
        description="With `sentences`, weight of the similarity of their vectors to that of the "
        "question, against that of words. Above 0 the embedder reads the sentences of the first 50 "
        "hits; those of others have their words alone.",
    )
    sentence_margin: float | None = Field(
        default=None,
        ge=0,
        strict=True,
        description="With `sentences`, how far a sentence may score below the best. All words of "
        "the question score 1 together, and so does the most similar vector; each doubling of a "
        "hit's rank takes 0.15 off. Unset: any.",
    )

    @model_validator(mode="after")
    def _check(self) -> "PackingPolicy":
        if self.sentence_margin is not None and not self.sentences:
            raise ValueError("`sentence_margin` is about `sentences`: set it to true as well.")
        if self.sentence_dense_weight and not self.sentences:
            raise ValueError("`sentence_dense_weight` is about `sentences`: set it to true, too.")
        if self.expand and self.sentences:
            raise ValueError(
                "`expand` and `sentences` exclude each other: one adds text around the hits, the "
                "other leaves text of them out."
            )
        return self


class Reason(StrEnum):
    """Why a chunk is in no passage."""

    DUPLICATE = "duplicate"
    OVER_BUDGET = "over_budget"
    LOW_SCORE = "low_score"
    """Sentences of it score too far below the best one; if there are others, passages say them."""


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
        hits: whose chunks are in it, best first; one may be there in part.
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
    """The passages, and what became of the hits: each is in passages or dropped.

    It is in one passage, or where sentences are packed in as many as these make.

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
        """How many chunks are in the passages, whole or in part."""
        return len({hit.chunk.chunk_id for passage in self.passages for hit in passage.hits})


def pack(
    hits: Sequence[Hit],
    text_of: TextOf,
    count_tokens: Callable[[str], int],
    policy: PackingPolicy,
    label_tokens: LabelTokens = lambda _: 0,
    sentences: Sequence[Chunk] = (),
) -> Packing:
    """Pack hits, best first, until the budget is spent.

    - A chunk that overlaps a passage of its document, or has only white space between, is stitched
      to it: one label and one head less. Over white space this needs the document's text.
    - A chunk of which a passage has all sentences, under the same headings, is dropped: it is
      contained in the sense of Broder (SEQUENCES 1997), with sentences for shingles. A sentence
      with another number, name or `not` is another sentence.
    - The first chunk that does not fit is cut behind a sentence, and no more are taken. Only where
      not even a sentence fits is the next one tried.
    - Where the policy says `sentences` the same is done with the sentences of the hits, those first
      that say most about the question; they are not cut.

    Args:
        hits: of different chunks, best first.
        text_of: gives the canonical texts; called for documents that have several hits.
        count_tokens: of the model that reads the prompt.
        policy: the budget, and how to use it.
        label_tokens: of each passage.
        sentences: of the hits, best first, see `SentenceRanker`; packed if the policy says so.
    """
    parts = sentences if policy.sentences else [hit.chunk for hit in hits]
    stitcher = Stitcher(parts, text_of, count_tokens, label_tokens, are_cut=not policy.sentences)
    ranks = {part.chunk_id: rank for rank, part in enumerate(parts)}
    draft = Draft(stitcher)
    left_out = [
        _drop(part, draft, ranks) for part in parts if not draft.take(part, policy.max_tokens)
    ]
    if policy.expand:
        expand(draft, ranks, policy.max_tokens)
    places = {hit.chunk.chunk_id: place for place, hit in enumerate(hits)}
    passages = [
        _to_passage(stretch, stitcher.text(stretch), hits, places)
        for stretch in sorted(draft.stretches, key=lambda one: one.first_of(ranks))
    ]
    return Packing(
        passages=tuple(in_order(passages, policy.order)),
        dropped=tuple(_drop_hits(hits, parts, passages, left_out)),
        tokens_before=sum(
            count_tokens(hit.chunk.passage) + label_tokens(hit.chunk.document_id) for hit in hits
        ),
        tokens_after=draft.num_tokens,
    )


def expand(draft: Draft, ranks: Mapping[str, int], max_tokens: int | None) -> None:
    """Widen stretches to the parent windows of their chunks as far as the budget goes.

    Args:
        draft: within the budget.
        ranks: of all its chunks by their ids; what ranks best is widened first.
        max_tokens: the budget; None: any.
    """
    for stretch in sorted(draft.stretches, key=lambda one: one.first_of(ranks)):
        for chunk in sorted(stretch.chunks, key=lambda one: ranks[one.chunk_id]):
            draft.widen(chunk, max_tokens)


def _drop(chunk: Chunk, draft: Draft, ranks: Mapping[str, int]) -> Dropped:
    twins = [] if draft.is_full else draft.twins(chunk)
    if not twins:
        return Dropped(chunk.chunk_id, Reason.OVER_BUDGET)
    said = [one.chunk_id for twin in twins for one in twin.chunks]
    return Dropped(chunk.chunk_id, Reason.DUPLICATE, min(said, key=ranks.__getitem__))


def _drop_hits(
    hits: Sequence[Hit],
    parts: Sequence[Chunk],
    passages: Sequence[Passage],
    left_out: Sequence[Dropped],
) -> Iterator[Dropped]:
    """Yield the hits that are in no passage; a duplicate is one of which all parts are."""
    packed = {hit.chunk.chunk_id for passage in passages for hit in passage.hits}
    parts_of: defaultdict[str, list[Chunk]] = defaultdict(list)
    for part in parts:
        parts_of[whole_id(part.chunk_id)].append(part)
    twin_of = {one.chunk_id: one.duplicate_of for one in left_out}
    for hit in hits:
        chunk_id = hit.chunk.chunk_id
        if chunk_id in packed:
            continue
        twins = [twin_of[part.chunk_id] for part in parts_of[chunk_id]]
        said = [twin for twin in twins if twin is not None]
        if len(said) < len(twins):
            yield Dropped(chunk_id, Reason.OVER_BUDGET)
        elif said and _are_all_of(hit.chunk, parts_of[chunk_id]):
            yield Dropped(chunk_id, Reason.DUPLICATE, whole_id(said[0]))
        else:
            yield Dropped(chunk_id, Reason.LOW_SCORE)


def _are_all_of(chunk: Chunk, parts: Sequence[Chunk]) -> bool:
    """Tell whether parts say all of a chunk; only white space is between them."""
    said = "".join(part.text for part in parts)
    return len("".join(said.split())) == len("".join(chunk.text.split()))


def _to_passage(
    stretch: Stretch, text: str, hits: Sequence[Hit], places: Mapping[str, int]
) -> Passage:
    inside = sorted({places[whole_id(part.chunk_id)] for part in stretch.chunks})
    return Passage(
        document_id=stretch.document_id,
        revision=stretch.revision,
        start=stretch.start,
        end=stretch.end,
        text=text,
        headings=stretch.headings,
        table_header=stretch.table_header,
        hits=tuple(hits[place] for place in inside),
        num_tokens=stretch.num_tokens,
    )


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
