"""Copying an index to another engine, point by point, with a check that nothing was lost."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from retrieval.embedding import Matrix


@dataclass(frozen=True, slots=True)
class Point:
    """A chunk as an engine keeps it: its id, its vector of (dimension,) float32, its payload."""

    id: str
    vector: Matrix
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Contents:
    """What an index holds.

    Attributes:
        num_points: how many chunks.
        checksum: sum of the SHA-256 of all points, modulo 2^256, in hexadecimal; the same for the
            same points in any order.
    """

    num_points: int
    checksum: str


class Source(Protocol):
    """An index that can be read whole."""

    def points(self) -> Iterator[list[Point]]:
        """Yield all points, batch by batch."""

    def indexed_fields(self) -> set[str]:
        """Return the payload fields that are indexed."""


class Target(Source, Protocol):
    """An index that takes points as another one gave them."""

    def put(self, points: list[Point]) -> None:
        """Add points, replacing those of the same id."""

    def index_fields(self, fields: set[str]) -> None:
        """Index the fields of attributes among some payload fields."""


def copy(source: Source, target: Target, on_progress: Callable[[int], None]) -> Contents:
    """Copy all points; what a copy that was broken off left there is written again.

    Args:
        source: where from.
        target: where to.
        on_progress: told how many points are copied.

    Returns:
        What was copied.
    """
    target.index_fields(source.indexed_fields())

    def copied() -> Iterator[list[Point]]:
        done = 0
        for batch in source.points():
            target.put(batch)
            done += len(batch)
            on_progress(done)
            yield batch

    return measure(copied())


def measure(batches: Iterator[list[Point]]) -> Contents:
    """Count points and compute their checksum."""
    num_points, total = 0, 0
    for batch in batches:
        num_points += len(batch)
        total += sum(_digest(point) for point in batch)
    return Contents(num_points, f"{total % 2**256:064x}")


def _digest(point: Point) -> int:
    payload = json.dumps(point.payload, sort_keys=True, ensure_ascii=False)
    vector = np.ascontiguousarray(point.vector, dtype="<f4").tobytes()
    content = b"\0".join((point.id.encode(), payload.encode(), vector))
    return int.from_bytes(hashlib.sha256(content).digest(), "big")
