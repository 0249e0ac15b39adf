"""Gold: where the evidence of a question stands, and how much of it contexts hold."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from eval.questions import Fact
from eval.spans import RetrievedSpan, score_spans
from retrieval.chunks import Chunk
from retrieval.sentence_ranking import whole_id
from retrieval.stitching import MAX_BLANK, Draft, Seam, Stretch

Evidence = tuple[float, float, int, int]
"""Of a context: the share of the evidence that it holds, in [0, 1]; 1 when all facts are there,
else 0; tokens of the passages with their labels; chunks in them."""
_Told = frozenset[tuple[str, int]]
"""The chunks near the evidence that are in a draft, and up to which offset."""


class Gold:
    """The evidence of a question. Only chunks near it tell how much of it a context holds."""

    def __init__(self, facts: Sequence[Fact], revisions: Mapping[str, tuple[str, str]]) -> None:
        """Set up.

        Args:
            facts: with anchored spans.
            revisions: name of a document -> its id and revision.
        """
        self._facts = facts
        self._places = [
            _Place(span.document, *revisions[span.document], span.start, span.end)
            for fact in facts
            for span in fact
            if span.document in revisions and span.start is not None and span.end is not None
        ]
        self._is_near: dict[str, bool] = {}
        self._scores: dict[_Told, tuple[float, float]] = {}

    def is_near(self, chunk: Chunk) -> bool:
        """Tell whether a chunk, or a blank beside it, may hold some of the evidence."""
        is_near = self._is_near.get(chunk.chunk_id)
        if is_near is None:
            is_near = any(place.is_near(chunk, MAX_BLANK) for place in self._places)
            self._is_near[chunk.chunk_id] = is_near
        return is_near

    def scores(self, told: _Told, draft: Draft) -> tuple[float, float]:
        """Return recall and sufficiency of a draft, of all with the same chunks near at once."""
        scores = self._scores.get(told)
        if scores is None:
            scores = self._scores[told] = self.score(draft)
        return scores

    def score(self, draft: Draft) -> tuple[float, float]:
        """Return recall and sufficiency of any draft."""
        spans = [
            RetrievedSpan(place.name, one.start, one.end, one.num_tokens)
            for one in draft.stretches
            for place in self._places
            if place.is_near(one)
        ]
        scores = score_spans(self._facts, spans)
        return scores.recall, scores.sufficient


class Context:
    """A draft, and what it holds of the evidence."""

    __slots__ = ("_chunk_ids", "_gold", "_scores", "_told", "draft")

    def __init__(self, draft: Draft, gold: Gold, told: _Told = frozenset()) -> None:
        """Set up.

        Args:
            draft: to be added to.
            gold: what is looked for.
            told: by the chunks in the draft.
        """
        self.draft = draft
        self._gold = gold
        self._told = told
        self._scores = gold.scores(told, draft)
        # Of whole chunks, where what is added are their sentences.
        self._chunk_ids = {whole_id(one) for one in draft.chunk_ids}

    @property
    def evidence(self) -> Evidence:
        """What it holds now."""
        return (*self._scores, self.draft.num_tokens, len(self._chunk_ids))

    def copy(self) -> "Context":
        """Return a context of the same that goes its own way."""
        return Context(self.draft.copy(), self._gold, self._told)

    def add(self, seam: Seam, end: int) -> None:
        """Add a chunk up to an offset."""
        self.draft.add(seam, end)
        self._chunk_ids.add(whole_id(seam.chunk.chunk_id))
        if self._gold.is_near(seam.chunk):
            self._told |= {(seam.chunk.chunk_id, end)}
            self._scores = self._gold.scores(self._told, self.draft)

    def evidence_with(self, seam: Seam, end: int) -> Evidence:
        """Return what it would hold with a chunk up to an offset."""
        if self._gold.is_near(seam.chunk):
            longer = self.copy()
            longer.add(seam, end)
            return longer.evidence
        draft = self.draft
        num_tokens = draft.num_tokens + seam.num_tokens(end)
        return (*self._scores, num_tokens, len(draft.chunk_ids) + 1)


class _Place(NamedTuple):
    name: str
    document_id: str
    revision: str
    start: int
    end: int

    def is_near(self, one: Chunk | Stretch, num_characters: int = 0) -> bool:
        """Tell whether no more than some characters are between this and something."""
        is_same = (one.document_id, one.revision) == (self.document_id, self.revision)
        before, after = one.start - self.end, self.start - one.end
        return is_same and before <= num_characters and after <= num_characters
