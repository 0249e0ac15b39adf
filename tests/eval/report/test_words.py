"""Numbers are written as people read them."""

import pytest

from eval.intervals import MeanInterval
from eval.report import words


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0.00"),
        (1234.5, "$1,234.50"),
        (0.4233, "$0.42"),
        (0.00032, "$0.00032"),
        (0.0000123, "$0.000012"),
        (1.2e-9, "$1e-09"),
        (2e9, "$2e+09"),
        (0.9964, "$1.00"),  # less than a dollar, and a dollar in two digits
        (0.994, "$0.99"),
    ],
)
def test_dollars(amount: float, text: str) -> None:
    assert words.usd(amount) == text


def test_shares_and_their_changes() -> None:
    assert words.percent(0.8614) == "86.1\xa0%"
    assert words.signed_points(-0.031) == "\N{MINUS SIGN}3.1"
    assert words.signed_count(212.4) == "+212"
    assert words.p_value(0.00001) == "< 0.0001"
    assert words.p_value(0.0334) == "0.0334"


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (words.signed_usd(0.25), "+$0.25"),
        (words.signed_usd(-1234.5), "\N{MINUS SIGN}$1,234.50"),
        (words.signed_seconds(-0.114), "\N{MINUS SIGN}0.11"),
        (words.share(None), "\N{EN DASH}"),
        (words.share(0.8333), "0.83"),
    ],
)
def test_changes_of_costs(written: str, text: str) -> None:
    assert written == text


def test_interval_of_a_share_goes_no_further_than_a_share() -> None:
    assert words.percent_interval(MeanInterval(0.97, 0.93, 1.01, 9)) == "93.0 to 100.0\xa0%"
