"""What so many questions can show, said before any model is called."""

import pytest

from eval.choice import Goal
from eval.decisions.pvalues import PairedTest
from eval.planning import advise_on_answers, fewest_for, weaker_goal


@pytest.mark.parametrize(
    "goal",
    [
        Goal(eps=0.03),
        Goal(eps=0.1),
        Goal(eps=0.03, test=PairedTest.T_PLUS_ONE),
        Goal(min_coverage=0.9),
    ],
)
def test_smaller_losses_and_surer_tests_take_more_items(goal: Goal) -> None:
    assert 20 < fewest_for(goal) < 200
    assert fewest_for(Goal(eps=0.01)) > 2 * fewest_for(Goal(eps=0.03)) > fewest_for(goal)


def test_answers_that_change_more_often_take_more_items() -> None:
    # 6.18 * 0.1 / 0.03^2 = 687 and twice as many for 0.2; the tests need up to a quarter more.
    advice = advise_on_answers(150, Goal(eps=0.03))
    assert "tested on 150 independent items" in advice
    assert "about 859 where one in ten does, and 1,718 where one in five" in advice


@pytest.mark.parametrize(
    ("goal", "num_items", "expected"),
    [
        # The default takes 109; 75 suffice for 5 points, and for no fewer.
        (Goal(), 75, Goal(eps=0.05)),
        (Goal(), 5, None),
        (Goal(eps=0.95), 0, None),
        # (0 + 1) / (n + 1) is at most 0.17 from 5 on, and at most 0.11 from 9 on.
        (
            Goal(min_coverage=0.9, on_average=True),
            5,
            Goal(min_coverage=0.83, on_average=True),
        ),
        (Goal(min_coverage=0.02, on_average=True), 0, None),
    ],
)
def test_too_few_items_certify_less(goal: Goal, num_items: int, expected: Goal | None) -> None:
    assert weaker_goal(goal, num_items) == expected
    if expected is not None:
        assert fewest_for(expected) <= num_items < fewest_for(goal)
