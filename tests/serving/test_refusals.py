"""Refusals are in the language of the question, and are no claims."""

import pytest

from retrieval.analyzer import get_analyzer
from serving.generation import NO_ANSWER, Turn
from serving.grounding import Support, judge_support
from serving.refusals import no_answer


@pytest.mark.parametrize(
    ("question", "begins"),
    [
        ("How long is the notice period?", "The documents do not"),
        ("Wie lange ist die Kuendigungsfrist?", "Die Dokumente enthalten keine"),
        ("Quel est le délai de préavis ?", "Les documents ne contiennent pas"),
        ("¿Cuál es el plazo de preaviso?", "Los documentos no contienen"),
        ("Сколько стоит аренда?", "The documents do not"),
        ("", "The documents do not"),
    ],
)
def test_language_of_the_question(question: str, begins: str) -> None:
    refusal = no_answer(question)
    assert refusal.startswith(begins)
    [judged] = judge_support(refusal, (), get_analyzer("english"))
    assert judged.support is Support.NO_CLAIM


def test_language_stays_for_a_conversation() -> None:
    first = "Wie lange ist die Kündigungsfrist?"
    assert no_answer("Why?", [Turn("user", first)]) == no_answer(first) != NO_ANSWER
