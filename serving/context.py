"""Context: the passages an answer may rest on, numbered as the answer cites them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from ingest.library import Library
from retrieval.chunks import Hit
from retrieval.packing import Packing, PackingPolicy, Passage, pack
from serving.markers import fence


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
    library: Library,
    hits: Sequence[Hit],
    count_tokens: Callable[[str], int],
    policy: PackingPolicy,
    nonce: str,
    first: int = 1,
) -> tuple[Context, Packing]:
    """Pack hits and number the passages; hits of documents deleted meanwhile are left out.

    Args:
        library: has the documents.
        hits: best first.
        count_tokens: by which the budget of the policy is kept.
        policy: of the packing.
        nonce: of the prompt, see `fence`.
        first: number of the first passage.
    """
    named = name_hits(library, hits)
    names = {hit.chunk.document_id: filename for hit, filename in named}

    @cache
    def text_of(document_id: str, revision: str) -> str | None:
        text = library.revision_text(document_id, revision)
        return None if text is None else text.text

    last = first + len(named)

    @cache
    def label_tokens(document_id: str) -> int:
        return count_label(count_tokens, last, names[document_id], nonce)

    packing = pack([hit for hit, _ in named], text_of, count_tokens, policy, label_tokens)
    context = [
        ContextItem(number, passage, names[passage.document_id])
        for number, passage in enumerate(packing.passages, start=first)
    ]
    return context, packing


def count_label(count_tokens: Callable[[str], int], number: int, filename: str, nonce: str) -> int:
    """Count the tokens that a prompt has around a passage."""
    return count_tokens(f"\n\n{fence(number, filename, '', nonce)}")


def name_hits(library: Library, hits: Sequence[Hit]) -> list[tuple[Hit, str]]:
    """Pair each hit with the name of its document; one deleted meanwhile is left out."""
    filenames = library.filenames(hit.chunk.document_id for hit in hits)
    return [
        (hit, filenames[hit.chunk.document_id])
        for hit in hits
        if hit.chunk.document_id in filenames
    ]
