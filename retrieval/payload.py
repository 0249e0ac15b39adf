"""A chunk as the payload of a Qdrant point, the same in the embedded engine and on a server."""

from collections.abc import Mapping
from typing import Any

from retrieval.chunks import Chunk

VECTOR = "dense"
PASSAGE = "passage"


def to_payload(chunk: Chunk) -> dict[str, Any]:
    """Return the payload of a chunk; `passage` is what the lexical index reads."""
    return {
        "document_id": chunk.document_id,
        "revision": chunk.revision,
        "start": chunk.start,
        "end": chunk.end,
        PASSAGE: chunk.passage,
        "headings": list(chunk.headings),
        "page_start": chunk.page_start,
        "page_end": chunk.page_end,
        "token_count": chunk.token_count,
        "parent_start": chunk.parent_start,
        "parent_end": chunk.parent_end,
        "table_header": chunk.table_header,
        "place": chunk.place,
    }


def from_payload(chunk_id: str, payload: Mapping[str, Any]) -> Chunk:
    """Return the chunk that `to_payload` was given.

    A payload made before parents were stored makes the chunk its own parent.
    """
    passage = payload[PASSAGE]
    return Chunk(
        chunk_id=chunk_id,
        document_id=payload["document_id"],
        revision=payload["revision"],
        start=payload["start"],
        end=payload["end"],
        text=passage[len(passage) - (payload["end"] - payload["start"]) :],
        headings=tuple(payload["headings"]),
        page_start=payload["page_start"],
        page_end=payload["page_end"],
        token_count=payload["token_count"],
        parent_start=payload.get("parent_start", payload["start"]),
        parent_end=payload.get("parent_end", payload["end"]),
        table_header=payload.get("table_header", ""),
        place=payload.get("place"),  # missing in what version 0.1 wrote
    )
