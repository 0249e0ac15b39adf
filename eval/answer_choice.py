"""The choice by answers: the cheapest setting whose answers are not worse, by the same tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.answer_quality import AnswerMeter, AnswerQuality
from eval.answer_scores import Fault
from eval.answering import Setting
from eval.canaries import CANARIES
from eval.choice import (
    LEAST_SAVING,
    LEAST_TO_LOSE,
    REFERENCE,
    Choice,
    Goal,
    cheapest,
    more,
    more_for_candidate,
    state_cost,
)
from eval.counted import counted
from eval.decisions.items import Floats, cluster_means
from eval.decisions.sequence import Mode, certify
from eval.errors import EvalError, NoQuestionsError
from eval.intervals import MeanInterval, cluster_t_interval
from eval.judging import Judge
from eval.labels import add_unlabelled, correct_mean, load_labels
from eval.results import (
    AnsweredSetting,
    Answers,
    Decision,
    JudgeState,
    Labelled,
    Quality,
    RaceCounts,
    TestedSetting,
    Verdict,
)
from eval.split import Split

_THOUSAND = 1000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A setting that may be chosen.

    Attributes:
        name: in the result.
        label: in words.
        setting: to answer with.
        tokens: mean of its prompts on the half of the questions to choose with.
    """

    name: str
    label: str
    setting: Setting
    tokens: float


async def choose_by_answers(
    meter: AnswerMeter,
    split: Split,
    candidates: Sequence[Candidate],
    goal: Goal,
    labels: Path | None = None,
) -> tuple[Decision, Answers]:
    """Race candidates on one half of the questions, test those that remain on the other.

    Args:
        meter: answers and scores.
        split: of the questions, with those that have no answer.
        candidates: first the reference.
        goal: its `eps` is of the quality of answers.
        labels: file of what people say of judged answers; those that are not in it are added.

    Raises:
        NoQuestionsError: the held-out half has no two clusters.
        EvalError: the model server cuts the prompts of the reference.
        MoneySpentError, ModelLostError: see `AnswerMeter.measure`.
    """
    if len({question.cluster for question in split.certify}) < 2:  # noqa: PLR2004
        raise NoQuestionsError("Too few questions are held out to test answers on.")
    settings = [candidate.setting for candidate in candidates]
    raced, quality = await meter.race_and_measure(split, settings, goal.eps)
    if REFERENCE in quality.flaws:
        raise EvalError(quality.flaws[REFERENCE])
    remaining = [candidates[settings.index(setting)] for setting in quality.settings]
    race = RaceCounts(
        num_settings=len(candidates),
        num_questions=len(raced.questions),
        num_answers=raced.num_answers,
        invalid={candidates[row].name: flaw for row, flaw in raced.flaws.items()},
    )
    judge = await _describe_judge(meter.judge)
    known: dict[str, float] = {}
    if labels is not None and judge is not None:
        add_unlabelled(labels, quality.to_label())
        known = load_labels(labels)
    return _Testing(remaining, race, judge, quality, goal, known).decide()


async def _describe_judge(judge: Judge | None) -> JudgeState | None:
    if judge is None:
        return None
    return JudgeState(
        model=await judge.asker.model_name(),
        accuracy=judge.accuracy,
        num_cases=len(CANARIES),
        num_asked=judge.tally.num_asked,
        num_failed=judge.tally.num_failed,
    )


@dataclass(frozen=True, slots=True)
class _Testing:
    """Candidates that remained, in the order of the rows of their quality."""

    candidates: Sequence[Candidate]
    race: RaceCounts
    judge: JudgeState | None
    quality: AnswerQuality
    goal: Goal
    labels: Mapping[str, float]

    def decide(self) -> tuple[Decision, Answers]:
        # Failed verdicts speak against what is tested and for what it is compared with, so what is
        # certified would have been with any verdicts in their place.
        items = cluster_means(self.quality.low, self.quality.clusters)
        rivals = cluster_means(self.quality.high, self.quality.clusters)
        goal, choice = self.goal, self._choose(items, rivals)
        saved = usd = None
        if choice.chosen != REFERENCE:
            sent = self.quality.prompt_tokens
            saved = self._interval(sent[REFERENCE] - sent[choice.chosen])
            usd = self._usd_saved(choice.chosen)
        decision = Decision(
            verdict=choice.verdict,
            quality=Quality.ANSWERS,
            statement=choice.statement,
            chosen=self.candidates[choice.chosen].name,
            tested=[
                TestedSetting(name=self.candidates[row].name, p_value=p_value)
                for row, p_value in choice.tested
            ],
            eps=goal.eps,
            delta=goal.delta,
            test=goal.test,
            mode=goal.mode,
            min_coverage=None,
            num_clusters=items.shape[1],
            questions_needed=choice.questions_needed,
            tokens_saved=saved,
            usd_saved_per_1000=usd,
        )
        return decision, self._describe()

    def _choose(self, items: Floats, rivals: Floats) -> Choice:
        """Test what is cheaper from the reference downwards; see `decide` for items and rivals."""
        goal, most = self.goal, LEAST_SAVING * self.candidates[REFERENCE].tokens
        cheaper = [
            row
            for row, one in enumerate(self.candidates)
            if one.tokens <= most and row not in self.quality.flaws
        ]
        cheaper.sort(key=lambda row: -self.candidates[row].tokens)
        if float(rivals[REFERENCE].mean()) <= LEAST_TO_LOSE * goal.eps:
            return Choice(Verdict.NOT_CERTIFIED, REFERENCE, self._state_poor(), cheaper, [])
        if not cheaper:
            statement = self._keep("nothing cheaper came close on the questions to choose by")
            return Choice(Verdict.NOT_CERTIFIED, REFERENCE, statement, cheaper, [])
        certification = certify(
            items,
            cheaper if goal.mode is Mode.BEST else [REFERENCE, *cheaper],
            eps=goal.eps,
            delta=goal.delta,
            test=goal.test,
            mode=goal.mode,
            rivals=rivals,
        )
        tested = [(look.candidate, look.p_value) for look in certification.looks]
        certified = [row for row, p_value in tested if p_value <= goal.delta]
        chosen = cheapest(certified, self.quality.prompt_tokens, self._mean_tokens)
        if chosen != REFERENCE:
            statement = self._state_certified(chosen)
            return Choice(Verdict.CERTIFIED, chosen, statement, cheaper, tested)
        # The first one bars the way to all others.
        needed = None if certified else self._questions_needed(items, rivals, cheaper[0])
        statement = self._state_kept(certified, needed)
        return Choice(Verdict.NOT_CERTIFIED, REFERENCE, statement, cheaper, tested, needed)

    def _state_certified(self, chosen: int) -> str:
        goal, candidate = self.goal, self.candidates[chosen]
        now, tokens = (self._mean_tokens(row) for row in (REFERENCE, chosen))
        cost = state_cost(now, tokens, self._usd_saved(chosen))
        rival = "today's"
        if goal.mode is Mode.BEST:
            others = counted(len(self.candidates) - 1, "setting")
            rival = f"those of any of the {others} it was compared with"
        return (
            f"{candidate.label}: {cost}. Its answers are not worse than {rival} by more than "
            f"{goal.eps:g}, with error at most {goal.delta:.0%}."
        )

    def _state_kept(self, certified: Sequence[int], needed: int | None) -> str:
        if certified:
            return self._keep(
                "what was shown to be as good has as long prompts on the questions it was tested "
                "on, on the mean or at the 95th percentile"
            )
        if needed is None:
            failed = 0.0 if self.judge is None else self.judge.failure_rate
            if failed >= self.goal.eps:
                return self._keep(
                    f"nothing cheaper was shown to be as good. {failed:.0%} of the judge's replies "
                    "were no verdict, and they count against what is cheaper: with so many, no "
                    "number of questions shows it. Name a judge that keeps to JSON"
                )
            return self._keep(
                "nothing cheaper was shown to be as good, and if more questions can show it, it "
                "takes far more than anybody writes"
            )
        return (
            f"Cannot tell yet whether answers from less context than "
            f"{self.candidates[REFERENCE].label} ({self._mean_tokens(REFERENCE):,.0f} tokens) are "
            f"as good.{more(needed)}"
        )

    def _keep(self, reason: str) -> str:
        label, tokens = self.candidates[REFERENCE].label, self._mean_tokens(REFERENCE)
        return f"Keep {label} ({tokens:,.0f} tokens): {reason}."

    def _state_poor(self) -> str:
        quality = self._interval(self.quality.quality[REFERENCE]).mean
        return (
            f"Keep {self.candidates[REFERENCE].label}: the quality of its answers is "
            f"{quality:.3f}, so of settings that may be worse by {self.goal.eps:g} nothing is "
            "asked. Look at the model, the judge and the search first, or at whether the questions "
            "fit the documents."
        )

    def _questions_needed(self, items: Floats, rivals: Floats, candidate: int) -> int | None:
        num_questions = len(self.quality.questions) + self.race.num_questions
        return more_for_candidate(items, rivals, candidate, self.goal, num_questions)

    def _mean_tokens(self, row: int) -> float:
        return self._interval(self.quality.prompt_tokens[row]).mean

    def _usd_saved(self, chosen: int) -> float | None:
        spent = self.quality.usd_per_answer
        return self._usd(spent[REFERENCE] - spent[chosen])

    def _usd(self, per_answer: Floats) -> float | None:
        """Return dollars for 1,000 answers, a mean like that of tokens; None: not all are known."""
        if np.isnan(per_answer).any():
            return None
        return self._interval(per_answer).mean * _THOUSAND

    def _describe(self) -> Answers:
        quality = self.quality
        return Answers(
            num_calls=quality.num_calls,
            usd=quality.usd,
            race=self.race,
            judge=self.judge,
            question_ids=[question.question_id for question in quality.questions],
            settings=[self._describe_setting(row) for row in range(len(self.candidates))],
        )

    def _describe_setting(self, row: int) -> AnsweredSetting:
        quality, scored = self.quality, self.quality.scored[row]
        answered = [one for one in scored if one.citations is not None]
        citations = [one.citations for one in answered if one.citations is not None]
        faithful = [one.faithfulness for one in answered if one.faithfulness is not None]
        faults = [one.fault for one in scored]
        abstention = quality.abstention(row)
        values = quality.quality
        return AnsweredSetting(
            name=self.candidates[row].name,
            quality=self._interval(values[row]),
            change=None if row == REFERENCE else self._interval(values[row] - values[REFERENCE]),
            quality_low=self._interval(quality.low[row]).mean,
            quality_high=self._interval(quality.high[row]).mean,
            prompt_tokens=self._interval(quality.prompt_tokens[row]),
            usd_per_1000=self._usd(quality.usd_per_answer[row]),
            exact_match=_mean([one.exact_match for one in answered]),
            f1=_mean([one.f1 for one in answered]),
            rouge_l=_mean([one.rouge_l for one in answered]),
            citation_precision=_mean(
                [one.precision for one in citations if one.precision is not None]
            ),
            citation_recall=_mean([one.recall for one in citations]),
            faithfulness=_mean([(one.low + one.high) / 2 for one in faithful]),
            abstention_precision=abstention.precision,
            abstention_recall=abstention.recall,
            faults={fault: faults.count(fault) for fault in Fault},
            flaw=quality.flaws.get(row),
            labelled=self._labelled(row),
            items=[round(value, 6) for value in values[row].tolist()],
        )

    def _labelled(self, row: int) -> Labelled | None:
        grades = self.quality.grades(row)
        if not (grades and self.labels):
            return None
        found = correct_mean(grades, self.labels, self.quality.answer_clusters(row))
        if found.corrected is None:
            return None
        corrected = found.corrected
        return Labelled(
            num_labels=found.num_labels,
            judged=found.mean,
            mean=corrected.mean,
            low=corrected.low,
            high=corrected.high,
        )

    def _interval(self, values: Floats) -> MeanInterval:
        interval = cluster_t_interval(values.tolist(), self.quality.clusters)
        if interval is None:
            raise ValueError("an interval needs two clusters")
        return interval


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
