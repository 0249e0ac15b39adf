"""What is said of a stage fits the figures beside it."""

import numpy as np
import pytest

from eval.measurements import Measurements
from eval.stages import judge_stage

CLUSTERS = [f"document {number}" for number in range(50)]


@pytest.mark.parametrize(
    ("gain", "spread", "statement"),
    [
        (0.1, 0.01, "Finds more, 1 fewer token a question."),
        (-0.1, 0.01, "Finds less, 1 fewer token a question."),
        (0.01, 0.5, "No difference shown, 1 fewer token a question."),
        # Its interval is above 0, and all of it is written as +0.000.
        (0.00003, 0.00001, "No difference shown, 1 fewer token a question."),
    ],
)
def test_a_stage_finds_more_only_where_one_can_see_it(
    gain: float, spread: float, statement: str
) -> None:
    none = np.zeros((1, len(CLUSTERS)))
    held_out = Measurements(none, none, none, none, CLUSTERS)
    gains = gain + spread * np.tile((-1.0, 1.0), len(CLUSTERS) // 2)
    stage = judge_stage("packing", held_out, gains, np.full(len(CLUSTERS), -1.0))
    assert stage.coverage.mean == pytest.approx(gain)
    assert stage.statement == statement
