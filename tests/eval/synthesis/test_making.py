"""As many questions are made as are asked for, a tenth of them without an answer."""

import asyncio

import pytest

from eval.synthesis.making import make_questions
from tests.eval.synthesis.library import library


@pytest.mark.parametrize(("number", "num_open"), [(10, 1), (11, 2), (70, 7), (71, 8)])
def test_so_many_questions_are_made(number: int, num_open: int) -> None:
    made = asyncio.run(make_questions(library(), number))
    assert len(made.questions) == number
    assert sum(not one.answerable for one in made.questions) == num_open
    assert made.warnings == ()


def test_where_documents_give_fewer_a_tenth_has_no_answer() -> None:
    made = asyncio.run(make_questions(library(), 10_000))
    num_made = len(made.questions)
    assert made.warnings[0] == f"The documents gave {num_made} of 10,000 questions."
    num_open = sum(not one.answerable for one in made.questions)
    assert num_open - 1 < num_made / 10 <= num_open
