"""A race drops what is clearly worse, and not the best."""

import numpy as np
import pytest

from benchmarks.decisions import racing
from eval.decisions.pvalues import t_plus_one
from eval.decisions.racing import MIN_QUESTIONS, Race

BLOCK = 20


def names(num_questions: int) -> list[str]:
    return [str(question) for question in range(num_questions)]


def test_nothing_is_dropped_by_fewer_than_40_questions() -> None:
    race = Race(2, max_looks=3)
    scores = np.array([[1.0] * BLOCK, [0.0] * BLOCK])
    assert race.add(scores, names(BLOCK)) == (0, 1)
    assert race.add(scores, [f"{name}b" for name in names(BLOCK)]) == (0,)
    assert MIN_QUESTIONS == 2 * BLOCK


def test_a_configuration_is_dropped_at_delta_by_looks_and_configurations() -> None:
    chances = np.linspace(0.9, 0.3, 12)[:, None]
    scores = (np.random.default_rng(2).random((12, 60)) < chances).astype(np.float64)
    leader = int(np.argmax(scores.mean(axis=1)))
    level = float(np.sort(t_plus_one(scores - scores[leader], 0.0))[3])
    for delta, num_dropped in ((level * 5 * 12 * 1.001, 4), (level * 5 * 12 * 0.999, 3)):
        race = Race(12, max_looks=5, delta=delta)
        assert len(race.add(scores, names(60))) == 12 - num_dropped


def test_blocks_go_to_what_remains_and_are_counted() -> None:
    race = Race(3, max_looks=4)
    scores = np.array([[1.0] * 40, [0.0] * 40, [1.0] * 39 + [0.0]])
    assert race.add(scores, names(40)) == (0, 2)
    assert race.leader == 0
    assert race.add(np.array([[0.0] * 2, [1.0] * 2]), ["b", "c"]) == (0, 2)
    assert race.num_scores == 3 * 40 + 2 * 2
    assert race.leader == 2


def test_a_document_counts_once() -> None:
    race = Race(2, max_looks=1)
    # One document of 60 questions speaks against the second one, no other does.
    assert race.add(np.array([[1.0] * 60, [0.0] * 60]), ["one"] * 60) == (0, 1)


def test_the_first_leads_before_anything_is_told() -> None:
    assert Race(2, max_looks=1).leader == 0


def test_blocks_of_another_shape_are_refused() -> None:
    race = Race(2, max_looks=1)
    with pytest.raises(ValueError, match="2 configurations remain and 3 questions"):
        race.add(np.zeros((3, 3)), names(3))


def test_scores_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"scores must be in \[0, 1\]"):
        Race(1, max_looks=1).add(np.array([[float("nan")]]), ["a"])


def test_more_blocks_than_looks_are_refused() -> None:
    race = Race(1, max_looks=1)
    race.add(np.zeros((1, 1)), ["a"])
    with pytest.raises(ValueError, match="More blocks than looks"):
        race.add(np.zeros((1, 1)), ["b"])


def test_what_is_within_the_margin_is_not_dropped() -> None:
    scores = np.array([[1.0] * 200, [0.0, 1.0, 1.0, 1.0] * 50])  # worse by 0.25
    for margin, remaining in ((0.0, (0,)), (0.1, (0,)), (0.24, (0, 1)), (0.9, (0, 1))):
        assert Race(2, max_looks=1, margin=margin).add(scores, names(200)) == remaining


def test_what_is_withdrawn_does_not_lead() -> None:
    race = Race(3, max_looks=2)
    race.add(np.array([[1.0] * 20, [0.5] * 20, [0.4] * 20]), names(20))
    assert race.withdraw({0, 7}) == (1, 2)
    assert race.leader == 1
    assert race.add(np.array([[0.5] * 20, [0.6] * 20]), [f"{one}b" for one in names(20)]) == (1, 2)
    assert race.withdraw([1, 2]) == ()


@pytest.mark.parametrize(
    ("num_configs", "max_looks", "delta"), [(0, 1, 0.05), (1, 0, 0.05), (1, 1, 1.0)]
)
def test_a_race_of_nothing_is_refused(num_configs: int, max_looks: int, delta: float) -> None:
    with pytest.raises(ValueError, match="A race needs"):
        Race(num_configs, max_looks, delta)


@pytest.mark.parametrize("margin", [-0.1, 1.0, float("nan")])
def test_a_margin_out_of_range_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match=r"a margin in \[0, 1\)"):
        Race(1, 1, margin=margin)


def test_the_best_remains_for_fewer_calls_than_all() -> None:
    [figure] = racing(np.random.default_rng(1), 60, num_configs=24)
    assert figure.kept
    assert figure.also["share_of_calls"] < 0.75
    assert figure.also["regret"] <= figure.also["regret_of_all_calls"] + 0.002
