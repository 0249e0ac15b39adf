"""Checksums of chunks as an index keeps them, for the engines keep none.

A checksum covers what is never changed in place: the chunk and its vector, not the tokens, which
another analyzer makes anew, nor the attributes.
"""

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrieval.embedding import Matrix
from retrieval.migration import Point
from retrieval.payload import ATTRIBUTES, TOKENS

CHECKSUM = "checksum"
_CHANGING = {TOKENS, ATTRIBUTES, CHECKSUM}


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found by reading an index whole.

    Attributes:
        contents: how many undamaged chunks there are of each (document id, revision).
        num_unverified: chunks among them of before there were checksums.
    """

    contents: Mapping[tuple[str, str], int]
    num_unverified: int


def with_checksum(payload: Mapping[str, Any], vector: Matrix) -> dict[str, Any]:
    """Return the payload of a chunk with a checksum of it and of its vector."""
    return {**payload, CHECKSUM: _checksum(payload, vector)}


def is_undamaged(point: Point) -> bool:
    """Whether a chunk is as it was written, as far as one can tell."""
    return point.payload.get(CHECKSUM) in {None, _checksum(point.payload, point.vector)}


def audit(batches: Iterable[list[Point]]) -> Audit:
    """Compare all points of an index with their checksums."""
    contents: Counter[tuple[str, str]] = Counter()
    num_unverified = 0
    for batch in batches:
        sound = [point.payload for point in batch if is_undamaged(point)]
        contents.update((payload["document_id"], payload["revision"]) for payload in sound)
        num_unverified += sum(CHECKSUM not in payload for payload in sound)
    return Audit(contents, num_unverified)


def _checksum(payload: Mapping[str, Any], vector: Matrix) -> int:
    kept = {key: value for key, value in payload.items() if key not in _CHANGING}
    said = zlib.crc32(json.dumps(kept, sort_keys=True).encode())
    return zlib.crc32(np.ascontiguousarray(vector, dtype="<f4").tobytes(), said)
