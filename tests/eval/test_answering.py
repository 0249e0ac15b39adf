"""Answers from replayed searches are those of the service, and asked for once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from eval.answering import GivenAnswer, ReplayAnswerer, Serving, Setting
from eval.asking import Asker
from eval.errors import ModelLostError
from eval.questions import Question
from eval.replay import Replay
from eval.reply_cache import ReplyCache
from retrieval.packing import PackingPolicy
from retrieval.profiles import Mode, RetrievalProfile
from serving.extractive import ExtractiveGenerator
from serving.generation import NO_ANSWER, Generator
from serving.markers import make_nonce
from serving.models import Models
from serving.profiles import AnsweringProfile, AnswerPolicy, Verification
from tests.eval.towers import (
    EMBEDDER,
    Reader,
    evidence,
    filenames,
    log,
    make_generator,
    open_question,
    question,
    questions,
    reply,
    steps_of,
    towers,
)
from tests.serving.upstream import Reply, Upstream

T = TypeVar("T")
K1, K4 = (
    Setting(0, RetrievalProfile(mode=Mode.LEXICAL, top_k=top_k, rerank=False)) for top_k in (1, 4)
)


def run(
    generator: Generator,
    folder: Path,
    use: Callable[[ReplayAnswerer, Asker], Awaitable[T]],
    **options: object,
) -> T:
    """Use an answerer of a generator whose replies are kept in a folder."""

    folder.mkdir(exist_ok=True)

    async def run() -> T:
        asker = Asker(generator, ReplyCache(folder / "replies"))
        serving = Serving(
            models=Models({generator.name: asker}),
            policy=AnswerPolicy(),
            embedder=EMBEDDER,
            language="english",
            default_k=5,
            max_answer_tokens=128,
            **options,  # type: ignore[arg-type]
        )
        asked = [*questions(), open_question(3)]
        answerer = ReplayAnswerer([Replay(log(), EMBEDDER)], asked, towers(), filenames(), serving)
        try:
            return await use(answerer, asker)
        finally:
            await asker.close()

    return asyncio.run(run())


def answer(
    generator: Generator, folder: Path, asked: Question, *settings: Setting, **options: object
) -> Sequence[GivenAnswer]:
    async def use(answerer: ReplayAnswerer, _: Asker) -> list[GivenAnswer]:
        return [await answerer.answer(asked.text, setting) for setting in settings]

    return run(generator, folder, use, **options)


def test_an_answer_cites_the_passages_it_was_written_from(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.respond = Reader()
    few, more = answer(make_generator(upstream.url), tmp_path, question(7), K1, K4)
    assert few.text == NO_ANSWER
    assert (few.abstained, few.cited) == (True, ())
    (cited,) = more.cited
    assert more.text == f"There are **{steps_of(7):,} steps** [{cited}]."
    assert not more.abstained
    (span,) = more.cited_spans
    text = towers().texts_by_name[span.document]
    assert evidence(7) in text[span.start : span.end]
    assert more.usage.prompt_tokens == more.num_sent > few.num_sent
    assert (more.num_read, more.given_up, more.usd) == (None, (), None)


def test_the_prompt_is_that_of_the_service(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = Reader()
    generator = make_generator(upstream.url)
    answer(generator, tmp_path, question(7), K4, collection="towers", secret=b"secret")
    (request,) = upstream.requests
    system, user = (message["content"] for message in request["messages"])
    nonce = make_nonce(b"secret", "towers")
    assert f"[{nonce}-2]" in system
    assert user.startswith(f"Excerpts:\n\n[{nonce}-1] ")
    assert user.endswith(f"Question: {question(7).text}")
    assert (request["temperature"], request["seed"], request["max_tokens"]) == (0, 0, 128)


def test_settings_that_make_one_prompt_share_its_answer(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = Reader()
    deeper = Setting(0, K4.profile.model_copy(update={"num_candidates": 100}))

    async def use(answerer: ReplayAnswerer, asker: Asker) -> tuple[list[GivenAnswer], int]:
        text = question(7).text
        # At the same time, so that the second waits for the reply to the first.
        both = await asyncio.gather(*(answerer.answer(text, one) for one in (K4, deeper)))
        return [*both], asker.num_calls

    (one, other), num_calls = run(make_generator(upstream.url), tmp_path, use)
    assert one == other
    assert num_calls == len(upstream.requests) == 1
    again = answer(make_generator(upstream.url), tmp_path, question(7), K4)  # another process
    assert again == [one]
    assert len(upstream.requests) == 1


def test_a_profile_may_say_how_to_answer(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = Reader()
    policy = AnswerPolicy(abstain_below=1e9)
    profile = AnsweringProfile(**K4.profile.model_dump(), answering=policy)
    (given,) = answer(make_generator(upstream.url), tmp_path, question(7), Setting(0, profile))
    assert given.abstained
    assert (given.num_sent, given.context, given.usage.prompt_tokens) == (0, (), 0)
    assert upstream.requests == []


def test_the_context_is_limited_as_in_the_service(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = Reader()
    packing = PackingPolicy(max_tokens=70)
    tight = Setting(0, K4.profile.model_copy(update={"packing": packing}))
    generator = make_generator(upstream.url)
    whole, packed = answer(generator, tmp_path, question(7), K4, tight)
    (limited,) = answer(
        make_generator(upstream.url), tmp_path, question(7), K4, max_context_tokens=70
    )
    assert limited.context == packed.context
    assert 0 < len(packed.context) < len(whole.context)


def test_a_server_that_cuts_prompts_is_found_out(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = reader = Reader()
    reader.reads = 150
    (given,) = answer(make_generator(upstream.url), tmp_path, question(7), K4)
    assert given.num_read == 150 < given.num_sent
    # From the cache as well.
    assert answer(make_generator(upstream.url), tmp_path, question(7), K4) == [given]


@pytest.mark.parametrize(("share", "is_cut"), [(0.97, False), (0.9, True)])
def test_a_few_tokens_less_are_seams(
    upstream: Upstream, tmp_path: Path, share: float, is_cut: bool
) -> None:
    upstream.respond = Reader()
    (whole,) = answer(make_generator(upstream.url), tmp_path / "a", question(7), K4)
    upstream.respond = lambda _: reply("x", round(share * whole.num_sent))
    (given,) = answer(make_generator(upstream.url), tmp_path / "b", question(7), K4)
    assert (given.num_read is not None) == is_cut


def test_without_usage_or_exact_counts_only_halves_are_found(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.counts = None  # no /tokenize: counted by bytes
    upstream.respond = reader = Reader()
    (given,) = answer(make_generator(upstream.url), tmp_path / "a", question(7), K4)
    assert given.num_read is None
    assert given.usage.prompt_tokens < given.num_sent
    reader.reads = given.num_sent // 2 - 10
    (given,) = answer(make_generator(upstream.url), tmp_path / "b", question(7), K4)
    assert given.num_read == reader.reads
    reader.tells_usage = False
    (given,) = answer(make_generator(upstream.url), tmp_path / "c", question(7), K4)
    assert given.num_read is None


def test_sentences_are_chosen_without_a_model(tmp_path: Path) -> None:
    generator = ExtractiveGenerator(threshold=0.0)
    few, more = answer(generator, tmp_path, question(7), K1, K4)
    assert f"{steps_of(7):,} steps lead up" in more.text
    assert few.text != more.text
    assert (more.usd, more.num_read) == (0.0, None)
    assert answer(generator, tmp_path, question(7), K1, K4) == [few, more]


def test_an_answer_whose_verifier_is_away_is_none(upstream: Upstream, tmp_path: Path) -> None:
    reader = Reader()

    def answer_and_go(request: dict[str, Any]) -> Reply:
        upstream.breaks = True  # and counts no more
        return reader(request)

    upstream.respond = answer_and_go
    policy = AnswerPolicy(verify=Verification.MARK)
    profile = AnsweringProfile(**K4.profile.model_dump(), answering=policy)
    with pytest.raises(ModelLostError, match="What was answered is kept"):
        answer(make_generator(upstream.url), tmp_path, question(7), Setting(0, profile))
