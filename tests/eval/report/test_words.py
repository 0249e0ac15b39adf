"""Numbers are written as people read them."""

import pytest

from eval.intervals import MeanInterval
from eval.report import words


def test_shares_and_their_changes() -> None:
    assert words.percent(0.8614) == "86.1\xa0%"
    assert words.points(0.031) == "3.1\xa0points"
    assert words.points(0.0004) == "less than 0.1\xa0points"
    assert words.points(0) == "0.0\xa0points"
    assert words.signed_points(-0.031) == "\N{MINUS SIGN}3.1"
    assert words.signed_count(212.4) == "+212"
    # What is written as none has no sign of a loss.
    assert words.signed_points(-0.0004) == words.signed_points(0) == "+0.0"
    assert words.signed_count(-0.1) == "+0"
    assert words.p_value(0.00001) == "< 0.0001"
    assert words.p_value(0.0334) == "0.0334"


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (words.signed_usd(0.25), "+$0.25"),
        (words.signed_usd(-1234.5), "\N{MINUS SIGN}$1,234.50"),
        (words.signed_seconds(-0.114), "\N{MINUS SIGN}0.11"),
        (words.signed_seconds(-0.001), "+0.00"),
        (words.share(None), "\N{EN DASH}"),
        (words.share(0.8333), "0.83"),
    ],
)
def test_changes_of_costs(written: str, text: str) -> None:
    assert written == text


def test_interval_of_a_share_goes_no_further_than_a_share() -> None:
    assert words.percent_interval(MeanInterval(0.97, 0.93, 1.01, 9)) == "93.0 to 100.0\xa0%"
