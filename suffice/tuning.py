"""What `suffice eval tune` does: the cheapest context for a collection, certified and reported."""

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from eval.anchoring import Anchored, anchor
from eval.answer_choice import Candidate, choose_by_answers
from eval.answer_quality import AnswerMeter, without_parametric
from eval.answering import ReplayAnswerer, Serving
from eval.asking import Asker, Spending
from eval.choice import Goal
from eval.clusters import split_few_clusters
from eval.errors import EvalError
from eval.judging import Judge
from eval.progress import Progress, silent
from eval.questions import Question, load_questions
from eval.replay import Replay, ReplayLog, record
from eval.reply_cache import ReplyCache
from eval.report.page import write_report
from eval.results import Answers, Cut, Decision, Fingerprints, QuestionCounts, Result, Verdict
from eval.shadow import shadow_index
from eval.split import split_by_cluster
from eval.sweep import PromptTokens
from eval.tuning import Cutting, Material, Served, Tuning, tune
from ingest.chunker import MIN_MAX_TOKENS, Chunker
from ingest.home import Home
from retrieval.embedding import Embedder
from retrieval.reranking import Reranking
from retrieval.settings import RetrievalSettings
from retrieval.vector_cache import CachingEmbedder, open_cache
from serving import certificates
from serving.context import count_label
from serving.generation import Generator
from serving.markers import make_nonce
from serving.models import Models, build_models
from serving.profiles import AnsweringProfile, AnswerPolicy
from serving.prompt import write_prompt
from serving.service import build_reranking, load_embedder
from serving.settings import ServingSettings
from suffice.client import Client
from suffice.errors import SufficeError
from suffice.snapshots import ServedCollection, read_collection, read_revisions

RESULT, PROFILE, REPORT = "result.json", "profile.json", "report.html"
_SIZES = re.compile(r"structure-2/max=(\d+)/overlap=(\d+)/min=(\d+)")
# Two digits, as most passages of a prompt have.
_LABEL_NUMBER = 88


@dataclass(frozen=True, slots=True)
class AnswerOrder:
    """How answers are measured.

    Attributes:
        model: that answers, by its name; None: that of the profile.
        judge: model that grades them, by its name; None: their words are compared.
        max_usd: for all calls of models; None: any.
    """

    model: str | None = None
    judge: str | None = None
    max_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted.

    Attributes:
        questions: file of questions with their evidence.
        collection: that they are about.
        output: folder for the result.
        chunk_tokens: further chunk sizes to try; each embeds all documents once.
        overlaps: tokens of overlap to try with each size, besides none.
        goal: of the tuning.
        seed: of the split of the questions.
        answers: how answers are measured; None: evidence decides.
    """

    questions: Path
    collection: str
    output: Path
    chunk_tokens: Sequence[int] = ()
    overlaps: Sequence[int] = ()
    goal: Goal = field(default_factory=Goal)
    seed: int = 0
    answers: AnswerOrder | None = None


def check_order(order: Order) -> list[Question]:
    """Return the questions if they can be read, and the result be written.

    Raises:
        DatasetError: the questions cannot be read.
        SufficeError: the folder cannot be written.
    """
    questions = load_questions(order.questions)
    try:
        (order.output / "logs").mkdir(parents=True, exist_ok=True)
        trial = order.output / ".trial"
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise SufficeError(
            f"{order.output} cannot be written: {error.strerror or error}."
        ) from error
    return questions


def run_tuning(
    client: Client,
    home: Home,
    order: Order,
    progress: Progress = silent,
    load: Callable[[RetrievalSettings, str], Embedder] = load_embedder,
) -> Result:
    """Tune a collection; write the result, its report and, if it is certified, the profile.

    What is found on the way (vectors, replay logs) is kept, so the same command goes on where it
    was.

    Args:
        client: of the service.
        home: with the vector cache and the rates of the models.
        order: what is wanted.
        progress: told how far it is.
        load: loads the embedder of the collection by its name.

    Raises:
        EvalError: the questions or the collection are not fit for it.
        SufficeError: the collection was made with other settings, or changed meanwhile.
    """
    questions = check_order(order)
    served = read_collection(client, order.collection, progress)
    anchored = anchor(questions, served.snapshot.texts_by_name)
    with _open_bench(home, served, load) as bench:
        cuttings = list(bench.cuttings(order, anchored.questions, progress))
        profile = _read_profile(client, served, order)
        generator = build_models(ServingSettings(), home.rates).get(profile.answering.model)
        tuning = tune(
            anchored.questions,
            Material(cuttings, served.snapshot, _count_tokens(served, bench.embedder, generator)),
            Served(profile, ServingSettings().top_k, generator.price),
            order.goal,
            order.seed,
            progress,
        )
        result = _to_result(order, served, anchored, tuning, generator.name, bench.reranking)
        if order.answers is not None:
            table = _AnswerBench(
                home, order, order.answers, bench, anchored.questions, profile.answering
            )
            choosing = table.choose(cuttings, tuning.candidates, progress)
            decision, answers = asyncio.run(choosing)
            result = result.model_copy(update={"decision": decision, "answers": answers})
    _check_unchanged(client, served)
    result.save(order.output / RESULT)
    write_report(result, order.output / REPORT)
    _save_profile(order.output / PROFILE, profile, result)
    return result


@dataclass(frozen=True, slots=True)
class _Bench:
    """What is needed to search a collection as its service does."""

    served: ServedCollection
    embedder: Embedder
    reranking: Reranking | None

    def cuttings(
        self, order: Order, questions: Sequence[Question], progress: Progress
    ) -> Iterator[Cutting]:
        """Yield a replay for each way to cut the documents, first the one that is served."""
        for chunker in self._chunkers(order):
            fingerprint = self._fingerprint(chunker, questions)
            path = order.output / "logs" / f"{fingerprint[:16]}.jsonl"
            log = ReplayLog.load(path, fingerprint, self.served.snapshot.texts)
            if log is None:
                with shadow_index(
                    self.served.snapshot,
                    chunker,
                    self.embedder,
                    self.served.fingerprints["analyzer"],
                    _named(progress, f"chunks of {chunker.max_tokens}"),
                ) as index:
                    step = _named(progress, f"chunks of {chunker.max_tokens}")
                    log = record(index, self.embedder, questions, fingerprint, step)
                log.save(path)
            cut = Cut(
                max_tokens=chunker.max_tokens,
                overlap_tokens=chunker.overlap_tokens,
                min_tokens=chunker.min_tokens,
                fingerprint=chunker.fingerprint,
            )
            yield Cutting(cut, Replay(log, self.reranking))

    def _chunkers(self, order: Order) -> list[Chunker]:
        served = _served_chunker(self.served, self.embedder)
        chunkers = {served.fingerprint: served}
        for size in (served.max_tokens, *order.chunk_tokens):
            if not MIN_MAX_TOKENS <= size <= self.embedder.max_tokens:
                raise SufficeError(
                    f"Chunks of {size} tokens cannot be tried: {self.embedder.name} reads "
                    f"{MIN_MAX_TOKENS} to {self.embedder.max_tokens}."
                )
            for overlap in (0, *order.overlaps):
                chunker = Chunker(
                    size, self.embedder.token_offsets, min(overlap, size // 2), size // 4
                )
                chunkers.setdefault(chunker.fingerprint, chunker)
        return list(chunkers.values())

    def _fingerprint(self, chunker: Chunker, questions: Sequence[Question]) -> str:
        digest = hashlib.sha256()
        for part in (
            self.served.snapshot.fingerprint,
            self.embedder.fingerprint,
            self.served.fingerprints["analyzer"],
            chunker.fingerprint,
            *(f"{one.question_id}\n{one.text}" for one in questions),
        ):
            digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
        return digest.hexdigest()


@contextmanager
def _open_bench(
    home: Home, served: ServedCollection, load: Callable[[RetrievalSettings, str], Embedder]
) -> Iterator[_Bench]:
    settings = RetrievalSettings()
    with open_cache(home.vectors, settings.vector_cache_bytes) as vectors, ExitStack() as closing:
        embedder = load(settings, served.embedder)
        if embedder.fingerprint != served.fingerprints["embedder"]:
            raise SufficeError(
                f"The collection {served.name!r} was embedded with {served.embedder}, and what has "
                "this name on this machine makes other vectors. Run this command where the service "
                "runs, with its RETRIEVAL_* settings."
            )
        if vectors is not None:
            embedder = CachingEmbedder(embedder, vectors)
        yield _Bench(served, embedder, build_reranking(settings, embedder, closing))


def _served_chunker(served: ServedCollection, embedder: Embedder) -> Chunker:
    """Return the chunker that a collection was cut with."""
    sizes = _SIZES.fullmatch(served.fingerprints["chunker"])
    if sizes is None:
        raise SufficeError(
            f"The documents of {served.name!r} are cut in different ways. Run `suffice reindex "
            f"{served.name}` first."
        )
    longest, overlap, shortest = map(int, sizes.groups())
    return Chunker(longest, embedder.token_offsets, overlap, shortest)


def _count_tokens(
    served: ServedCollection, embedder: Embedder, generator: Generator
) -> PromptTokens:
    """Return how a prompt is counted by the model that reads it; without one, by the embedder."""
    nonce = make_nonce(b"", served.name)
    counter = generator.counter
    if counter is None:

        def count(text: str) -> int:
            return len(embedder.token_offsets(text))

        frame = cache(count)
    else:
        count = counter.count_text

        @cache
        def frame(question: str) -> int:
            return counter.count_messages(write_prompt(question, (), (), (), nonce), None)

    def label(document_id: str) -> int:
        return count_label(count, _LABEL_NUMBER, served.filenames[document_id], nonce)

    return PromptTokens(count, label, frame)


def _read_profile(client: Client, served: ServedCollection, order: Order) -> AnsweringProfile:
    """Return what serves the collection, with the model that the order names."""
    profile = AnsweringProfile.model_validate(client.profile(served.profile))
    if order.answers is None or order.answers.model is None:
        return profile
    policy = profile.answering.model_copy(update={"model": order.answers.model})
    return profile.model_copy(update={"answering": policy})


@dataclass(frozen=True, slots=True)
class _AnswerBench:
    """What is needed to answer questions as the service of a collection does."""

    home: Home
    order: Order
    answers: AnswerOrder
    bench: _Bench
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


def _check_unchanged(client: Client, served: ServedCollection) -> None:
    before = {one.document_id: one.revision for one in served.snapshot.documents}
    if read_revisions(client, served.name) != before:
        raise SufficeError(
            f"Documents of {served.name!r} came, went or changed while they were measured, so the "
            "result is about none of their states. Run the same command again; what is known of "
            "the others is kept."
        )


def _to_result(
    order: Order,
    served: ServedCollection,
    anchored: Anchored,
    tuning: Tuning,
    model: str,
    reranking: Reranking | None,
) -> Result:
    kinds = [question.kind for question in anchored.questions]
    answerable = [question for question in anchored.questions if question.answerable]
    split = tuning.split
    return Result(
        created=datetime.now(UTC),
        collection=served.name,
        questions=QuestionCounts(
            sha256=hashlib.sha256(order.questions.read_bytes()).hexdigest(),
            num_answerable=len(answerable),
            num_unanswerable=len(anchored.questions) - len(answerable),
            num_tune=len(split.tune),
            num_certify=len(split.certify),
            num_clusters_tune=len({one.cluster for one in split.tune}),
            num_clusters_certify=len({one.cluster for one in split.certify}),
            seed=order.seed,
            dropped={one.question_id: one.reason for one in anchored.dropped},
            by_kind={kind: kinds.count(kind) for kind in sorted(set(kinds))},
        ),
        fingerprints=Fingerprints(
            snapshot=served.snapshot.fingerprint,
            embedder=served.fingerprints["embedder"],
            analyzer=served.fingerprints["analyzer"],
            chunker=served.fingerprints["chunker"],
            reranker=reranking.reranker.name if reranking else None,
            tokenizer=model,
        ),
        num_settings=tuning.num_settings,
        reference=tuning.reference,
        settings=tuning.settings,
        question_ids=[one.question_id for one in split.certify],
        clusters=[one.cluster for one in split.certify],
        curve=tuning.curve,
        coverage_at=tuning.coverage_at,
        decision=tuning.decision,
        stages=tuning.stages,
        loss=tuning.loss,
        warnings=[*tuning.warnings, *_warnings(anchored)],
    )


def _warnings(anchored: Anchored) -> Iterator[str]:
    if all(question.answerable for question in anchored.questions):
        yield (
            "No question is without an answer in the documents, so nothing is known of how often "
            "the service should have said that it does not know."
        )
    if anchored.dropped:
        yield (f"{len(anchored.dropped)} questions were left out: the evidence is gone.")


def _save_profile(path: Path, served: AnsweringProfile, result: Result) -> None:
    """Write the profile of a certified setting; without one there is no file."""
    path.unlink(missing_ok=True)
    decision = result.decision
    if decision.verdict is not Verdict.CERTIFIED:
        return
    chosen, reference = result.setting(decision.chosen), result.setting(result.reference)
    made = result.fingerprints
    certificate = certificates.Certificate(
        statement=decision.statement,
        collection=result.collection,
        eps=decision.eps,
        delta=decision.delta,
        test=decision.test,
        num_questions=result.questions.num_certify,
        num_clusters=decision.num_clusters,
        coverage=chosen.coverage.mean,
        prompt_tokens=chosen.prompt_tokens.mean,
        reference_prompt_tokens=reference.prompt_tokens.mean,
        created=result.created.date(),
        questions=result.questions.sha256,
        fingerprints=certificates.Fingerprints(
            embedder=made.embedder,
            analyzer=made.analyzer,
            chunker=chosen.cut.fingerprint,
            reranker=made.reranker if chosen.profile.rerank else None,
            model=made.tokenizer,
        ),
    )
    values = chosen.profile.model_dump()
    AnsweringProfile(**values, answering=served.answering, certificate=certificate).save(path)


def _named(progress: Progress, addition: str) -> Progress:
    """Return a progress whose steps have an addition to their names."""

    def tell(step: str, done: int, total: int, note: str = "") -> None:
        progress(f"{step}, {addition}", done, total, note)

    return tell


def apply(client: Client, folder: Path, name: str) -> Mapping[str, object]:
    """Save the profile of a tuning and serve its collection with it; return the collection.

    Raises:
        SufficeError: there is no certified profile in the folder.
    """
    path = folder / PROFILE
    if not path.exists():
        result = Result.load(folder / RESULT)
        raise SufficeError(f"There is nothing to apply: {result.decision.statement}")
    profile = AnsweringProfile.load(path)
    if profile.certificate is None:
        raise EvalError(f"{path} has no certificate; `suffice profiles save` takes it as it is.")
    client.save_profile(name, profile.model_dump(mode="json"))
    return client.serve_profile(profile.certificate.collection, name)
