"""What is there once is told in the singular, however it was computed."""

import pytest

from eval.counted import counted


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 questions"),
        (1, "1 question"),
        (1.2, "1 question"),
        (0.6, "1 question"),
        (2, "2 questions"),
        (1234.4, "1,234 questions"),
    ],
)
def test_a_noun_fits_its_number(number: float, text: str) -> None:
    assert counted(number, "question") == text


def test_other_plurals_are_given() -> None:
    assert [counted(number, "query", "queries") for number in (1, 2)] == ["1 query", "2 queries"]
