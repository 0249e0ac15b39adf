"""Context: the chunks an answer may rest on, numbered as the answer cites them."""

from collections.abc import Sequence
from dataclasses import dataclass

from ingest.library import Library
from retrieval.chunks import Chunk, Hit


@dataclass(frozen=True, slots=True)
class ContextItem:
    """One chunk of the context.

    Attributes:
        number: from 1, in order of the ranking; `[number]` cites it.
        chunk: the chunk.
        filename: name of its document.
        score: of the search, from 0 to 1 in hybrid mode.
    """

    number: int
    chunk: Chunk
    filename: str
    score: float


Context = Sequence[ContextItem]


def num_tokens(context: Context) -> int:
    """Count the tokens of all items, by the embedder's tokenizer."""
    return sum(item.chunk.token_count for item in context)


def name_hits(library: Library, hits: Sequence[Hit]) -> list[tuple[Hit, str]]:
    """Pair each hit with the name of its document; one deleted meanwhile is left out."""
    filenames = library.filenames(hit.chunk.document_id for hit in hits)
    return [
        (hit, filenames[hit.chunk.document_id])
        for hit in hits
        if hit.chunk.document_id in filenames
    ]
