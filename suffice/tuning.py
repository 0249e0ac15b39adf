"""What `suffice eval tune` does: the cheapest context for a collection, certified and reported."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eval.anchoring import Anchored, anchor
from eval.answer_stages import NAMES
from eval.counted import counted
from eval.errors import NoQuestionsError
from eval.extras import Extra
from eval.noise import measure_search_noise
from eval.progress import Progress, silent
from eval.questions import Question, group_questions
from eval.replay import Replay
from eval.report.page import write_report
from eval.results import Fingerprints, QuestionCounts, Result, SearchNoise, SpanCounts
from eval.split import Split
from eval.stages import HEADINGS
from eval.synthesis.corpus import RULE
from eval.tuning import Material, Served, Tuning, tune
from ingest.home import Home
from retrieval.embedding import Embedder
from retrieval.reranking import Reranking
from retrieval.settings import RetrievalSettings
from serving.models import build_models
from serving.profiles import AnsweringProfile
from serving.service import load_embedder
from serving.settings import ServingSettings
from suffice.answer_bench import AnswerBench
from suffice.certified_profile import PROFILE, RESULT, save_profile
from suffice.client import Client
from suffice.errors import SufficeError
from suffice.snapshots import ServedCollection, read_collection
from suffice.tuning_order import REPORT, TuningOrder, check_order
from suffice.workbench import count_tokens, open_workbench


def run_tuning(
    client: Client,
    home: Home,
    order: TuningOrder,
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
        NoQuestionsError: the documents hold the evidence of too few questions.
        EvalError: the questions or the collection are not fit for it, or it is not known what the
            model costs or takes, and a budget was given for that.
        SufficeError: the collection was made with other settings, or it, or what serves it,
            changed meanwhile.
    """
    questions = check_order(order)
    served = read_collection(client, order.collection, progress)
    anchored = _anchor(questions, served)
    settings = ServingSettings()
    profile = _read_profile(client, served, order, settings)
    with open_workbench(home, served, load) as bench:
        models = build_models(settings, home.rates)
        bench.closing.callback(lambda: asyncio.run(models.close()))
        generator = models.get(profile.answering.model)
        prompt_limits = order.budget.prompt_limits(generator, profile.answering.samples)
        order = replace(order, goal=replace(order.goal, prompt_limits=prompt_limits))
        cuttings = list(bench.cuttings(order, anchored.questions, progress))
        bare = bench.without_headings(order, anchored.questions, progress)
        tokens = count_tokens(served, bench.embedder, generator)
        tuning = tune(
            anchored.questions,
            Material(cuttings, served.snapshot, tokens, bare),
            Served(profile, settings.top_k, generator.price),
            order.goal,
            order.seed,
            progress,
        )
        tuning.warnings.extend(_doubts_of_reuse(profile, order.questions))
        result = _to_result(order, served, anchored, tuning, generator.name, bench.reranking)
        if order.answers is not None:
            table = AnswerBench(
                home, order, order.answers, bench, anchored.questions, profile.answering
            )
            choosing = table.choose(cuttings, tuning.candidates, progress)
            decision, answers, reasons = asyncio.run(choosing)
            reasons = {**result.not_measured, **reasons}
            found = {"decision": decision, "answers": answers, "not_measured": reasons}
            result = result.model_copy(update=found)
        noise = _measure_search_noise(client, served, cuttings[0].replay, tuning, profile)
        result = result.model_copy(update={"search_noise": noise})
    _check_unchanged(client, served, order, profile)
    _write(order.output, result, profile)
    return result


def _anchor(questions: Sequence[Question], served: ServedCollection) -> Anchored:
    anchored = anchor(questions, served.snapshot.texts_by_name)
    if anchored.dropped and not any(question.answerable for question in anchored.questions):
        raise NoQuestionsError(
            f"The documents of {served.name!r} do not hold the evidence of any question any more: "
            f"{len(anchored.dropped)} were left out, the first because "
            f"{anchored.dropped[0].reason}. Name the collection that they are about, or make "
            "others with `suffice eval synth`."
        )
    return anchored


def _doubts_of_reuse(profile: AnsweringProfile, questions: Path) -> Iterator[str]:
    """Yield what it means to certify with questions that were used up before."""
    certificate = profile.certificate
    if certificate is not None and certificate.questions == _digest(questions):
        loss = (
            "" if certificate.eps is None else f"may lose up to {certificate.eps:g} once more, and "
        )
        yield (
            "What is served now was certified with these very questions. What is certified next "
            f"{loss}is shown less surely by the same questions each time: take others, or tune "
            "from the profile that you began with."
        )


def _digest(questions: Path) -> str:
    return hashlib.sha256(questions.read_bytes()).hexdigest()


def _write(folder: Path, result: Result, profile: AnsweringProfile) -> None:
    # Whatever fails, no certificate of another tuning is left beside this result.
    (folder / PROFILE).unlink(missing_ok=True)
    result.save(folder / RESULT)
    write_report(result, folder / REPORT)
    save_profile(folder / PROFILE, profile, result)


def _read_profile(
    client: Client, served: ServedCollection, order: TuningOrder, settings: ServingSettings
) -> AnsweringProfile:
    """Return what serves the collection, with the limit of the settings and the order's model."""
    profile = AnsweringProfile.model_validate(client.profile(served.profile))
    max_tokens = profile.packing.max_tokens or settings.max_context_tokens
    changes: dict[str, Any] = {
        "packing": profile.packing.model_copy(update={"max_tokens": max_tokens})
    }
    if order.answers is not None and order.answers.model is not None:
        policy = profile.answering.model_copy(update={"model": order.answers.model})
        changes["answering"] = policy
    return profile.model_copy(update=changes)


def _measure_search_noise(
    client: Client,
    served: ServedCollection,
    replay: Replay,
    tuning: Tuning,
    profile: AnsweringProfile,
) -> SearchNoise:
    """Ask the service for what was recorded."""
    top_k = profile.most_hits(None, ServingSettings().top_k)

    def search(text: str) -> list[str]:
        hits = client.search(text, served.name, profile=served.profile, top_k=top_k)["hits"]
        return [hit["chunk_id"] for hit in hits]

    return measure_search_noise(replay, tuning.split.certify, profile, top_k, search)


def _not_measured(order: TuningOrder, tuning: Tuning) -> Iterator[tuple[str, str]]:
    """Yield stages that cost something, and why nothing is said of them."""
    if HEADINGS not in {one.name for one in tuning.stages}:
        is_asked = Extra.HEADINGS in order.stages
        yield (
            HEADINGS,
            "No document has any." if is_asked else f"Not asked for: --stages {Extra.HEADINGS}.",
        )
    if order.answers is None:
        for stage, name in NAMES.items():
            yield name, f"Answers were not measured: --answers --stages {stage}."


def _check_unchanged(
    client: Client, served: ServedCollection, order: TuningOrder, profile: AnsweringProfile
) -> None:
    # Texts, too: a document that a newer parser reads anew keeps its revision.
    if (
        read_collection(client, served.name) != served
        or _read_profile(client, served, order, ServingSettings()) != profile
    ):
        raise SufficeError(
            f"The collection {served.name!r} changed while it was measured: its documents, how "
            "they are indexed, or the profile that it is served with. So the result is about none "
            "of its states. Run the same command again; what is known of the rest is kept."
        )


def _to_result(
    order: TuningOrder,
    served: ServedCollection,
    anchored: Anchored,
    tuning: Tuning,
    model: str,
    reranking: Reranking | None,
) -> Result:
    held_out = tuning.split.certify
    return Result(
        created=datetime.now(UTC),
        collection=served.name,
        num_documents=len(served.snapshot.documents),
        questions=_count_questions(order, anchored, tuning.split),
        fingerprints=Fingerprints(
            snapshot=served.snapshot.fingerprint,
            embedder=served.fingerprints["embedder"],
            analyzer=served.fingerprints["analyzer"],
            chunker=served.fingerprints["chunker"],
            reranker=reranking.fingerprint if reranking else None,
            tokenizer=model,
        ),
        num_settings=tuning.num_settings,
        reference=tuning.reference,
        settings=tuning.settings,
        question_ids=[one.question_id for one in held_out],
        groups=group_questions(held_out),
        clusters=[one.cluster for one in held_out],
        curve=tuning.curve,
        coverage_at=tuning.coverage_at,
        decision=tuning.decision,
        stages=tuning.stages,
        not_measured={**tuning.not_measured, **dict(_not_measured(order, tuning))},
        loss=tuning.loss,
        budget=tuning.budget,
        warnings=[*tuning.warnings, *_warnings(anchored)],
    )


def _count_questions(order: TuningOrder, anchored: Anchored, split: Split) -> QuestionCounts:
    kinds = [question.kind for question in anchored.questions]
    num_answerable = sum(question.answerable for question in anchored.questions)
    return QuestionCounts(
        sha256=_digest(order.questions),
        num_answerable=num_answerable,
        num_unanswerable=len(anchored.questions) - num_answerable,
        num_tune=len(split.tune),
        num_certify=len(split.certify),
        num_clusters_tune=len({one.cluster for one in split.tune}),
        num_clusters_certify=len({one.cluster for one in split.certify}),
        seed=order.seed,
        dropped={one.question_id: one.reason for one in anchored.dropped},
        by_kind={kind: kinds.count(kind) for kind in sorted(set(kinds))},
        spans=SpanCounts(
            kept=anchored.num_kept,
            moved=anchored.num_moved,
            fuzzy=anchored.num_fuzzy,
            dropped=anchored.num_dropped,
        ),
    )


def _warnings(anchored: Anchored) -> Iterator[str]:
    if all(question.answerable for question in anchored.questions):
        yield (
            "No question is without an answer in the documents, so nothing is known of how often "
            "the service should have said that it does not know."
        )
    answerable = [question for question in anchored.questions if question.answerable]
    num_by_rule = sum(one.kind == RULE for one in answerable)
    if 2 * num_by_rule > len(answerable):
        yield (
            f"Made by rules, in the words of their evidence: {num_by_rule:,} of "
            f"{counted(len(answerable), 'question')}. What is certified holds for such questions; "
            "on those of people the same setting may find less than allowed and save less. Add "
            "some of real people, or let a model write."
        )
    if len({question.weight for question in answerable}) > 1:
        yield "The weights of the questions were left alone: a tuning counts all clusters alike."
    if anchored.dropped:
        yield f"Questions left out, because their evidence is gone: {len(anchored.dropped)}."
