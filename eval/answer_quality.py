"""The quality of answers under several settings, and the race that spends calls where they count.

Quality is in [0, 1], for one question:

- it has no answer in the documents: 1 when the answer says so, else 0;
- it has one, and the answer says that there is none, or nothing: 0;
- a judge grades: the grade;
- there are right answers: `token_recall`, but 0 when a number of theirs is missing;
- otherwise: the share of the facts that the cited passages state.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil

import numpy as np

from eval.answer_scores import (
    RIGHT,
    Abstention,
    CitationScores,
    Fault,
    exact_match,
    find_fault,
    numeric_match,
    rouge_l,
    score_abstention,
    score_citations,
    token_f1,
    token_recall,
)
from eval.answering import GivenAnswer, ReplayAnswerer, Setting
from eval.asking import Asker, ask_all
from eval.counted import counted
from eval.decisions.items import Floats
from eval.decisions.racing import Race
from eval.errors import NoQuestionsError
from eval.judging import Bounds, Judge, Tally
from eval.labels import answer_id
from eval.progress import Progress, silent
from eval.questions import Question
from eval.spans import score_spans
from eval.split import Split
from eval.synthesis.making import PARAMETRIC
from serving.citations import MARKER

BLOCK = 20


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """An answer with its scores.

    Attributes:
        quality: see the module; bounds, because a judge may fail.
        faithfulness: share of its claims that stand in what they cite, says the judge; None: there
            is no judge, or no claim.
        exact_match: with one of the right answers.
        f1: of words, with the closest of them.
        rouge_l: likewise.
        citations: of evidence; None: the question has no answer.
        fault: what a wrong answer is to be blamed on.
    """

    answer: GivenAnswer
    quality: Bounds
    faithfulness: Bounds | None
    exact_match: float
    f1: float
    rouge_l: float
    citations: CitationScores | None
    fault: Fault


@dataclass(frozen=True, slots=True)
class AnswerQuality:
    """The answers of some settings to some questions; arrays are (settings, questions).

    Attributes:
        settings: in the order of the rows.
        questions: in the order of the columns.
        scored: a row for each setting.
        flaws: number of a setting -> why nothing may rest on its answers.
        tally: of the judge so far; None: there was none.
        num_calls: of all models so far.
        usd: spent for them so far.
        milliseconds: that the models took to answer, one after the other, when they were asked.
    """

    settings: tuple[Setting, ...]
    questions: tuple[Question, ...]
    scored: tuple[tuple[ScoredAnswer, ...], ...]
    flaws: Mapping[int, str]
    tally: Tally | None
    num_calls: int
    usd: float
    milliseconds: int

    @property
    def clusters(self) -> list[str]:
        """The cluster of each question."""
        return [question.cluster for question in self.questions]

    @property
    def low(self) -> Floats:
        """Quality with each failed verdict against the answer."""
        return self._array(lambda one: one.quality.low)

    @property
    def high(self) -> Floats:
        """Quality with each failed verdict for the answer."""
        return self._array(lambda one: one.quality.high)

    @property
    def quality(self) -> Floats:
        """Quality with half of the failed verdicts either way, for showing."""
        return (self.low + self.high) / 2

    @property
    def prompt_tokens(self) -> Floats:
        """Tokens of the prompt, as we count them; where no model reads it, of what was read."""
        return self._array(lambda one: one.answer.num_sent or one.answer.usage.prompt_tokens)

    @property
    def tokens_read(self) -> Floats:
        """Tokens of all prompts of each answer, as the servers count them."""
        return self._array(lambda one: one.answer.usage.prompt_tokens)

    @property
    def tokens_written(self) -> Floats:
        """Tokens written for each answer, with thinking and answers that are not given."""
        return self._array(lambda one: one.answer.usage.completion_tokens)

    @property
    def usd_per_answer(self) -> Floats:
        """What each answer costs when it is asked for; NaN: nothing is known of the price."""
        return self._array(lambda one: np.nan if one.answer.usd is None else one.answer.usd)

    def abstention(self, setting: int) -> Abstention:
        """Return how well a setting tells what can be answered."""
        return score_abstention(
            [one.answer.abstained for one in self.scored[setting]],
            [question.answerable for question in self.questions],
        )

    def grades(self, setting: int) -> dict[str, float]:
        """Return the quality of a setting's answers to answerable questions by `answer_id`."""
        return {
            answer_id(question.question_id, one.answer.text): (one.quality.low + one.quality.high)
            / 2
            for question, one in zip(self.questions, self.scored[setting], strict=True)
            if question.answerable
        }

    def answer_clusters(self, setting: int) -> dict[str, str]:
        """Return the cluster of each answer's question by `answer_id`."""
        return {
            answer_id(question.question_id, one.answer.text): question.cluster
            for question, one in zip(self.questions, self.scored[setting], strict=True)
        }

    def to_label(self) -> Iterator[dict[str, str]]:
        """Yield the answers to answerable questions as people may label them, see `labels`."""
        for row in self.scored:
            for question, one in zip(self.questions, row, strict=True):
                if question.answerable:
                    yield {
                        "id": answer_id(question.question_id, one.answer.text),
                        "question": question.text,
                        "reference": " / ".join(question.references),
                        "answer": one.answer.text,
                    }

    def _array(self, value: Callable[[ScoredAnswer], float]) -> Floats:
        return np.array([[value(one) for one in row] for row in self.scored], float).reshape(
            len(self.settings), len(self.questions)
        )


@dataclass(frozen=True, slots=True)
class RaceResult:
    """What a race of settings ended with.

    Attributes:
        survivors: the settings that remain, by number; the best first.
        scores: (settings, questions) of quality; NaN where a setting was out already.
        questions: in the order they were asked.
        num_answers: that the race took.
        flaws: see `AnswerQuality`.
    """

    survivors: tuple[int, ...]
    scores: Floats
    questions: tuple[Question, ...]
    num_answers: int
    flaws: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class AnswerMeter:
    """Lets questions be answered, and scores what comes.

    Attributes:
        answerer: of the questions.
        judge: of the answers; None: they are scored by their words.
        progress: told of the step, and of the dollars so far.
        step: what is done.
    """

    answerer: ReplayAnswerer
    judge: Judge | None = None
    progress: Progress = silent
    step: str = "answers"

    async def measure(
        self, questions: Sequence[Question], settings: Sequence[Setting]
    ) -> AnswerQuality:
        """Answer all questions under all settings.

        What was answered is kept by the `Asker`s: when this is broken off, by whatever, the same
        call goes on from there.

        Args:
            questions: anchored, and recorded by the replays.
            settings: to be measured.

        Raises:
            MoneySpentError, ModelLostError: see `Asker.generate`.
        """
        return await self._measure(questions, settings, 0, len(questions) * len(settings))

    async def _measure(
        self, questions: Sequence[Question], settings: Sequence[Setting], done: int, total: int
    ) -> AnswerQuality:
        """Measure one part of a total of answers, of which some are done."""
        askers, answering = self._askers(), self._answering()
        milliseconds = sum(asker.milliseconds for asker in answering)

        async def measure(pair: tuple[Setting, Question]) -> ScoredAnswer:
            nonlocal done
            setting, question = pair
            scored = await self._score(question, await self.answerer.answer(question.text, setting))
            done += 1
            self.progress(self.step, done, total, _show(askers))
            return scored

        # The same question in a row would ask the same prompt at the same time.
        flat = iter(await ask_all(product(settings, questions), measure))
        scored = tuple(tuple(next(flat) for _ in questions) for _ in settings)
        return AnswerQuality(
            settings=tuple(settings),
            questions=tuple(questions),
            scored=scored,
            flaws=dict(_find_flaws(scored)),
            tally=self.judge.tally if self.judge else None,
            num_calls=sum(asker.num_calls for asker in askers),
            usd=_spent(askers),
            milliseconds=sum(asker.milliseconds for asker in answering) - milliseconds,
        )

    async def race(
        self, questions: Sequence[Question], settings: Sequence[Setting], margin: float = 0.0
    ) -> RaceResult:
        """Answer blocks of questions; what is clearly worse than the best gets no more, see `Race`.

        Settings whose prompts are cut by the model server are out at once.

        Args:
            questions: in a part that nothing is certified on.
            settings: that take part.
            margin: by how much a setting may be worse than the best, in [0, 1).

        Raises:
            NoQuestionsError: there are none.
            MoneySpentError, ModelLostError: see `measure`.
        """
        if not questions:
            raise NoQuestionsError("A race needs questions.")
        order = list(questions)
        random.Random(0).shuffle(order)  # noqa: S311 - no secret
        race = Race(len(settings), ceil(len(order) / BLOCK), margin=margin)
        scores = np.full((len(settings), len(order)), np.nan)
        flaws: dict[int, str] = {}
        for start in range(0, len(order), BLOCK):
            block = order[start : start + BLOCK]
            running = race.remaining
            done = int(np.sum(~np.isnan(scores)))
            total = done + len(running) * (len(order) - start)
            measured = await self._measure(block, [settings[one] for one in running], done, total)
            scores[list(running), start : start + len(block)] = measured.quality
            flaws |= {running[row]: flaw for row, flaw in measured.flaws.items()}
            if not race.withdraw(flaws):
                break
            race.add(scores[list(race.remaining), start : start + len(block)], measured.clusters)
            if len(race.remaining) == 1:
                break
        means = np.nanmean(scores, axis=1)
        return RaceResult(
            survivors=tuple(sorted(race.remaining, key=lambda one: -means[one])),
            scores=scores,
            questions=tuple(order),
            num_answers=int(np.sum(~np.isnan(scores))),
            flaws=flaws,
        )

    async def race_and_measure(
        self, split: Split, settings: Sequence[Setting], margin: float = 0.0
    ) -> tuple[RaceResult, AnswerQuality]:
        """Race on one part of the questions, then measure what remains on the other.

        Args:
            split: of the questions.
            settings: first the reference, which is measured whatever came of it in the race.
            margin: see `race`.

        Raises:
            NoQuestionsError, MoneySpentError, ModelLostError: see `race`.
        """
        raced = await self.race(split.tune, settings, margin)
        rows = [0, *(one for one in raced.survivors if one != 0)]
        return raced, await self.measure(split.certify, [settings[row] for row in rows])

    async def _score(self, question: Question, answer: GivenAnswer) -> ScoredAnswer:
        bare = MARKER.sub("", answer.text)
        quality = await self._quality(question, answer, bare)
        faithfulness = None
        if self.judge is not None and not answer.abstained:
            faithfulness = await self.judge.faithfulness(
                answer.text, answer.sentences, answer.context
            )
        is_sufficient = True
        citations = None
        if question.facts:
            citations = score_citations(question.facts, answer.cited_spans)
            found = score_spans(question.facts, list(answer.spans.values()))
            is_sufficient = found.sufficient == 1
        return ScoredAnswer(
            answer=answer,
            quality=quality,
            faithfulness=faithfulness,
            exact_match=exact_match(bare, question.answers),
            f1=token_f1(bare, question.answers),
            rouge_l=rouge_l(bare, question.answers),
            citations=citations,
            fault=Fault.UNJUDGED
            if quality.low < RIGHT <= quality.high
            else find_fault(
                quality.low,
                is_sufficient=is_sufficient,
                is_answerable=question.answerable,
                abstained=answer.abstained,
            ),
        )

    async def _quality(self, question: Question, answer: GivenAnswer, bare: str) -> Bounds:
        if not question.answerable:
            return _exactly(float(answer.abstained))
        if answer.abstained or not bare.strip():
            return _exactly(0.0)
        if self.judge is not None:
            return await self.judge.grade(question, bare)
        if question.answers:
            has_numbers = numeric_match(bare, question.answers) != 0
            return _exactly(token_recall(bare, question.answers) if has_numbers else 0.0)
        return _exactly(score_citations(question.facts, answer.cited_spans).recall)

    def _answering(self) -> list[Asker]:
        models = self.answerer.serving.models
        return [one for one in map(models.get, models.names()) if isinstance(one, Asker)]

    def _askers(self) -> list[Asker]:
        return self._answering() + ([self.judge.asker] if self.judge else [])


def without_parametric(questions: Iterable[Question]) -> list[Question]:
    """Leave out what the model answers without documents: no context is the better for it."""
    return [question for question in questions if PARAMETRIC not in question.tags]


def _exactly(value: float) -> Bounds:
    return Bounds(value, value)


def _find_flaws(scored: Sequence[Sequence[ScoredAnswer]]) -> Iterator[tuple[int, str]]:
    for number, row in enumerate(scored):
        cut = [one.answer for one in row if one.answer.num_read is not None]
        if cut:
            yield (
                number,
                f"The model server read {cut[0].num_read:,} of {cut[0].num_sent:,} tokens, and cut "
                f"{len(cut)} of {counted(len(row), 'prompt')} without saying so. Raise its window "
                "(Ollama: num_ctx), or tell Suffice of it with `context_tokens` in "
                "SERVING_BACKENDS_FILE.",
            )


def _spent(askers: Sequence[Asker]) -> float:
    return sum({id(one.spending): one.spending.usd for one in askers}.values())


def _show(askers: Sequence[Asker]) -> str:
    is_known = all(asker.spent_usd is not None for asker in askers)
    return f"${_spent(askers):.4f}" if is_known else ""
