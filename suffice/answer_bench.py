"""The answer bench: models answer from replayed searches, and a setting is chosen by that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval.answer_choice import Candidate, choose_by_answers
from eval.answer_quality import AnswerMeter, without_parametric
from eval.answering import ReplayAnswerer, Serving
from eval.asking import Asker, Spending
from eval.choice import REFERENCE
from eval.clusters import split_few_clusters
from eval.judging import Judge
from eval.noise import measure_answer_noise
from eval.progress import Progress
from eval.questions import Question
from eval.reply_cache import ReplyCache
from eval.results import Answers, Decision
from eval.split import split_by_cluster
from eval.tuning import Cutting
from ingest.home import Home
from serving.models import Models, build_models
from serving.profiles import AnswerPolicy
from serving.settings import ServingSettings
from suffice.tuning_order import AnswerOrder, Order
from suffice.workbench import Workbench


@dataclass(frozen=True, slots=True)
class AnswerBench:
    """What is needed to answer questions as the service of a collection does."""

    home: Home
    order: Order
    answers: AnswerOrder
    bench: Workbench
    questions: Sequence[Question]
    policy: AnswerPolicy

    async def choose(
        self, cuttings: Sequence[Cutting], candidates: Sequence[Candidate], progress: Progress
    ) -> tuple[Decision, Answers]:
        """Let models answer, and choose by that; then see what chance does to answers."""
        models = build_models(ServingSettings(), self.home.rates)
        cache = ReplyCache(self.order.output / "replies")
        spending = Spending(self.answers.max_usd)
        try:
            names = self._names(models)
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
            meter = AnswerMeter(answerers[0], await self._checked_judge(first), progress)
            repeating = AnswerMeter(answerers[1], self._judge(again), progress, "answers once more")
            questions = without_parametric(split_few_clusters(self.questions))
            split = split_by_cluster(questions, self.order.seed)
            decision, answers = await choose_by_answers(meter, split, candidates, self.order.goal)
            served = candidates[REFERENCE].setting
            spent = {
                "noise": await measure_answer_noise(meter, repeating, split.certify, served),
                "num_calls": sum(one.num_calls for one in (*first.values(), *again.values())),
                "usd": spending.usd,
            }
            return decision, answers.model_copy(update=spent)
        finally:
            await models.close()

    def _answerer(self, askers: Mapping[str, Asker], cuttings: Sequence[Cutting]) -> ReplayAnswerer:
        settings, served = ServingSettings(), self.bench.served
        serving = Serving(
            models=Models(askers),
            policy=self.policy,
            embedder=self.bench.embedder,
            analyzer=served.fingerprints["analyzer"],
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

    def _names(self, models: Models) -> list[str]:
        """Return the models that answer, the one that is asked for first."""
        policy = self.policy
        names = [models.get(policy.model).name, policy.strong_model, policy.verifier]
        return list(dict.fromkeys(name for name in names if name is not None))

    def _judge(self, askers: Mapping[str, Asker]) -> Judge | None:
        name = self.answers.judge
        return None if name is None else Judge(askers[name])

    async def _checked_judge(self, askers: Mapping[str, Asker]) -> Judge | None:
        judge = self._judge(askers)
        if judge is not None:
            answering = [
                await one.model_name() for one in askers.values() if one is not judge.asker
            ]
            await judge.check(self.order.output / "judge.json", answering)
        return judge
