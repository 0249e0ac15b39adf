"""Embedders: texts to unit vectors, passages and queries apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Task = Literal["query", "document"]


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """The tokens of one text as the model read them, special tokens left out.

    Attributes:
        offsets: (start, end) character of each of the n tokens, in order; what was cut is missing.
        vectors: (n, dimension) float32, rows of L2 norm 1.
    """

    offsets: list[tuple[int, int]]
    vectors: Matrix


class QueryEmbedder(Protocol):
    """What a search needs of an embedder."""

    def embed_query(self, text: str) -> Matrix:
        """Embed a query: (dimension,) float32 of L2 norm 1.

        Raises:
            EmbedderFailedError: the model fails, or gives NaN or infinity.
        """

    def vocabulary_coverage(self, text: str) -> float:
        """Return the share of a text's letters in tokens that say something, from 0 to 1.

        Near 0 the model does not know the language, see `retrieval.vocabulary`.
        """


@dataclass(frozen=True, slots=True)
class EmbeddedQuery:
    """A query that was embedded before, as a `QueryEmbedder` that knows no other.

    Attributes:
        vector: (dimension,) float32 of L2 norm 1.
        coverage: of the embedder's vocabulary.
    """

    vector: Matrix
    coverage: float = 1.0

    def embed_query(self, _text: str) -> Matrix:
        """Return the vector."""
        return self.vector

    def vocabulary_coverage(self, _text: str) -> float:
        """Return the coverage."""
        return self.coverage


class Embedder(QueryEmbedder, Protocol):
    """Turns text into vectors whose dot product is the cosine similarity.

    Attributes:
        name: as the user wrote it.
        fingerprint: equal for two embedders exactly when their vectors may be mixed.
        dimension: length of a vector.
        max_tokens: longest passage in tokens, special tokens left out; the rest is cut off.
    """

    name: str
    fingerprint: str
    dimension: int
    max_tokens: int

    def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """Embed passages.

        Args:
            texts: n passages of at most `max_tokens` tokens; the rest is cut off.

        Returns:
            (n, dimension) float32, rows of L2 norm 1, in the order of `texts`.

        Raises:
            EmbedderFailedError: the model fails, or gives NaN or infinity.
        """

    def embed_passage_tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """Embed each token of each passage in its context; for late interaction."""

    def embed_query_tokens(self, text: str) -> TokenVectors:
        """Embed each token of a query in its context."""

    def token_starts(self, text: str) -> list[int]:
        """Return the first character of each token of a text, special tokens left out."""

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has, special tokens left out."""
