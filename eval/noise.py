"""Noise: what changes when nothing was changed. A difference that is no larger says nothing."""

import random
from collections.abc import Callable, Sequence

import numpy as np

from eval.answer_quality import AnswerMeter
from eval.answering import Setting
from eval.questions import Question
from eval.replay import Replay
from eval.results import AnswerNoise, SearchNoise
from retrieval.profiles import RetrievalProfile

NUM_REPEATED = 30


def draw(questions: Sequence[Question]) -> list[Question]:
    """Return the questions that are asked twice, the same ones every time."""
    chooser = random.Random(0)  # noqa: S311 - no secret
    return chooser.sample(list(questions), min(NUM_REPEATED, len(questions)))


async def measure_answer_noise(
    meter: AnswerMeter, again: AnswerMeter, questions: Sequence[Question], setting: Setting
) -> AnswerNoise:
    """Answer some questions once more, and compare.

    Args:
        meter: has answered them already, so that this costs nothing.
        again: asks anew, see `Asker`; its judge grades anew as well.
        questions: one or more.
        setting: to answer with.

    Raises:
        MoneySpentError, ModelLostError: see `AnswerMeter.measure`.
    """
    drawn = draw(questions)
    first, second = [await one.measure(drawn, [setting]) for one in (meter, again)]
    changes = np.abs(first.quality - second.quality)[0]
    pairs = zip(first.scored[0], second.scored[0], strict=True)
    return AnswerNoise(
        num_questions=len(drawn),
        quality=float(changes.mean()),
        share_changed=float(
            np.mean([one.answer.text != other.answer.text for one, other in pairs])
        ),
        unstable=[
            one.question_id for one, change in zip(drawn, changes, strict=True) if change > 0
        ],
    )


def measure_search_noise(
    replay: Replay,
    questions: Sequence[Question],
    profile: RetrievalProfile,
    top_k: int,
    search: Callable[[str], Sequence[str]],
) -> SearchNoise:
    """Compare what a service finds with what the replay of its search finds.

    Args:
        replay: of the served cutting.
        questions: one or more, that were recorded.
        profile: that serves.
        top_k: most hits.
        search: asks the service; returns the ids of the chunks, best first.
    """
    drawn = draw(questions)
    num_found = num_shared = num_same = 0
    for question in drawn:
        hits = replay.search(question.question_id, profile, top_k).hits
        recorded = [hit.chunk.chunk_id for hit in hits]
        found = list(search(question.text))
        num_found += max(len(recorded), len(found))
        num_shared += len({*recorded} & {*found})
        num_same += recorded == found
    return SearchNoise(
        num_questions=len(drawn),
        share_same=num_shared / num_found if num_found else 1.0,
        num_same=num_same,
    )
