"""Stages of answering: do thinking, several samples or another model pay on these questions?"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.answer_quality import AnswerMeter
from eval.answering import Setting
from eval.counted import counted
from eval.decisions.items import Floats
from eval.dollars import dollars
from eval.extras import Extra
from eval.intervals import MeanInterval, cluster_t_interval
from eval.questions import Question
from eval.results import AnswerStage
from serving.models import Models
from serving.profiles import AnsweringProfile, AnswerPolicy

NUM_SAMPLES = 3
NAMES = {
    Extra.THINKING: "Thinking before the answer",
    Extra.SAMPLES: "Several samples, of which the best grounded one is given",
    Extra.MODEL: "Another model",
}
_THOUSAND = 1000


@dataclass(frozen=True, slots=True)
class Pair:
    """Two ways to answer that differ in one stage."""

    name: str
    with_it: AnswerPolicy
    without: AnswerPolicy


def list_pairs(
    asked: Collection[Extra], policy: AnswerPolicy, models: Models
) -> tuple[list[Pair], dict[str, str]]:
    """Return what is to be compared for the stages that are asked for, and why others are not.

    Args:
        asked: stages; those that are not about answers are left out.
        policy: that serves.
        models: that may answer.
    """
    pairs: list[Pair] = []
    reasons: dict[str, str] = {}
    generator = models.get(policy.model)
    for stage, name in NAMES.items():
        if stage not in asked:
            reasons[name] = f"Not asked for: --stages {stage}."
        elif generator.counter is None:
            reasons[name] = "No model answers: sentences are chosen without one."
        elif stage is Extra.THINKING and not generator.can_think:
            reasons[name] = (
                f"The model {generator.name!r} cannot be told whether to think: see "
                "SERVING_LLM_THINKING, or `thinking` of its backend."
            )
        elif stage is Extra.THINKING:
            pairs.append(_pair(name, policy, "thinking", policy.thinking or True, False))
        elif stage is Extra.SAMPLES:
            samples = max(policy.samples, NUM_SAMPLES)
            pairs.append(_pair(f"{name}: {samples}", policy, "samples", samples, 1))
        elif others := [one for one in models.names() if one != generator.name]:
            pairs += [
                Pair(
                    f"{other} instead of {generator.name}",
                    policy.model_copy(update={"model": other, **_thinking(policy, models, other)}),
                    policy,
                )
                for other in others
            ]
        else:
            reasons[name] = "No other one could answer: SERVING_BACKENDS_FILE names none."
    return pairs, reasons


async def measure_stage(
    meter: AnswerMeter, questions: Sequence[Question], served: Setting, pair: Pair
) -> AnswerStage | str:
    """Answer all questions both ways; return what that does, or why nothing can be said.

    Args:
        meter: answers and scores.
        questions: of two clusters or more, that had no part in any choice.
        served: what is served now; searches and packs for both.
        pair: the two ways.

    Raises:
        MoneySpentError, ModelLostError: see `AnswerMeter.measure`.
    """
    answered = [
        await meter.measure(questions, [_with_policy(served, policy)])
        for policy in (pair.with_it, pair.without)
    ]
    for one in answered:
        if one.flaws:
            return one.flaws[0]
    with_it, without = answered
    given_up = [one.answer.given_up for one in with_it.scored[0] if one.answer.given_up]
    if given_up:
        return (
            f"The model's window has no room for {' and '.join(given_up[0])} in {len(given_up)} of "
            f"{counted(len(questions), 'answer')}."
        )
    clusters = with_it.clusters

    def interval(values: Floats) -> MeanInterval:
        found = cluster_t_interval(values[0].tolist(), clusters)
        if found is None:
            raise ValueError("an interval needs two clusters")
        return found

    usd = with_it.usd_per_answer - without.usd_per_answer
    milliseconds = with_it.milliseconds - without.milliseconds
    quality = interval(with_it.quality - without.quality)
    written = interval(with_it.tokens_written - without.tokens_written)
    usd_per_1000 = None if np.isnan(usd).any() else interval(usd).mean * _THOUSAND
    return AnswerStage(
        name=pair.name,
        quality=quality,
        prompt_tokens=interval(with_it.tokens_read - without.tokens_read),
        completion_tokens=written,
        usd_per_1000=usd_per_1000,
        seconds=milliseconds / _THOUSAND / len(questions),
        statement=_state(quality, written, usd_per_1000),
    )


def _pair(name: str, policy: AnswerPolicy, field: str, with_it: Any, without: Any) -> Pair:
    return Pair(
        name,
        policy.model_copy(update={field: with_it}),
        policy.model_copy(update={field: without}),
    )


def _thinking(policy: AnswerPolicy, models: Models, name: str) -> dict[str, Any]:
    """Return what to change for a model that cannot be told to think."""
    return {} if models.get(name).can_think else {"thinking": None}


def _with_policy(setting: Setting, policy: AnswerPolicy) -> Setting:
    fields = {**setting.profile.model_dump(), "answering": policy}
    return Setting(setting.cutting, AnsweringProfile(**fields))


def _state(quality: MeanInterval, written: MeanInterval, usd: float | None) -> str:
    if quality.low > 0:
        statement = "Better answers"
    elif quality.high < 0:
        statement = "Worse answers"
    else:
        statement = "No difference shown"
    if usd:
        word = "more" if usd > 0 else "less"
        return f"{statement}, {dollars(abs(usd))} {word} for 1,000 answers."
    if not round(written.mean):
        return f"{statement}, as many tokens written for an answer."
    word = "more" if written.mean > 0 else "fewer"
    tokens = counted(abs(written.mean), f"{word} token")
    return f"{statement}, {tokens} written for an answer."
