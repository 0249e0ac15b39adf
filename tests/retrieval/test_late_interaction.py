"""Token-by-token comparison, on words whose vectors are their own axes."""

import numpy as np
import pytest

from retrieval.embedding import TokenVectors
from retrieval.late_interaction import compare

AXES = np.eye(4, dtype=np.float32)
QUERY = TokenVectors([(0, 5), (6, 10)], AXES[[0, 3]])
# "queen bees live": the last word is half like the second one of the query.
PASSAGE = TokenVectors(
    [(0, 5), (6, 10), (11, 15)],
    np.array([AXES[0], AXES[1], 0.6 * AXES[2] + 0.8 * AXES[3]], np.float32),
)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        pytest.param(0, 15, [1.0, 0.8], id="all"),
        pytest.param(0, 5, [1.0, 0.0], id="first word"),
        pytest.param(6, 10, [0.0, 0.0], id="word in common with none"),
        pytest.param(11, 15, [0.0, 0.8], id="last word"),
        pytest.param(4, 7, [1.0, 0.0], id="parts of two words"),
        pytest.param(10, 11, [0.0, 0.0], id="between words"),
        pytest.param(15, 99, [0.0, 0.0], id="behind the end"),
    ],
)
def test_best_matches_of_a_span(start: int, end: int, expected: list[float]) -> None:
    assert compare(QUERY, PASSAGE).best_matches(start, end) == pytest.approx(expected)


def test_nothing_matches_nothing() -> None:
    empty = TokenVectors([], np.zeros((0, 4), np.float32))
    assert list(compare(QUERY, empty).best_matches(0, 9)) == [0.0, 0.0]
    assert list(compare(empty, PASSAGE).best_matches(0, 15)) == []
