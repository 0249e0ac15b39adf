"""Ids of chunks: 64 bits as 16 hexadecimal digits; as the id of a Qdrant point, a number.

A point may have a UUID instead, but a search reads hundreds of ids, and the embedded engine takes
thirty times as long to hand over that of a UUID. Older chunks have UUIDs, and keep them.
"""

import hashlib
from uuid import UUID

PointId = int | str | UUID
_NUM_DIGITS = 16


def make_chunk_id(name: str) -> str:
    """Return the id of the chunk that is called so.

    Two of a million chunks share an id with a probability of 3e-8.
    """
    return hashlib.sha256(name.encode()).hexdigest()[:_NUM_DIGITS]


def to_point_id(chunk_id: str) -> PointId:
    """Return what the point of a chunk is called in Qdrant."""
    return int(chunk_id, 16) if len(chunk_id) == _NUM_DIGITS else chunk_id


def to_chunk_id(point_id: PointId) -> str:
    """Return the id of the chunk that a point is."""
    return point_id.to_bytes(8).hex() if isinstance(point_id, int) else str(point_id)
