"""How many more questions a verdict takes, from those at hand."""

import numpy as np
import pytest

from eval.choice import Goal, more_for_coverage, more_questions


def test_without_a_loss_they_are_what_the_test_wants_to_see() -> None:
    # ln 20 / 0.03 = 99.9 items, and a quarter more: 125 in all, 100 of them at hand.
    assert more_questions(np.zeros(100), 0.03, 0.05, num_questions=200) == 50


def test_a_loss_of_few_may_be_chance() -> None:
    needed = more_questions(np.array([0.0, 0.0, 0.0, 0.4]), 0.03, 0.05, num_questions=5)
    assert needed is not None
    assert 100 < needed < 2000


@pytest.mark.parametrize("loss", [0.0, 0.4, 1.0])
def test_of_a_single_item_it_is_not_known_how_they_differ(loss: float) -> None:
    # 6.18 * 0.1 / 0.03^2 = 687 items, and a quarter more: 859 in all, one of them at hand.
    assert more_questions(np.array([loss]), 0.03, 0.05, num_questions=2) == 2 * 858


def test_a_loss_of_many_is_one() -> None:
    losses = np.tile([0.0, 0.0, 0.0, 0.4], 100)
    assert more_questions(losses, 0.03, 0.05, num_questions=700) is None


def test_what_nobody_will_write_is_not_asked_for() -> None:
    losses = np.tile([0.0, 1.0, -1.0, 0.11], 5)  # 0.0275 on average, just below
    assert more_questions(losses, 0.03, 0.05, num_questions=40) is None


def test_coverage_on_average_takes_items_until_one_more_lost_would_do() -> None:
    goal = Goal(min_coverage=0.75, on_average=True)
    # (0 + 1) / (3 + 1) = 0.25: two items more than one, each with its two questions.
    assert more_for_coverage(np.zeros(1), goal, num_questions=2) == 4
    # (7 * 1/7 + 1) / (7 + 1) = 0.25 would do for a mean loss of 1/7, so twice 7 items for 14.
    seventh = np.array([1.0, 0, 0, 0, 0, 0, 0])
    assert more_for_coverage(seventh, goal, num_questions=70) == 1
    assert more_for_coverage(np.ones(4), goal, num_questions=4) is None
    # Half of them are lost, perhaps by chance: the interval of two items reaches down to none.
    assert more_for_coverage(np.array([1.0, 0]), goal, num_questions=4) == 2
