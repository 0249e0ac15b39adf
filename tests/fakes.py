"""Fakes that keep the contract of what they stand for, without models or a network."""

import hashlib
import re
from collections.abc import Sequence
from threading import Event

import numpy as np

from retrieval.embedding import Matrix, TokenVectors

_TOKEN = re.compile(r"\w+|[^\w\s]")


class HashEmbedder:
    """An `Embedder`: each word has a fixed random direction, a text is the sum of its words.

    Texts that share words are similar, texts that share none are not; the same text always has
    the same vector, in every process. Half of a token is its word, half
    the text around it. Its vocabulary has the words that are ASCII.
    """

    def __init__(
        self, name: str = "hash-embedder", fingerprint: str = "hash-1", dimension: int = 64
    ) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.dimension = dimension
        self.max_tokens = 254
        self._directions: dict[str, Matrix] = {}
        self._words: dict[str, Matrix] = {}

    def embed_passages(self, texts: Sequence[str]) -> Matrix:
        rows = [self.embed_query(text) for text in texts]
        return np.stack(rows) if rows else np.zeros((0, self.dimension), np.float32)

    def embed_query(self, text: str) -> Matrix:
        words = re.findall(r"\w+", text.lower()) or [""]
        vector = np.sum([self._direction(word) for word in words], axis=0)
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)

    def embed_passage_tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        return [self.embed_query_tokens(text) for text in texts]

    def embed_query_tokens(self, text: str) -> TokenVectors:
        offsets = self.token_offsets(text)
        words = np.array([self._word(text[start:end]) for start, end in offsets], np.float32)
        vectors = words.reshape(-1, self.dimension) + self.embed_query(text)
        return TokenVectors(offsets, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in _TOKEN.finditer(text)]

    def token_starts(self, text: str) -> list[int]:
        return [start for start, _ in self.token_offsets(text)]

    def count_tokens(self, text: str) -> int:
        return len(self.token_offsets(text))

    def vocabulary_coverage(self, text: str) -> float:
        letters = [character for character in text if character.isalpha()]
        return sum(map(str.isascii, letters)) / len(letters) if letters else 1.0

    def _word(self, token: str) -> Matrix:
        if token not in self._words:
            self._words[token] = self.embed_query(token)
        return self._words[token]

    def _direction(self, word: str) -> Matrix:
        if word not in self._directions:
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
            values = np.random.default_rng(seed).standard_normal(self.dimension)
            self._directions[word] = values.astype(np.float32)
        return self._directions[word]


class GatedEmbedder(HashEmbedder):
    """Holds passages back while its gate is closed; `reached` tells that some are waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Event()
        self.gate.set()
        self.reached = Event()
        self._num_free = 0

    def close(self, after: int = 0) -> None:
        """Close the gate, but let some calls through first."""
        self._num_free = after
        self.gate.clear()
        self.reached.clear()

    def embed_passages(self, texts: Sequence[str]) -> Matrix:
        if self._num_free > 0:
            self._num_free -= 1
            return super().embed_passages(texts)
        self.reached.set()
        if not self.gate.wait(timeout=120):
            raise TimeoutError("nobody opened the gate")
        return super().embed_passages(texts)
