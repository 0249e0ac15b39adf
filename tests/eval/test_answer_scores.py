"""Scores of answers, as SQuAD's official script computes them."""

import pytest

from eval.answer_scores import exact_match, normalize, token_f1


def test_case_punctuation_articles_and_space_do_not_count() -> None:
    assert normalize("  The  U.S.  Senate, an 'upper' house! ") == "us senate upper house"


@pytest.mark.parametrize(
    ("answer", "right", "expected"),
    [
        ("Paris", ["the Paris."], 1.0),
        ("in Paris", ["Paris"], 2 * 1 / (2 + 1)),
        ("Paris", ["London", "Paris, France"], 2 * 1 / (1 + 2)),
        ("no no no", ["no"], 2 * 1 / (3 + 1)),  # a word counts as often as both have it
        ("London", ["Paris"], 0.0),
        ("", [""], 1.0),
        ("the", ["an"], 1.0),  # nothing is left of either
        ("Paris", [""], 0.0),
        ("Paris", [], 0.0),
    ],
)
def test_token_f1(answer: str, right: list[str], expected: float) -> None:
    assert token_f1(answer, right) == expected


def test_exact_match_is_of_any_right_answer() -> None:
    assert exact_match("the 5 MB", ["4 MB", "5 MB"]) == 1
    assert exact_match("5", ["5 MB"]) == 0
    assert exact_match("5", []) == 0
