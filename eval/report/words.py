"""How the report writes numbers."""

from eval.dollars import dollars
from eval.intervals import MeanInterval
from eval.results import Labelled

# A smaller one would be written as none.
_LEAST_SHARE = 0.0005


def percent(share: float) -> str:
    """Write a share: 0.8614 is 86.1 %."""
    return f"{100 * share:.1f}\xa0%"


def share(part: float | None) -> str:
    """Write a share in two digits; a dash where there was nothing to count."""
    return "\N{EN DASH}" if part is None else f"{part:.2f}"


def points(share: float) -> str:
    """Write a difference of shares: 0.031 is 3.1 points, and a gain is never none."""
    if 0 < share < _LEAST_SHARE:
        return "less than 0.1\xa0points"
    return f"{100 * share:.1f}\xa0points"


def signed_points(difference: float) -> str:
    """Write a change of a share, with its sign."""
    return f"{100 * difference:+z.1f}".replace("-", "\N{MINUS SIGN}")


def count(number: float) -> str:
    """Write a number of tokens or questions, rounded to a whole one."""
    return f"{number:,.0f}"


def signed_count(difference: float) -> str:
    """Write a change of such a number, with its sign."""
    return f"{difference:+z,.0f}".replace("-", "\N{MINUS SIGN}")


def signed_usd(difference: float) -> str:
    """Write a change of dollars, with its sign."""
    sign = "+" if difference >= 0 else "\N{MINUS SIGN}"
    return sign + dollars(abs(difference))


def signed_seconds(difference: float) -> str:
    """Write a change of a time, with its sign: 1.234 seconds more are +1.23."""
    return f"{difference:+z.2f}".replace("-", "\N{MINUS SIGN}")


def percent_interval(interval: MeanInterval | Labelled) -> str:
    """Write the bounds of a share, no further than a share can go."""
    return f"{100 * max(interval.low, 0):.1f} to {100 * min(interval.high, 1):.1f}\xa0%"


def change_interval(interval: MeanInterval) -> str:
    """Write the bounds of a change of a share."""
    return f"{signed_points(interval.low)} to {signed_points(interval.high)}"


def count_interval(interval: MeanInterval) -> str:
    """Write the bounds of a number of tokens."""
    return f"{count(interval.low)} to {count(interval.high)}"


def signed_count_interval(interval: MeanInterval) -> str:
    """Write the bounds of a change of a number of tokens."""
    return f"{signed_count(interval.low)} to {signed_count(interval.high)}"


def p_value(value: float) -> str:
    """Write a p-value; what is smaller than one in ten thousand is not told apart."""
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"  # noqa: PLR2004
