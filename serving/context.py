"""Context: the passages an answer may rest on, numbered as the answer cites them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from ingest.texts import CanonicalText
from retrieval.chunks import Hit
from retrieval.packing import Packing, PackingPolicy, Passage, pack
from retrieval.sentence_ranking import RankSentences
from serving.markers import fence


class Documents(Protocol):
    """What is known of the documents that passages are from."""

    def filenames(self, document_ids: Iterable[str]) -> Mapping[str, str]:
        """Return the names of documents by id; one that is not there is left out."""

    def revision_text(self, document_id: str, revision: str) -> CanonicalText | None:
        """Return the canonical text that chunks of a revision were cut from, if there is one."""

    def is_answering(self, document_id: str, revision: str) -> bool:
        """Tell whether a revision of a document is the one that is found now."""

    def forget_late_vectors(self, revisions: Iterable[tuple[str, str]]) -> None:
        """Forget what was embedded of revisions that answer no more: they may be deleted."""


@dataclass(frozen=True, slots=True)
class ContextItem:
    """One passage of the context.

    Attributes:
        number: from 1; `[number]` cites it.
        passage: the passage.
        filename: name of its document.
    """

    number: int
    passage: Passage
    filename: str

    def fenced(self, nonce: str) -> str:
        """Return what the model reads of it, see `fence`."""
        return fence(self.number, self.filename, self.passage.prompt_text, nonce)


Context = Sequence[ContextItem]


def num_tokens(context: Context) -> int:
    """Count the tokens of all items, labels included."""
    return sum(item.passage.num_tokens for item in context)


def build_context(
    documents: Documents,
    hits: Sequence[Hit],
    count_tokens: Callable[[str], int],
    policy: PackingPolicy,
    nonce: str,
    first: int = 1,
    rank_sentences: RankSentences = list,
) -> tuple[Context, Packing]:
    """Pack hits and number the passages; hits of documents deleted meanwhile are left out.

    Args:
        documents: that they are from.
        hits: best first.
        count_tokens: by which the budget of the policy is kept.
        policy: of the packing.
        nonce: of the prompt, see `fence`.
        first: number of the first passage.
        rank_sentences: of the hits, if the policy is to pack them.
    """
    named = name_hits(documents, hits)
    names = {hit.chunk.document_id: filename for hit, filename in named}

    @cache
    def text_of(document_id: str, revision: str) -> str | None:
        text = documents.revision_text(document_id, revision)
        return None if text is None else text.text

    found = [hit for hit, _ in named]
    sentences = rank_sentences([hit.chunk for hit in found]) if policy.sentences else []

    def pack_up_to(last: int) -> Packing:
        @cache
        def label_tokens(document_id: str) -> int:
            return count_label(count_tokens, last, names[document_id], nonce)

        return pack(found, text_of, count_tokens, policy, label_tokens, sentences)

    last = first + len(found)
    packing = pack_up_to(last)
    # Sentences may make more passages than there are hits; what matters is how many digits.
    while len(str(first + len(packing.passages))) > len(str(last)):
        last *= 10
        packing = pack_up_to(last)
    context = [
        ContextItem(number, passage, names[passage.document_id])
        for number, passage in enumerate(packing.passages, start=first)
    ]
    return context, packing


def count_label(count_tokens: Callable[[str], int], number: int, filename: str, nonce: str) -> int:
    """Count the tokens that a prompt has around a passage."""
    return count_tokens(f"\n\n{fence(number, filename, '', nonce)}")


def name_hits(documents: Documents, hits: Sequence[Hit]) -> list[tuple[Hit, str]]:
    """Pair each hit with the name of its document; one deleted meanwhile is left out."""
    filenames = documents.filenames(hit.chunk.document_id for hit in hits)
    return [
        (hit, filenames[hit.chunk.document_id])
        for hit in hits
        if hit.chunk.document_id in filenames
    ]
