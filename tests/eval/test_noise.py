"""What changes although nothing was changed is measured by asking once more."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from eval.answer_quality import AnswerMeter
from eval.answering import ReplayAnswerer, Serving, Setting
from eval.asking import Asker, Spending
from eval.errors import MoneySpentError
from eval.noise import NUM_REPEATED, draw, measure_answer_noise, measure_search_noise
from eval.replay import Replay
from eval.reply_cache import ReplyCache
from eval.results import AnswerNoise, SearchNoise
from retrieval.profiles import Mode, RetrievalProfile
from serving.generation import NO_ANSWER
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
    towers,
)
from tests.serving.upstream import Reply, Upstream

PROFILE = RetrievalProfile(mode=Mode.LEXICAL, top_k=4, rerank=False)
ASKED = questions()[:34]


@pytest.fixture
def upstream(upstream: Upstream) -> Upstream:
    upstream.counts = None  # else each passage is counted over HTTP
    return upstream


def measure(url: str, folder: Path, max_usd: float | None = None) -> tuple[AnswerNoise, int]:
    """Return the noise, and how many calls of the model the second answers took."""

    async def run() -> tuple[AnswerNoise, int]:
        generator = make_generator(url, price=PRICE)
        cache, spending = ReplyCache(folder / "replies"), Spending(max_usd)
        askers = [Asker(generator, cache, spending, turn) for turn in (0, 1)]
        meters = []
        for asker in askers:
            models = Models({generator.name: asker})
            serving = Serving(models, AnswerPolicy(), EMBEDDER, "english", 5, 64)
            answerer = ReplayAnswerer(
                [Replay(log(), EMBEDDER)], ASKED, towers(), filenames(), serving
            )
            meters.append(AnswerMeter(answerer))
        setting = Setting(0, PROFILE)
        try:
            await meters[0].measure(ASKED, [setting])
            noise = await measure_answer_noise(meters[0], meters[1], ASKED, setting)
            return noise, askers[1].num_calls
        finally:
            await generator.close()

    return asyncio.run(run())


class Wavering:
    """Refuses every other question when it is asked for the second time."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}

    def __call__(self, request: dict[str, Any]) -> Reply:
        prompt = request["messages"][-1]["content"]
        self.asked[prompt] = self.asked.get(prompt, 0) + 1
        names = [one.text for one in ASKED[::2]]
        if self.asked[prompt] == 2 and any(prompt.endswith(name) for name in names):
            return reply(NO_ANSWER, 100)
        return Reader()(request)


def test_a_model_that_wavers_is_found_out_and_kept(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = Wavering()
    noise, num_calls = measure(upstream.url, tmp_path)
    changed = [one.question_id for one in draw(ASKED) if ASKED.index(one) % 2 == 0]
    assert (noise.num_questions, num_calls) == (NUM_REPEATED, NUM_REPEATED)
    assert 0 < len(changed) < NUM_REPEATED
    assert noise.unstable == changed
    assert noise.quality == noise.share_changed == pytest.approx(len(changed) / NUM_REPEATED)
    # What was answered once more is kept apart from what was answered first, and asked once.
    num_requests = len(upstream.requests)
    assert measure(upstream.url, tmp_path) == (noise, 0)
    assert len(upstream.requests) == num_requests == len(ASKED) + NUM_REPEATED


def test_a_model_that_repeats_itself_makes_no_noise(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = Reader()
    noise, _ = measure(upstream.url, tmp_path)
    assert (noise.quality, noise.share_changed, noise.unstable) == (0, 0, [])


def test_asking_once_more_is_within_the_limit(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = Reader()
    with pytest.raises(MoneySpentError):
        measure(upstream.url, tmp_path, max_usd=0.015)
    kept = len(ReplyCache(tmp_path / "replies"))
    assert len(ASKED) < kept < len(ASKED) + NUM_REPEATED
    assert measure(upstream.url, tmp_path)[1] == len(ASKED) + NUM_REPEATED - kept


def test_searches_that_find_something_else_are_counted() -> None:
    replay = Replay(log(), EMBEDDER)
    drawn = draw(ASKED)

    def found(text: str) -> list[str]:
        (number,) = [place for place, one in enumerate(drawn) if one.text == text]
        hits = replay.search(drawn[number].question_id, PROFILE, 4).hits
        ids = [hit.chunk.chunk_id for hit in hits]
        if number == 0:  # another order
            return ids[::-1]
        return [*ids[:3], "another"] if number == 1 else ids

    noise = measure_search_noise(replay, ASKED, PROFILE, 4, found)
    num_chunks = 4 * NUM_REPEATED
    assert noise == SearchNoise(
        num_questions=NUM_REPEATED,
        share_same=(num_chunks - 1) / num_chunks,
        num_same=NUM_REPEATED - 2,
    )
