"""A chunk as the payload of a Qdrant point, the same in the embedded engine and on a server."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from retrieval.analyzer import Analyzer
from retrieval.attributes import Attributes, Kind, Value, kind_of, to_magnitude
from retrieval.chunks import Chunk, make_searched_text

VECTOR = "dense"
PASSAGE = "passage"
TITLE = "title"
TOKENS = "tokens"
ATTRIBUTES = "attributes"
# Fields that are matched word for word: with which kinds of values a chunk has which keys, and
# these values. One index for all keys, because an index for each would take seconds to make.
KEYS = f"{ATTRIBUTES}.keys"
VALUES = f"{ATTRIBUTES}.values"


def to_payload(chunk: Chunk, analyzer: Analyzer) -> dict[str, Any]:
    """Return the payload of a chunk; `tokens` is what the lexical index reads."""
    payload = {
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
        TITLE: chunk.title,
    }
    return payload | {TOKENS: searched_tokens(payload, analyzer)}


def searched_tokens(payload: Mapping[str, Any], analyzer: Analyzer) -> str:
    """Return title and passage of a payload as a whitespace tokenizer shall read them."""
    searched = make_searched_text(payload.get(TITLE, ""), payload[PASSAGE])
    return " ".join(analyzer.passage_tokens(searched))


def query_text(query: str, analyzer: Analyzer) -> str:
    """Return a query as a whitespace tokenizer shall read it."""
    return " ".join(analyzer.query_tokens(query))


def attributes_payload(attributes: Attributes) -> dict[str, Any]:
    """Return what else the chunks of a document carry, from which filters are answered."""
    pairs = [(key, value) for key, values in attributes.items() for value in values]
    ordered: dict[str, dict[str, list[float]]] = {}
    for key, kind, number in _magnitudes(attributes):
        ordered.setdefault(kind, {}).setdefault(_escape(key), []).append(number)
    keys = {(key, kind_of(value)) for key, value in pairs}
    keys |= {(key, kind) for key, kind, _ in _magnitudes(attributes)}
    content = {
        "keys": sorted(token(key, kind) for key, kind in keys),
        "values": [token(key, value) for key, value in pairs],
        **ordered,
    }
    return {ATTRIBUTES: content}


def attribute_fields(attributes: Attributes) -> set[str]:
    """Return the fields that have to be indexed for filters on these attributes."""
    return {KEYS, VALUES} | {order_field(key, kind) for key, kind, _ in _magnitudes(attributes)}


def token(key: str, value: Value) -> str:
    """Return a key and a value or kind as one text, different for each type of value."""
    return json.dumps([key, value], ensure_ascii=False)


def order_field(key: str, kind: Kind) -> str:
    """Return the field with the numbers or instants of a key."""
    return f"{ATTRIBUTES}.{kind}.{_escape(key)}"


def read_keys(tokens: Iterable[str]) -> dict[str, set[Kind]]:
    """Return the kinds of values by key, from the content of `KEYS`."""
    kinds: dict[str, set[Kind]] = {}
    for key, kind in map(json.loads, tokens):
        kinds.setdefault(key, set()).add(kind)
    return kinds


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
        title=payload.get(TITLE, ""),
    )


def _escape(key: str) -> str:
    """Return a key as one step of a path, for which the engines take letters, digits, - and _."""
    return re.sub("[^a-zA-Z0-9-]", lambda odd: f"_{ord(odd[0]):x}_", key) or "_"


def _magnitudes(attributes: Attributes) -> list[tuple[str, Kind, float]]:
    return [
        (key, *magnitude)
        for key, values in attributes.items()
        for value in values
        if (magnitude := to_magnitude(value)) is not None
    ]
