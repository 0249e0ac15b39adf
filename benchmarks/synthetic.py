"""Chunks that only look like chunks: any number of them at once, the same in each run.

Words follow Zipf's law (exponent 1.05, 60,000 words), lengths a log-normal distribution (mean 110
words), and vectors lie around 8,000 centres, 20 in each of 400 topics. So posting lists, scores
and ties are like those of real text, and a search takes as long as it does there; how well it
finds says nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from retrieval.chunk_ids import make_chunk_id
from retrieval.chunks import Chunk
from retrieval.embedding import Matrix

DIMENSION = 384
NUM_WORDS = 60_000
ZIPF_EXPONENT = 1.05
MEAN_WORDS, SIGMA_WORDS = 110, 0.5
NUM_TOPICS, CENTRES_PER_TOPIC = 400, 20
CHUNKS_PER_DOCUMENT = 20
QUERY_WORDS = 6
BATCH_SIZE = 256


@dataclass(frozen=True, slots=True)
class Query:
    """A query as words and as a vector of unit norm, (dimension,)."""

    text: str
    vector: Matrix


class Collection:
    """Synthetic chunks, and queries near them."""

    def __init__(self, num_chunks: int) -> None:
        self.num_chunks = num_chunks
        chance = np.random.default_rng(0)
        topics = chance.normal(size=(NUM_TOPICS, 1, DIMENSION))
        spread = chance.normal(size=(NUM_TOPICS, CENTRES_PER_TOPIC, DIMENSION))
        self._centres = _unit((topics + 0.7 * spread).reshape(-1, DIMENSION))
        weights = 1 / np.arange(1, NUM_WORDS + 1) ** ZIPF_EXPONENT
        self._shares = np.cumsum(weights) / weights.sum()

    def batches(self) -> Iterator[tuple[list[Chunk], Matrix]]:
        """Yield all chunks with their vectors, (n, dimension), 256 at a time."""
        for start in range(0, self.num_chunks, BATCH_SIZE):
            chance = np.random.default_rng([1, start])
            numbers = range(start, min(start + BATCH_SIZE, self.num_chunks))
            mean = np.log(MEAN_WORDS) - SIGMA_WORDS**2 / 2
            lengths = chance.lognormal(mean, SIGMA_WORDS, len(numbers)).astype(int).clip(min=5)
            chunks = [
                _chunk(number, self._words(chance, length))
                for number, length in zip(numbers, lengths, strict=True)
            ]
            yield chunks, self._vectors(chance, len(numbers))

    def queries(self, count: int) -> list[Query]:
        """Return queries of six words, none of them among the 50 most frequent."""
        chance = np.random.default_rng(2)
        vectors = self._vectors(chance, count)
        return [Query(self._words(chance, QUERY_WORDS, rarer_than=50), row) for row in vectors]

    def _vectors(self, chance: np.random.Generator, count: int) -> Matrix:
        centres = self._centres[chance.integers(len(self._centres), size=count)]
        noise = chance.normal(size=centres.shape) / np.sqrt(DIMENSION)
        return _unit(centres + 0.6 * noise)

    def _words(self, chance: np.random.Generator, count: int, rarer_than: int = 0) -> str:
        lowest = self._shares[rarer_than - 1] if rarer_than else 0.0
        words = np.searchsorted(self._shares, chance.uniform(lowest, 1, count))
        return " ".join(f"w{word}" for word in words)


def _chunk(number: int, text: str) -> Chunk:
    document = number // CHUNKS_PER_DOCUMENT
    return Chunk(
        chunk_id=make_chunk_id(str(number)),
        document_id=f"document-{document}",
        revision="r1",
        start=0,
        end=len(text),
        text=text,
        headings=(f"Document {document}",),
        page_start=None,
        page_end=None,
        token_count=len(text.split()),
        parent_start=0,
        parent_end=len(text),
    )


def _unit(rows: np.ndarray) -> Matrix:
    unit: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit
