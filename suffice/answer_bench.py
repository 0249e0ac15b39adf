"""The answer bench: models answer from replayed searches, and a setting is chosen by that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from eval.answer_choice import Candidate, choose_by_answers
from eval.answer_quality import AnswerMeter, without_parametric
from eval.answer_stages import list_pairs, measure_stage
from eval.answering import ReplayAnswerer, Serving, Setting
from eval.asking import Asker, Spending
from eval.choice import REFERENCE
from eval.clusters import split_few_clusters
from eval.errors import MoneySpentError
from eval.extras import Extra
from eval.judging import Judge, are_related
from eval.noise import measure_answer_noise
from eval.planning import advise_on_answers
from eval.progress import Progress
from eval.questions import Question
from eval.reply_cache import ReplyCache
from eval.results import Answers, AnswerStage, Decision
from eval.split import split_by_cluster
from eval.tuning import Cutting
from ingest.home import Home
from serving.models import Models, build_models
from serving.profiles import AnswerPolicy
from serving.settings import ServingSettings
from suffice.options import error_console
from suffice.tuning_order import JUDGE_RECORD, LABELS, REPLIES, AnswerOrder, TuningOrder
from suffice.workbench import Workbench


@dataclass(frozen=True, slots=True)
class AnswerBench:
    """What is needed to answer questions as the service of a collection does."""

    home: Home
    order: TuningOrder
    answers: AnswerOrder
    bench: Workbench
    questions: Sequence[Question]
    policy: AnswerPolicy

    async def choose(
        self, cuttings: Sequence[Cutting], candidates: Sequence[Candidate], progress: Progress
    ) -> tuple[Decision, Answers, dict[str, str]]:
        """Let models answer, and choose by that; then see what chance and stages do to answers.

        The third is: stage of answering -> why nothing is said of it.
        """
        models = build_models(ServingSettings(), self.home.rates)
        cache = ReplyCache(self.order.output / REPLIES)
        spending = Spending(self.answers.max_usd)
        try:
            answering = self._answering(models)
            names = list(dict.fromkeys([*answering, *self._others(models)]))
            first, again = (
                {
                    name: Asker(models.get(name), cache, spending, turn)
                    for name in (*names, self.answers.judge)
                    if name is not None
                }
                for turn in (0, 1)
            )
            answerers = [
                self._answerer({name: askers[name] for name in names}, cuttings)
                for askers in (first, again)
            ]
            meter = AnswerMeter(answerers[0], await self._checked_judge(first, answering), progress)
            repeating = AnswerMeter(answerers[1], self._judge(again), progress, "answers once more")
            chunk_tokens = max(one.cut.max_tokens for one in cuttings)
            questions = without_parametric(split_few_clusters(self.questions, chunk_tokens))
            split = split_by_cluster(questions, self.order.seed)
            num_items = len({question.cluster for question in split.certify})
            error_console.print(advise_on_answers(num_items, self.order.goal), markup=False)
            decision, answers = await choose_by_answers(
                meter, split, candidates, self.order.goal, self.order.output / LABELS
            )
            served = candidates[REFERENCE].setting
            noise = await measure_answer_noise(meter, repeating, split.certify, served)
            stages, reasons = await self._measure_stages(
                replace(meter, step="answers, stage by stage"), split.certify, served
            )
            found = {
                "noise": noise,
                "stages": stages,
                "num_calls": sum(one.num_calls for one in (*first.values(), *again.values())),
                "usd": spending.usd,
            }
            return decision, answers.model_copy(update=found), reasons
        finally:
            await models.close()

    async def _measure_stages(
        self, meter: AnswerMeter, questions: Sequence[Question], served: Setting
    ) -> tuple[list[AnswerStage], dict[str, str]]:
        """Measure the stages that are asked for; return why others are not as well."""
        models = meter.answerer.serving.models
        pairs, reasons = list_pairs(self.order.stages, self.policy, models)
        stages: list[AnswerStage] = []
        for pair in pairs:
            if meter.judge is not None:
                judge = await meter.judge.asker.model_name()
                if are_related(judge, await models.get(pair.with_it.model).model_name()):
                    reasons[pair.name] = f"The judge {judge!r} is of the same family."
                    continue
            try:
                found = await measure_stage(meter, questions, served, pair)
            except MoneySpentError as error:  # what was certified is worth more than this
                found = str(error)
            if isinstance(found, AnswerStage):
                stages.append(found)
            else:
                reasons[pair.name] = found
        return stages, reasons

    def _answerer(self, askers: Mapping[str, Asker], cuttings: Sequence[Cutting]) -> ReplayAnswerer:
        settings, served = ServingSettings(), self.bench.served
        serving = Serving(
            models=Models(askers),
            policy=self.policy,
            embedder=self.bench.embedder,
            language=served.fingerprints["analyzer"],
            default_k=settings.top_k,
            max_answer_tokens=settings.max_answer_tokens,
            max_context_tokens=settings.max_context_tokens,
            collection=served.name,
        )
        return ReplayAnswerer(
            [cutting.replay for cutting in cuttings],
            self.questions,
            served.snapshot,
            served.filenames,
            serving,
        )

    def _answering(self, models: Models) -> list[str]:
        """Return the models that answer, the one that is asked for first."""
        policy = self.policy
        strong = [] if policy.strong_model is None else [policy.strong_model]
        return list(dict.fromkeys([models.get(policy.model).name, *strong]))

    def _others(self, models: Models) -> list[str]:
        """Return the models that are asked besides, or are to be compared with these."""
        verifier = self.policy.verifier
        others = [] if verifier is None else [verifier]
        if Extra.MODEL in self.order.stages:
            others += [name for name in models.names() if name != self.answers.judge]
        return others

    def _judge(self, askers: Mapping[str, Asker]) -> Judge | None:
        name = self.answers.judge
        return None if name is None else Judge(askers[name])

    async def _checked_judge(
        self, askers: Mapping[str, Asker], answering: Iterable[str]
    ) -> Judge | None:
        judge = self._judge(askers)
        if judge is not None:
            names = [await askers[one].model_name() for one in answering]
            await judge.check(self.order.output / JUDGE_RECORD, names)
        return judge
