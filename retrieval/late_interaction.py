"""Late interaction: a query and a passage are compared token by token (Khattab and Zaharia, 2020).

Works with the token vectors of any bi-encoder, so it needs no model of its own.
"""

from dataclasses import dataclass

import numpy as np

from retrieval.embedding import Matrix, TokenVectors


@dataclass(frozen=True, slots=True)
class TokenSimilarity:
    """How similar each token of a query is to each token of a passage.

    Attributes:
        cosines: (query tokens, passage tokens) float32.
        starts: first character of each token in the passage, ascending.
        ends: one past its last character.
    """

    cosines: Matrix
    starts: list[int]
    ends: list[int]

    def best_matches(self, start: int, end: int) -> Matrix:
        """Return, for each query token, its highest cosine in characters `start` to `end`.

        Zeros when no token lies there: (query tokens,) float32.
        """
        first = int(np.searchsorted(self.ends, start, side="right"))
        last = int(np.searchsorted(self.starts, end, side="left"))
        if first >= last:
            return np.zeros(len(self.cosines), np.float32)
        best: Matrix = self.cosines[:, first:last].max(axis=1)
        return best


def compare(query: TokenVectors, passage: TokenVectors) -> TokenSimilarity:
    """Compare the tokens of a query with those of a passage."""
    return TokenSimilarity(
        cosines=query.vectors @ passage.vectors.T,
        starts=[start for start, _ in passage.offsets],
        ends=[end for _, end in passage.offsets],
    )
