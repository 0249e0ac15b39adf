"""Layout: which earlier turns a prompt has, with which passages, and what goes to the question."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from retrieval.chunks import Chunk, Hit
from retrieval.packing import Packing, PackingPolicy
from retrieval.sentence_ranking import SentenceRanker, whole_id
from serving.context import Context, ContextItem, Documents, build_context, num_tokens
from serving.generation import Message, Turn
from serving.memory import Exchange
from serving.prompt import write_prompt

# Passages of earlier turns go along while they are at most so many times those of this turn.
MAX_RECALLED = 3


@dataclass(frozen=True, slots=True)
class Layout:
    """The fixed part of a prompt, and what may be packed into the rest.

    Attributes:
        documents: that the passages are from.
        hits: of the search, best first.
        count_tokens: of the model that reads the prompt.
        policy: of the packing.
        ranker: of their sentences.
        query: that they were found with.
        nonce: of the fences.
        question: what is asked now.
        history: earlier turns.
        exchanges: the same with their passages; empty when questions and answers do not take turns.
        is_json: whether the answer must be JSON.
    """

    documents: Documents
    hits: Sequence[Hit]
    count_tokens: Callable[[str], int]
    policy: PackingPolicy
    ranker: SentenceRanker
    query: str
    nonce: str
    question: str
    history: Sequence[Turn]
    exchanges: tuple[Exchange, ...]
    is_json: bool = False

    @property
    def recalled(self) -> list[ContextItem]:
        """The passages of earlier turns."""
        return [item for exchange in self.exchanges for item in exchange.items]

    def pack(self, max_tokens: int | None) -> tuple[Context, Packing]:
        """Pack the hits that no passage of earlier turns has, see `build_context`.

        Args:
            max_tokens: most tokens of all passages together, those of earlier turns included.
        """
        recalled = self.recalled
        if max_tokens is not None:
            max_tokens = max(1, max_tokens - num_tokens(recalled))
        policy = self.policy.model_copy(update={"max_tokens": max_tokens})
        hits = [hit for hit in self.hits if not self._is_recalled(hit.chunk)]
        return build_context(
            self.documents,
            hits,
            self.count_tokens,
            policy,
            self.nonce,
            len(recalled) + 1,
            self._rank_new_sentences,
        )

    def write(self, items: Context) -> list[Message]:
        """Return the prompt with these passages before the question."""
        return write_prompt(
            self.question,
            items,
            self.history,
            self.exchanges,
            self.nonce,
            is_json=self.is_json,
        )

    def is_worth_recalling(self, max_tokens: int | None) -> bool:
        """Tell whether the passages of earlier turns leave enough room for new ones."""
        recalled = num_tokens(self.recalled)
        found = sum(self.count_tokens(hit.chunk.passage) for hit in self.hits)
        fits = max_tokens is None or recalled + min(found, max_tokens // 2) <= max_tokens
        return fits and recalled <= MAX_RECALLED * found

    def _is_recalled(self, chunk: Chunk) -> bool:
        """Tell whether earlier turns have a chunk; where sentences are packed, all of them."""
        parts = self.ranker.sentences(chunk) if self.policy.sentences else [chunk]
        return all(any(_covers(item, part) for item in self.recalled) for part in parts)

    def _rank_new_sentences(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """Rank the sentences of some hits that no passage of earlier turns has."""
        found = [hit.chunk for hit in self.hits]
        ranked = self.ranker.rank(
            self.query,
            found,
            dense_weight=self.policy.sentence_dense_weight,
            margin=self.policy.sentence_margin,
        )
        chunk_ids = {chunk.chunk_id for chunk in chunks}
        return [
            one
            for one in ranked
            if whole_id(one.chunk_id) in chunk_ids
            and not any(_covers(item, one) for item in self.recalled)
        ]


def _covers(item: ContextItem, chunk: Chunk) -> bool:
    passage = item.passage
    is_same = (passage.document_id, passage.revision) == (chunk.document_id, chunk.revision)
    return is_same and passage.start <= chunk.start and chunk.end <= passage.end
