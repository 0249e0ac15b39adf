"""Stages of answering pay where they do, cost what they cost, and are skipped for a reason."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from eval.answer_quality import AnswerMeter
from eval.answer_stages import NAMES, Pair, list_pairs, measure_stage
from eval.answering import ReplayAnswerer, Serving, Setting
from eval.asking import Asker
from eval.extras import Extra
from eval.replay import Replay
from eval.reply_cache import ReplyCache
from eval.results import AnswerStage
from retrieval.profiles import Mode, RetrievalProfile
from serving.backends import ThinkingSwitch
from serving.extractive import ExtractiveGenerator
from serving.generation import Generator
from serving.models import Models
from serving.profiles import AnswerPolicy
from tests.eval.test_answer_quality import PRICE
from tests.eval.towers import (
    EMBEDDER,
    Reader,
    filenames,
    log,
    make_generator,
    questions,
    reply,
    reply_all,
    towers,
)
from tests.serving.upstream import Reply, Upstream, count_words

ASKED = questions()[:20]
SERVED = Setting(0, RetrievalProfile(mode=Mode.LEXICAL, top_k=4, rerank=False))
POLICY = AnswerPolicy()


def thinker(url: str) -> Generator:
    return make_generator(url, price=PRICE, thinking=ThinkingSwitch.TEMPLATE)


def other(url: str) -> Generator:
    return make_generator(url, "big", "big-model")


@pytest.fixture
def upstream(upstream: Upstream) -> Upstream:
    upstream.counts = None  # else each passage is counted over HTTP
    return upstream


def measure(folder: Path, *generators: Generator, pair: Pair) -> AnswerStage | str:
    async def run() -> AnswerStage | str:
        cache = ReplyCache(folder / "replies")
        models = Models({one.name: Asker(one, cache) for one in generators})
        serving = Serving(models, POLICY, EMBEDDER, "english", 5, 64)
        answerer = ReplayAnswerer([Replay(log(), EMBEDDER)], ASKED, towers(), filenames(), serving)
        try:
            return await measure_stage(AnswerMeter(answerer), ASKED, SERVED, pair)
        finally:
            await models.close()

    return asyncio.run(run())


def pair_of(stage: Extra, *generators: Generator, policy: AnswerPolicy = POLICY) -> Pair:
    (pair,), _ = list_pairs([stage], policy, Models({one.name: one for one in generators}))
    return pair


def with_tokens(request: dict[str, Any], num_written: int, text: str | None = None) -> Reply:
    """Answer as the reader, or with a text, and claim to have written so many tokens."""
    return reply(answer_to(request) if text is None else text, num_read(request), num_written)


def answer_to(request: dict[str, Any]) -> str:
    return Reader().answer(request["messages"][-1]["content"])


def num_read(request: dict[str, Any]) -> int:
    return sum(count_words(message["content"]) for message in request["messages"])


def test_thinking_that_helps_pays_and_costs(upstream: Upstream, tmp_path: Path) -> None:
    """Without thinking the model counts wrong."""

    def respond(request: dict[str, Any]) -> Reply:
        if request["chat_template_kwargs"]["enable_thinking"]:
            return with_tokens(request, 110)
        return with_tokens(request, 10, "There are two steps.")

    upstream.respond = respond
    generator = thinker(upstream.url)
    pair = pair_of(Extra.THINKING, generator, policy=AnswerPolicy(thinking=200))
    stage = measure(tmp_path, generator, pair=pair)
    assert isinstance(stage, AnswerStage)
    assert stage.name == NAMES[Extra.THINKING]
    assert stage.quality.mean > 0.4
    assert stage.completion_tokens.mean == 100
    assert stage.prompt_tokens.mean == 0
    assert stage.usd_per_1000 == pytest.approx(100 * PRICE.completion / 1e6 * 1000)
    assert stage.statement == "Better answers, $0.20 more for 1,000 answers."
    # Nothing is asked again, and what it took is known from the first time.
    num_requests = len(upstream.requests)
    assert measure(tmp_path, thinker(upstream.url), pair=pair) == stage
    assert len(upstream.requests) == num_requests == 2 * len(ASKED)


def test_samples_are_all_paid_for(upstream: Upstream, tmp_path: Path) -> None:
    """The first answer is wrong; of three two are right, and stand in the passage they cite."""

    def respond(request: dict[str, Any]) -> Reply:
        right = answer_to(request)
        texts = ["There are 2 steps.", right, right][: request.get("n", 1)]
        return reply_all(texts, num_read(request))

    upstream.respond = respond
    generator = make_generator(upstream.url)
    stage = measure(tmp_path, generator, pair=pair_of(Extra.SAMPLES, generator))
    assert isinstance(stage, AnswerStage)
    assert stage.name.endswith(": 3")
    assert stage.quality.mean > 0.4
    assert stage.completion_tokens.mean == 20
    assert stage.usd_per_1000 is None
    assert stage.statement == "Better answers, 20 more tokens written for an answer."


def test_another_model_that_is_no_better_says_so(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = lambda request: with_tokens(request, 40 if "big" in request["model"] else 10)
    generators = (make_generator(upstream.url, model="small-model"), other(upstream.url))
    stage = measure(tmp_path, *generators, pair=pair_of(Extra.MODEL, *generators))
    assert isinstance(stage, AnswerStage)
    assert stage.name == "big instead of default"
    assert (stage.quality.low, stage.quality.high) == (0, 0)
    assert stage.statement == "No difference shown, 30 more tokens written for an answer."


def test_prompts_that_are_cut_say_nothing(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = reader = Reader()
    reader.reads = 60
    generators = (make_generator(upstream.url), other(upstream.url))
    found = measure(tmp_path, *generators, pair=pair_of(Extra.MODEL, *generators))
    assert isinstance(found, str)
    assert found.startswith("The model server read 60 of ")


def test_what_does_not_fit_is_not_taken_for_useless(upstream: Upstream, tmp_path: Path) -> None:
    """The window has 2,048 tokens, and thinking without a limit is given more than that."""
    upstream.respond = Reader()
    generator = thinker(upstream.url)
    found = measure(tmp_path, generator, pair=pair_of(Extra.THINKING, generator))
    assert found == "The model's window has no room for thinking in 20 of 20 answers."


def test_each_stage_that_is_skipped_has_a_reason() -> None:
    url = "http://127.0.0.1:9/v1"
    pairs, reasons = list_pairs([], POLICY, Models({"default": thinker(url)}))
    assert pairs == []
    assert reasons == {name: f"Not asked for: --stages {one}." for one, name in NAMES.items()}
    answering = [Extra.THINKING, Extra.SAMPLES, Extra.MODEL]
    pairs, reasons = list_pairs(answering, POLICY, Models({"default": make_generator(url)}))
    assert [one.with_it.samples for one in pairs] == [3]
    assert "cannot be told whether to think" in reasons[NAMES[Extra.THINKING]]
    assert "SERVING_BACKENDS_FILE names none" in reasons[NAMES[Extra.MODEL]]
    pairs, reasons = list_pairs(answering, POLICY, Models({"e": ExtractiveGenerator(0.0)}))
    assert pairs == []
    assert {*reasons.values()} == {"No model answers: sentences are chosen without one."}


def test_what_is_served_decides_how_much() -> None:
    url = "http://127.0.0.1:9/v1"
    policy = AnswerPolicy(thinking=500, samples=5)
    thinking = pair_of(Extra.THINKING, thinker(url), policy=policy)
    assert (thinking.with_it.thinking, thinking.without.thinking) == (500, False)
    assert thinking.with_it.samples == thinking.without.samples == 5
    samples = pair_of(Extra.SAMPLES, thinker(url), policy=policy)
    assert (samples.with_it.samples, samples.without.samples) == (5, 1)
    # A model that cannot be told to think is not told.
    model = pair_of(Extra.MODEL, thinker(url), other(url), policy=policy)
    assert (model.with_it.model, model.with_it.thinking) == ("big", None)
    assert model.without == policy
