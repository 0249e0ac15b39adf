"""How many independent items a goal takes, known before any model is called."""

from dataclasses import replace
from math import ceil, sqrt

from eval.choice import Goal
from eval.counted import counted
from eval.decisions.pvalues import RiskTest, paired_p_value, risk_p_value
from eval.decisions.sample_size import fewest_items, items_to_show

# Who allows more than ten points asks for something else.
_MOST_POINTS = 10
_DIGITS = 4


def fewest_for(goal: Goal) -> int:
    """Return with how many items a setting is certified that loses nothing on any of them."""
    delta, least = goal.delta, goal.min_coverage
    if least is not None and goal.on_average:
        return ceil(least / (1 - least))  # as if one more were lost as a whole
    if least is not None:
        return fewest_items(
            lambda losses: risk_p_value(RiskTest.WSR, losses, 1 - least, delta), delta
        )
    return fewest_items(lambda none: paired_p_value(goal.test, none, goal.eps, delta), delta)


def weaker_goal(goal: Goal, num_items: int) -> Goal | None:
    """Return the nearest goal that so many items can certify, a point at a time.

    Nothing is known here but how many items there are, so whoever takes it chooses no result.

    Returns:
        None: none within ten points.
    """
    least = goal.min_coverage
    lost = goal.eps if least is None else 1 - least
    for points in range(1, _MOST_POINTS + 1):
        more = round(lost + points / 100, _DIGITS)
        if more >= 1:
            return None
        weaker = (
            replace(goal, eps=more)
            if least is None
            else replace(goal, min_coverage=round(1 - more, _DIGITS))
        )
        if fewest_for(weaker) <= num_items:
            return weaker
    return None


def advise_on_answers(num_items: int, goal: Goal) -> str:
    """Say what so many items can show of answers.

    Args:
        num_items: that answers are tested on.
        goal: with no `min_coverage`.
    """
    # Where one answer in so many changes, for the better as often as for the worse.
    tenth, fifth = (items_to_show(sqrt(share), goal.eps, goal.delta) or 0 for share in (0.1, 0.2))
    return (
        f"Answers are tested on {counted(num_items, 'independent item')}. To certify a setting "
        f"that is as good, with a loss of {goal.eps:g} allowed, it takes {fewest_for(goal):,} "
        f"where no answer changes, about {tenth:,} where one in ten does, and {fifth:,} where one "
        "in five does."
    )
