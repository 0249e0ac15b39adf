"""Dollars are written so that no amount looks like none."""

import pytest

from eval.dollars import dollars


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0.00"),
        (1234.5, "$1,234.50"),
        (0.4233, "$0.42"),
        (0.5, "$0.50"),
        (0.00032, "$0.00032"),
        (0.0000123, "$0.000012"),
        (1.2e-9, "$1e-09"),
        (2e9, "$2e+09"),
        (0.9964, "$1.00"),  # less than a dollar, and a dollar in two digits
        (0.994, "$0.99"),
    ],
)
def test_dollars(amount: float, text: str) -> None:
    assert dollars(amount) == text
