"""The answer bench: models answer from replayed searches, and a setting is chosen by that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval.answer_choice import Candidate, choose_by_answers
from eval.answer_quality import AnswerMeter, without_parametric
from eval.answering import ReplayAnswerer, Serving
from eval.asking import Asker, Spending
from eval.clusters import split_few_clusters
from eval.judging import Judge
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
        """Let models answer, and choose by that."""
        settings = ServingSettings()
        models = build_models(settings, self.home.rates)
        cache = ReplyCache(self.order.output / "replies")
        spending = Spending(self.answers.max_usd)
        try:
            askers = {
                name: Asker(models.get(name), cache, spending)
                for name in {*self._names(models), self.answers.judge}
                if name is not None
            }
            judge = await self._judge(askers)
            served = self.bench.served
            serving = Serving(
                models=Models({name: askers[name] for name in self._names(models)}),
                policy=self.policy,
                embedder=self.bench.embedder,
                analyzer=served.fingerprints["analyzer"],
                default_k=settings.top_k,
                max_answer_tokens=settings.max_answer_tokens,
                max_context_tokens=settings.max_context_tokens,
                collection=served.name,
            )
            answerer = ReplayAnswerer(
                [cutting.replay for cutting in cuttings],
                self.questions,
                served.snapshot,
                served.filenames,
                serving,
            )
            questions = without_parametric(split_few_clusters(self.questions))
            split = split_by_cluster(questions, self.order.seed)
            meter = AnswerMeter(answerer, judge, progress)
            return await choose_by_answers(meter, split, candidates, self.order.goal)
        finally:
            await models.close()

    def _names(self, models: Models) -> list[str]:
        """Return the models that answer, the one that is asked for first."""
        policy = self.policy
        names = [models.get(policy.model).name, policy.strong_model, policy.verifier]
        return list(dict.fromkeys(name for name in names if name is not None))

    async def _judge(self, askers: Mapping[str, Asker]) -> Judge | None:
        name = self.answers.judge
        if name is None:
            return None
        judge = Judge(askers[name])
        answering = [await one.model_name() for other, one in askers.items() if other != name]
        await judge.check(self.order.output / "judge.json", answering)
        return judge
