"""Answers are measured, raced and certified with as few calls as it takes, and none twice."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from eval.answer_choice import Candidate, choose_by_answers
from eval.answer_quality import AnswerMeter, AnswerQuality, RaceResult, without_parametric
from eval.answer_scores import Abstention, CitationScores, Fault
from eval.answering import ReplayAnswerer, Serving, Setting
from eval.asking import Asker, Spending
from eval.choice import Goal
from eval.decisions.sequence import certify
from eval.errors import EvalError, ModelLostError, MoneySpentError, NoQuestionsError
from eval.judging import Bounds, Judge
from eval.labels import correct_mean
from eval.questions import Question
from eval.replay import Replay
from eval.reply_cache import ReplyCache
from eval.results import AnsweredSetting, Decision, Verdict
from eval.split import Split, split_by_cluster
from retrieval.profiles import Mode, RetrievalProfile
from serving.extractive import ExtractiveGenerator
from serving.generation import NO_ANSWER, Generator
from serving.models import Models
from serving.pricing import PriceList
from serving.profiles import AnswerPolicy
from tests.eval.grader import Grader
from tests.eval.towers import (
    EMBEDDER,
    NUM_TOWERS,
    Reader,
    filenames,
    log,
    make_generator,
    open_question,
    questions,
    reply,
    towers,
)
from tests.serving.upstream import Reply, Upstream, count_words, error_reply

T = TypeVar("T")
PRICE = PriceList(prompt=1.0, completion=2.0, as_of=date(2026, 11, 26))


@pytest.fixture
def upstream(upstream: Upstream) -> Upstream:
    upstream.counts = None  # else each passage is counted over HTTP
    return upstream


def setting(top_k: int, mode: Mode = Mode.LEXICAL, **options: Any) -> Setting:
    return Setting(0, RetrievalProfile(mode=mode, top_k=top_k, rerank=False, **options))


def use(
    generator: Generator,
    folder: Path,
    do: Callable[[AnswerMeter], Awaitable[T]],
    *,
    max_usd: float | None = None,
    judge: Generator | None = None,
    told: list[tuple[str, int, int, str]] | None = None,
) -> T:
    """Do something with a meter, with the replies kept in a folder."""

    def tell(step: str, done: int, total: int, note: str = "") -> None:
        if told is not None:
            told.append((step, done, total, note))

    async def run() -> T:
        cache, spending = ReplyCache(folder / "replies"), Spending(max_usd)
        asker = Asker(generator, cache, spending)
        serving = Serving(
            models=Models({generator.name: asker}),
            policy=AnswerPolicy(),
            embedder=EMBEDDER,
            language="english",
            default_k=5,
            max_answer_tokens=64,
        )
        asked = [*questions(), *map(open_question, range(NUM_TOWERS))]
        answerer = ReplayAnswerer([Replay(log(), EMBEDDER)], asked, towers(), filenames(), serving)
        judging = None if judge is None else Judge(Asker(judge, cache, spending))
        try:
            return await do(AnswerMeter(answerer, judging, tell))
        finally:
            for one in filter(None, (generator, judge)):
                await one.close()

    return asyncio.run(run())


def measure(
    upstream: Upstream,
    folder: Path,
    asked: Sequence[Question],
    *settings: Setting,
    price: PriceList | None = None,
    **options: Any,
) -> AnswerQuality:
    generator = make_generator(upstream.url, price=price)
    return use(generator, folder, lambda meter: meter.measure(asked, settings), **options)


def race(
    upstream: Upstream,
    folder: Path,
    asked: Sequence[Question],
    settings: Sequence[Setting],
    margin: float = 0.0,
) -> RaceResult:
    generator = make_generator(upstream.url)
    return use(generator, folder, lambda meter: meter.race(asked, settings, margin))


def wait_for(upstream: Upstream, num_requests: int) -> None:
    while len(upstream.requests) < num_requests:
        time.sleep(0.01)


# ---- measuring


def test_quality_of_answers_and_of_refusals(upstream: Upstream, tmp_path: Path) -> None:
    upstream.counts = count_words
    upstream.respond = Reader()
    asked = [*questions()[:5], open_question(3)]
    told: list[tuple[str, int, int, str]] = []
    found = measure(upstream, tmp_path, asked, setting(1), setting(4), price=PRICE, told=told)
    assert found.quality.tolist() == [[0.0] * 5 + [1.0], [1.0] * 6]
    assert (found.low == found.high).all()
    assert found.clusters == [one.cluster for one in asked]
    # One in six questions has no answer; with one chunk nothing is answered.
    assert found.abstention(0) == Abstention(precision=1 / 6, recall=1.0)
    assert found.abstention(1) == Abstention(precision=1.0, recall=1.0)
    few, more = found.scored[0][0], found.scored[1][0]
    assert few.citations == CitationScores(precision=None, recall=0.0)
    assert more.citations == CitationScores(precision=1.0, recall=1.0)
    assert (few.fault, more.fault) == (Fault.RETRIEVAL, Fault.NONE)
    # "1,000 steps" in "There are **1,000 steps** ."
    assert more.exact_match == 0.0
    assert more.f1 == pytest.approx(2 * 2 / (4 + 2))
    assert more.rouge_l == pytest.approx(2 * 3 / (5 + 3))  # `1` and `000` are two words there
    assert found.scored[0][5].citations is None
    assert found.num_calls == len(upstream.requests) <= 12
    usages = [one.answer.usage for row in found.scored for one in row]
    dollars = [(one.prompt_tokens + 2 * one.completion_tokens) / 1e6 for one in usages]
    assert found.usd_per_answer.ravel() == pytest.approx(dollars)
    assert found.usd == pytest.approx(sum(dollars))
    assert [one[:3] for one in told] == [("answers", done, 12) for done in range(1, 13)]
    assert told[-1][3] == f"${found.usd:.4f}"


@pytest.mark.parametrize(
    ("answer", "fault"),
    [("There are 2 steps.", Fault.READER), (NO_ANSWER, Fault.ABSTENTION)],
)
def test_evidence_that_the_model_overlooks_is_its_fault(
    upstream: Upstream, tmp_path: Path, answer: str, fault: Fault
) -> None:
    upstream.respond = lambda _: reply(answer, 200)
    found = measure(upstream, tmp_path, questions()[:1], setting(4))
    assert found.scored[0][0].fault is fault


def test_an_empty_answer_is_wrong_and_no_refusal(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = lambda _: reply("", 0)
    asked = [questions()[0], open_question(1)]
    found = measure(upstream, tmp_path, asked, setting(4))
    assert found.quality.tolist() == [[0.0, 0.0]]
    assert found.abstention(0) == Abstention(precision=None, recall=0.0)


def test_without_right_answers_the_cited_evidence_counts(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.respond = Reader()
    asked = [replace(one, answers=()) for one in questions()[:4]]
    found = measure(upstream, tmp_path, asked, setting(1), setting(4))
    assert found.quality.tolist() == [[0.0] * 4, [1.0] * 4]


def test_sentences_chosen_without_a_model_are_measured(tmp_path: Path) -> None:
    asked = questions()[:6]
    settings = [setting(1), setting(4)]
    generator = ExtractiveGenerator(threshold=0.0)
    # A limit of money is no trouble: there is no model.
    found = use(generator, tmp_path, lambda meter: meter.measure(asked, settings), max_usd=0.0)
    assert found.quality.mean(axis=1).tolist() == [0.0, 1.0]
    assert (found.usd, found.flaws) == (0.0, {})


def test_prompts_that_the_server_cuts_make_a_setting_invalid(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.counts = count_words
    upstream.respond = reader = Reader()
    reader.reads = 220
    found = measure(upstream, tmp_path, questions()[:4], setting(1), setting(8))
    (flaw,) = found.flaws.items()
    assert flaw[0] == 1
    assert "The model server read 220 of " in flaw[1]
    assert "cut 4 of 4 prompts without saying so. Raise its window" in flaw[1]


def test_what_the_model_knows_anyway_is_left_out() -> None:
    known = replace(questions()[0], tags=("written", "parametric"))
    assert without_parametric([known, questions()[1]]) == [questions()[1]]


# ---- going on


@pytest.mark.no_cover  # over the same lines hundreds of times
def test_a_model_that_goes_down_stops_and_the_same_call_goes_on(
    upstream: Upstream, tmp_path: Path
) -> None:
    reader = Reader()
    down = error_reply(500, "Out of memory.", "InternalServerError")
    num_answered = 0

    def respond(request: dict[str, Any]) -> Reply:
        nonlocal num_answered
        if num_answered == 20:
            return down
        num_answered += 1
        return reader(request)

    upstream.respond = respond
    with pytest.raises(ModelLostError, match="What was answered is kept: the same command goes on"):
        measure(upstream, tmp_path, questions(), setting(4))
    upstream.requests.clear()
    upstream.respond = reader
    found = measure(upstream, tmp_path, questions(), setting(4))
    assert found.num_calls == len(upstream.requests) == NUM_TOWERS - 20
    assert found.quality.mean() == 1.0
    again = measure(upstream, tmp_path, questions(), setting(4))
    assert again == replace(found, num_calls=0)


@pytest.mark.no_cover  # over the same lines hundreds of times
def test_a_run_that_is_broken_off_goes_on(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = Reader()
    generator = make_generator(upstream.url)

    async def broken_off(meter: AnswerMeter) -> None:
        work = asyncio.ensure_future(meter.measure(questions(), [setting(4)]))
        await asyncio.to_thread(wait_for, upstream, 30)
        work.cancel()  # as Ctrl-C does
        with pytest.raises(asyncio.CancelledError):
            await work

    use(generator, tmp_path, broken_off)
    kept = len(ReplyCache(tmp_path / "replies"))
    assert 20 < kept < NUM_TOWERS
    assert measure(upstream, tmp_path, questions(), setting(4)).num_calls == NUM_TOWERS - kept


def test_money_is_not_exceeded(upstream: Upstream, tmp_path: Path) -> None:
    upstream.counts = count_words
    upstream.respond = Reader()
    with pytest.raises(MoneySpentError, match=r"limit of \$0\.004\. What was answered is kept"):
        measure(upstream, tmp_path, questions(), setting(4), price=PRICE, max_usd=0.004)
    kept = len(ReplyCache(tmp_path / "replies"))
    assert kept == len(upstream.requests)
    assert 0 < kept < NUM_TOWERS


def test_money_cannot_be_limited_without_a_price(upstream: Upstream, tmp_path: Path) -> None:
    with pytest.raises(EvalError, match="Nothing is known of what 'default' costs"):
        measure(upstream, tmp_path, questions(), setting(4), max_usd=1.0)


# ---- judging


def judged(
    upstream: Upstream, folder: Path, grader: Grader, asked: Sequence[Question], *settings: Setting
) -> AnswerQuality:
    return judged_by(upstream, folder, grader, lambda meter: meter.measure(asked, settings))


def judged_by(
    upstream: Upstream, folder: Path, grader: Grader, do: Callable[[AnswerMeter], Awaitable[T]]
) -> T:
    reader = Reader()

    def respond(request: dict[str, Any]) -> Reply:
        return (grader if request["model"] == "judge" else reader)(request)

    upstream.respond = respond
    judge = make_generator(upstream.url, "judge", "judge")
    return use(make_generator(upstream.url), folder, do, judge=judge)


def test_a_judge_grades_answers_that_are_none(upstream: Upstream, tmp_path: Path) -> None:
    grader = Grader()
    asked = [*questions()[:5], open_question(3)]
    found = judged(upstream, tmp_path, grader, asked, setting(1), setting(4))
    assert found.quality.tolist() == [[0.0] * 5 + [1.0], [1.0] * 6]
    assert found.scored[1][0].faithfulness == Bounds(1.0, 1.0)
    assert found.scored[0][0].faithfulness is None
    # A grade and a verdict for each answer; refusals are not judged.
    assert len(grader.prompts) == 2 * 5
    assert found.tally is not None
    assert found.tally.failure_rate == 0.0
    assert not any("**" in prompt or "[1]" in prompt for prompt in grader.prompts)


def test_a_judge_that_fails_counts_for_the_reference(upstream: Upstream, tmp_path: Path) -> None:
    grader = Grader()
    grader.garbage = 3
    settings = (setting(4), setting(6))
    found = judged(upstream, tmp_path, grader, questions()[:30], *settings)
    assert found.tally is not None
    assert found.tally.failure_rate == pytest.approx(1 / 3, abs=0.02)
    failed = found.low != found.high
    assert failed.any(axis=1).all()
    assert (found.high[failed] == 1).all()
    assert (found.low[failed] == 0).all()
    assert (found.low[~failed] == 1).all()
    for row, is_unknown in zip(found.scored, failed, strict=True):
        assert [one.fault for one in row] == [
            Fault.UNJUDGED if unknown else Fault.NONE for unknown in is_unknown
        ]


def test_bounds_are_of_the_quality_that_is_told(upstream: Upstream, tmp_path: Path) -> None:
    grader = Grader()
    grader.garbage = 3
    asked = questions()[:30]
    large = [replace(one, cluster="large") for one in asked[6:20]]
    split = Split(tuple(asked[:6]), (*large, *asked[20:]))
    candidates = [Candidate("s0", "now", setting(4), 100.0)]

    async def choose(meter: AnswerMeter) -> AnsweredSetting:
        _, answers = await choose_by_answers(meter, split, candidates, Goal())
        return answers.settings[0]

    found = judged_by(upstream, tmp_path, grader, choose)
    assert found.quality_low < found.quality.mean < found.quality_high
    assert found.quality.mean == pytest.approx((found.quality_low + found.quality_high) / 2)


def test_a_judge_that_often_fails_is_named_where_nothing_is_certified(
    upstream: Upstream, tmp_path: Path
) -> None:
    grader = Grader()
    grader.garbage = 3
    asked = questions()[:40]
    split = Split(tuple(asked[:6]), tuple(asked[6:]))
    candidates = [
        Candidate("s0", "now", setting(6), 600.0),
        Candidate("s1", "four chunks", setting(4), 400.0),
    ]

    async def choose(meter: AnswerMeter) -> Decision:
        decision, _ = await choose_by_answers(meter, split, candidates, Goal(eps=0.1))
        return decision

    decision = judged_by(upstream, tmp_path, grader, choose)
    assert decision.verdict is Verdict.NOT_CERTIFIED
    assert "% of the judge's replies were no verdict" in decision.statement


def test_dollars_are_means_of_clusters_as_tokens_are(upstream: Upstream, tmp_path: Path) -> None:
    asked = questions()[:30]
    large = {one.text for one in asked[6:20]}
    split = Split(
        tuple(asked[:6]), (*(replace(one, cluster="large") for one in asked[6:20]), *asked[20:22])
    )

    def respond(request: dict[str, Any]) -> Reply:
        is_large = request["messages"][-1]["content"].rpartition("Question: ")[2] in large
        return reply(NO_ANSWER, 1000 if is_large else 10000)

    upstream.respond = respond
    price = PriceList(prompt=1.0, completion=0.0, as_of=date(2026, 11, 26))

    async def choose(meter: AnswerMeter) -> AnsweredSetting:
        _, answers = await choose_by_answers(
            meter, split, [Candidate("s0", "now", setting(4), 100.0)], Goal()
        )
        return answers.settings[0]

    found = use(make_generator(upstream.url, price=price), tmp_path, choose)
    # $1 for 1,000 answers of the large cluster, $10 of each of the two others.
    assert found.usd_per_1000 == pytest.approx((1 + 10 + 10) / 3)


def choose(upstream: Upstream, folder: Path, *candidates: Candidate) -> Decision:
    upstream.respond = Reader()
    asked = questions()[:70]
    split = Split(tuple(asked[:6]), tuple(asked[6:]))

    async def choose(meter: AnswerMeter) -> Decision:
        decision, _ = await choose_by_answers(meter, split, candidates, Goal(eps=0.3))
        return decision

    return use(make_generator(upstream.url), folder, choose)


def test_what_turns_out_to_have_longer_prompts_is_not_chosen(
    upstream: Upstream, tmp_path: Path
) -> None:
    now = Candidate("s0", "now", setting(4), 400.0)
    # By luck the prompts to choose with were shorter.
    dearer = Candidate("s1", "six chunks", setting(6), 300.0)
    decision = choose(upstream, tmp_path, now, dearer)
    assert [one.p_value < 0.05 for one in decision.tested] == [True]
    assert (decision.verdict, decision.chosen) == (Verdict.NOT_CERTIFIED, "s0")
    assert "as good has as long prompts" in decision.statement
    cheaper = Candidate("s2", "three chunks", setting(3), 300.0)
    decision = choose(upstream, tmp_path, now, cheaper)
    assert (decision.verdict, decision.chosen) == (Verdict.CERTIFIED, "s2")


def test_where_nothing_cheaper_is_left_no_questions_would_tell(
    upstream: Upstream, tmp_path: Path
) -> None:
    decision = choose(upstream, tmp_path, Candidate("s0", "now", setting(4), 400.0))
    assert (decision.tested, decision.questions_needed) == ([], None)
    assert decision.statement.startswith("Keep now (")
    assert "nothing cheaper came close" in decision.statement


@pytest.mark.no_cover  # over the same lines hundreds of times
def test_labels_correct_what_the_judge_says(upstream: Upstream, tmp_path: Path) -> None:
    found = judged(upstream, tmp_path, Grader(), questions()[:40], setting(4))
    grades = found.grades(0)
    assert len(grades) == 40
    first = next(found.to_label())
    assert first["id"] in grades
    assert first["reference"] == "1,000 steps"
    assert first["question"] == questions()[0].text
    labels = dict.fromkeys([*grades][:10], 1.0) | dict.fromkeys([*grades][10:20], 0.0)
    labelled = correct_mean(grades, labels, found.answer_clusters(0))
    assert labelled.corrected is not None
    assert (labelled.mean, labelled.corrected.mean) == (1.0, 0.5)


# ---- racing


def grid() -> list[Setting]:
    """Return twelve settings, of which nine hardly ever have the evidence in the context."""
    bad = [
        *(setting(1, num_candidates=depth) for depth in (10, 20, 30)),
        *(setting(1, Mode.HYBRID, dense_weight=weight) for weight in (0.1, 0.2, 0.4, 0.5)),
        setting(1, Mode.DENSE),
        setting(2, Mode.LEXICAL, min_score=1e9),
    ]
    good = [setting(top_k) for top_k in (4, 6, 8)]
    return [*bad[:3], *good, *bad[3:]]


@pytest.mark.no_cover  # over the same lines hundreds of times
def test_a_race_spends_few_calls_and_keeps_the_best(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = Reader()
    result = race(upstream, tmp_path, questions(), grid())
    assert sorted(result.survivors) == [3, 4, 5]
    # 12 settings for 40 questions, then 3 for 60.
    assert result.num_answers == 12 * 40 + 3 * 60
    # Some settings differ in nothing that a prompt shows, and each prompt was asked once.
    prompts = {str(request["messages"]) for request in upstream.requests}
    assert len(upstream.requests) == len(prompts) < result.num_answers
    assert np.isnan(result.scores[0, 40:]).all()
    assert (result.scores[3] == 1).all()
    assert {one.question_id for one in result.questions} == {f"q{i}" for i in range(NUM_TOWERS)}


def test_a_margin_keeps_what_is_a_little_worse(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = Reader()
    settings = [setting(4), setting(1)]
    assert race(upstream, tmp_path, questions()[:60], settings).survivors == (0,)
    kept = race(upstream, tmp_path, questions()[:60], settings, margin=0.99)
    assert kept.survivors == (0, 1)


def test_a_race_with_one_left_is_over(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = Reader()
    result = race(upstream, tmp_path, questions(), [setting(1), setting(4)])
    assert (result.survivors, result.num_answers) == ((1,), 2 * 40)


def test_what_is_cut_is_out_at_once(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = reader = Reader()
    reader.reads = 220
    result = race(upstream, tmp_path, questions()[:40], [setting(8), setting(1)])
    assert result.survivors == (1,)
    assert [*result.flaws] == [0]
    assert np.isnan(result.scores[0, 20:]).all()
    none = race(upstream, tmp_path, questions()[:40], [setting(8)])
    assert none.survivors == ()


def test_a_race_needs_questions(upstream: Upstream, tmp_path: Path) -> None:
    with pytest.raises(NoQuestionsError, match="A race needs questions"):
        race(upstream, tmp_path, [], [setting(1)])


@pytest.mark.no_cover  # over the same lines hundreds of times
def test_from_the_race_to_the_certificate(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = Reader()
    settings = [setting(20), setting(1), setting(4)]
    split = split_by_cluster(questions())
    generator = make_generator(upstream.url)
    raced, found = use(generator, tmp_path, lambda meter: meter.race_and_measure(split, settings))
    assert set(raced.survivors) == {0, 2}
    assert found.settings == (settings[0], settings[2])
    assert found.questions == split.certify
    assert found.prompt_tokens[1].mean() < found.prompt_tokens[0].mean()
    items = found.low  # each question is about another document
    assert certify(items, [0, 1], eps=0.1, delta=0.05, rivals=found.high).certified == 1
