"""How many independent items a goal takes, known before any model is called."""

from math import ceil, sqrt

from eval.choice import Goal
from eval.decisions.pvalues import RiskTest, paired_p_value, risk_p_value
from eval.decisions.sample_size import fewest_items, items_to_show


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


def advise_on_answers(num_items: int, goal: Goal) -> str:
    """Say what so many items can show of answers.

    Args:
        num_items: that answers are tested on.
        goal: with no `min_coverage`.
    """
    # Where one answer in so many changes, for the better as often as for the worse.
    tenth, fifth = (items_to_show(sqrt(share), goal.eps, goal.delta) or 0 for share in (0.1, 0.2))
    return (
        f"Answers are tested on {num_items:,} independent items. To certify a setting that is as "
        f"good, with a loss of {goal.eps:g} allowed, it takes {fewest_for(goal):,} where no answer "
        f"changes, about {tenth:,} where one in ten does, and {fifth:,} where one in five does."
    )
