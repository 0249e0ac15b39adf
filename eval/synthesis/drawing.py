"""Which of many possible questions are taken, and in which order."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace

from eval.questions import Question
from eval.synthesis.corpus import digest

# A question that is answered in more places is too vague to be one.
MOST_PLACES = 3


def merge_same(questions: Iterable[Question]) -> tuple[list[Question], int]:
    """Make one question of those of a maker with the same words; each place alone answers it.

    Returns:
        The questions, and how many distinct ones were dropped because they have more than
        `MOST_PLACES` places.
    """
    merged: dict[tuple[str, str], Question] = {}
    for question in questions:
        key = question.tags[0], question.text.casefold()
        first = merged.setdefault(key, question)
        if first is not question:
            (fact,), (more,) = first.facts, question.facts
            merged[key] = replace(
                first,
                facts=(tuple(dict.fromkeys(fact + more)),),
                answers=tuple(dict.fromkeys(first.answers + question.answers)),
            )
    clear = [one for one in merged.values() if len(one.facts[0]) <= MOST_PLACES]
    return clear, len(merged) - len(clear)


def in_turns(questions: Iterable[Question], seed: int) -> list[Question]:
    """Put questions in an order in which makers take turns, and within a maker the documents.

    So the first of them, however many are taken, are spread as evenly as can be.

    Args:
        questions: in any order.
        seed: another one draws other questions.
    """
    drawn = sorted(questions, key=lambda one: digest(str(seed), one.question_id))
    num_of_document: Counter[tuple[str, str]] = Counter()
    by_maker: defaultdict[str, list[tuple[int, Question]]] = defaultdict(list)
    for question in drawn:
        maker = question.tags[0]
        turn = num_of_document[maker, question.cluster]
        num_of_document[maker, question.cluster] += 1
        by_maker[maker].append((turn, question))
    turns = [
        (turn, maker, question)
        for maker, members in sorted(by_maker.items())
        for turn, (_, question) in enumerate(sorted(members, key=lambda member: member[0]))
    ]
    return [question for _, _, question in sorted(turns, key=lambda one: one[:2])]
