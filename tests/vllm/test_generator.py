"""The generator keeps its contract against a real vLLM, whatever the model says."""

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

import pytest

from retrieval.chunks import Chunk, Hit
from retrieval.packing import Passage
from serving.backends import Backend
from serving.context import ContextItem
from serving.errors import (
    InvalidRequestError,
    ModelBusyError,
    ModelFailedError,
    ModelUnavailableError,
)
from serving.generation import Delta, Finish, Sampling, Task
from serving.openai_server import OpenAIGenerator
from serving.prompt import write_prompt
from serving.served_tokens import ServedTokenCounter
from tests.fakes import HashEmbedder
from tests.vllm.conftest import API_KEY, MODEL, VllmServer

pytestmark = pytest.mark.vllm
T = TypeVar("T")
SILENCE_SECONDS = 3.0
LONG_ANSWER = 30_000  # tokens, of a millisecond each
NONCE = "k7f4"


def make_task(excerpt: str = "Bees sleep at night.", max_tokens: int = 16) -> Task:
    chunk = Chunk("c", "d", "r", 0, len(excerpt), excerpt, (), None, None, 5, 0, len(excerpt))
    passage = Passage("d", "r", 0, len(excerpt), excerpt, (), "", (Hit(chunk, 1.0),), 5)
    context = [ContextItem(1, passage, "bees.md")]
    return Task(
        question="When do bees sleep?",
        context=context,
        messages=write_prompt("When do bees sleep?", context, (), (), NONCE),
        sampling=Sampling(max_tokens=max_tokens, temperature=0.0, seed=1),
        embedder=HashEmbedder(),
    )


def answer_to(generator: OpenAIGenerator, task: Task) -> AsyncGenerator[Delta | Finish, None]:
    answer = generator.generate(task)
    assert isinstance(answer, AsyncGenerator)
    return answer


async def collect(generator: OpenAIGenerator, task: Task) -> list[Delta | Finish]:
    return [piece async for piece in generator.generate(task)]


def run(
    server: VllmServer,
    use: Callable[[OpenAIGenerator], Awaitable[T]],
    model: str | None = None,
    key: str = API_KEY,
) -> T:
    """Use a generator of a server and close it."""

    async def go() -> T:
        backend = Backend(url=server.url, model=model)
        counter = ServedTokenCounter(server.url, model, key)
        generator = OpenAIGenerator("default", backend, counter, key, SILENCE_SECONDS)
        try:
            return await use(generator)
        finally:
            await generator.close()

    return asyncio.run(go())


def test_answer_streams_and_ends_with_the_servers_own_count_of_tokens(
    mortal_vllm: VllmServer,
) -> None:
    names = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total")
    before = [mortal_vllm.metric(name) for name in names]

    task = make_task(max_tokens=500)

    *pieces, finish = run(mortal_vllm, lambda generator: collect(generator, task))

    assert len(pieces) > 1
    assert all(isinstance(piece, Delta) and piece.text for piece in pieces)
    assert isinstance(finish, Finish)
    assert finish.reasons == ("length",)
    assert not finish.is_too_long
    counted = [mortal_vllm.metric(name) - old for name, old in zip(names, before, strict=True)]
    assert [finish.usage.prompt_tokens, finish.usage.completion_tokens] == counted


def test_prompts_are_counted_as_the_server_counts_them(mortal_vllm: VllmServer) -> None:
    task = make_task(
        excerpt="Bees sleep in 30 % of all 1,234 hives: na\u00efve, isn't it?\n\t| a |"
    )

    async def count(generator: OpenAIGenerator) -> list[int]:
        counter = generator.counter
        assert isinstance(counter, ServedTokenCounter)
        asked = counter.count_messages(task.messages, None, exactly=True)
        by_tokenizer = counter.count_messages(task.messages, None)
        *_, finish = [event async for event in generator.generate(task)]
        assert isinstance(finish, Finish)
        assert counter._tokenizer is not None  # found where the server says its model lies
        return [asked, by_tokenizer, finish.usage.prompt_tokens]

    asked, by_tokenizer, read = run(mortal_vllm, count)
    assert asked == by_tokenizer == read


def test_repeated_prompt_comes_from_the_servers_cache(mortal_vllm: VllmServer) -> None:
    task = make_task(excerpt="Bumblebees nest in the ground. " * 20)
    run(mortal_vllm, lambda generator: collect(generator, task))
    *_, finish = run(mortal_vllm, lambda generator: collect(generator, task))

    assert isinstance(finish, Finish)
    assert 0 < finish.usage.cached_tokens < finish.usage.prompt_tokens


def test_model_name_is_the_one_the_server_lists(mortal_vllm: VllmServer) -> None:
    assert run(mortal_vllm, lambda generator: generator.model_name()) == MODEL


def test_prompt_that_is_too_long_is_the_callers_fault(mortal_vllm: VllmServer) -> None:
    with pytest.raises(InvalidRequestError, match=r"maximum context length is 32768.*top_k"):
        run(mortal_vllm, lambda generator: collect(generator, make_task(excerpt="bee " * 40_000)))


def test_wrong_key_names_the_setting(mortal_vllm: VllmServer) -> None:
    with pytest.raises(ModelFailedError, match=r"refuses the key.*SERVING_LLM_API_KEY"):
        run(mortal_vllm, lambda generator: collect(generator, make_task()), key="wrong")


def test_unknown_model_names_the_setting(mortal_vllm: VllmServer) -> None:
    with pytest.raises(ModelFailedError, match=r"`nope` does not exist.*SERVING_LLM_MODEL"):
        run(mortal_vllm, lambda generator: collect(generator, make_task()), model="nope")


def test_closing_the_answer_stops_the_server(mortal_vllm: VllmServer) -> None:
    async def leave(generator: OpenAIGenerator) -> None:
        async with aclosing(answer_to(generator, make_task(max_tokens=LONG_ANSWER))) as answer:
            await anext(answer)
            assert mortal_vllm.metric("vllm:num_requests_running") == 1

    before = mortal_vllm.metric("vllm:generation_tokens_total")
    run(mortal_vllm, leave)

    deadline = time.monotonic() + 5
    while mortal_vllm.metric("vllm:num_requests_running") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert mortal_vllm.metric("vllm:num_requests_running") == 0
    assert mortal_vllm.metric("vllm:generation_tokens_total") - before < LONG_ANSWER


def interrupt(server: VllmServer, number: signal.Signals) -> float:
    """Send a signal in the middle of an answer; return the seconds until the error."""

    async def go(generator: OpenAIGenerator) -> float:
        async with aclosing(answer_to(generator, make_task(max_tokens=LONG_ANSWER))) as answer:
            await anext(answer)
            server.signal(number)
            started = time.monotonic()
            with pytest.raises((ModelFailedError, ModelUnavailableError)):
                async for _ in answer:
                    pass
            return time.monotonic() - started

    return run(server, go)


def test_server_that_falls_silent_fails_the_answer_after_the_timeout(
    mortal_vllm: VllmServer,
) -> None:
    try:
        seconds = interrupt(mortal_vllm, signal.SIGSTOP)
    finally:
        mortal_vllm.signal(signal.SIGCONT)
    assert SILENCE_SECONDS <= seconds < 2 * SILENCE_SECONDS


def test_server_that_is_full_is_busy_and_one_that_is_stopped_falls_silent(
    narrow_vllm: VllmServer,
) -> None:
    async def go(generator: OpenAIGenerator) -> float:
        async with aclosing(answer_to(generator, make_task(max_tokens=LONG_ANSWER))) as answer:
            await anext(answer)
            with pytest.raises(ModelBusyError, match="currently busy"):
                await collect(generator, make_task())
        async with aclosing(await begin_when_there_is_room(generator)) as answer:
            narrow_vllm.process.send_signal(signal.SIGTERM)
            started = time.monotonic()
            with pytest.raises((ModelFailedError, ModelUnavailableError)):
                async for _ in answer:
                    pass
            return time.monotonic() - started

    assert run(narrow_vllm, go) < 2 * SILENCE_SECONDS


async def begin_when_there_is_room(
    generator: OpenAIGenerator,
) -> AsyncGenerator[Delta | Finish, None]:
    """Return a long answer that has begun; one that was broken off may still hold its place."""
    while True:
        answer = answer_to(generator, make_task(max_tokens=LONG_ANSWER))
        try:
            await anext(answer)
        except ModelBusyError:
            await asyncio.sleep(0.5)
        else:
            return answer


async def break_off(generator: OpenAIGenerator, stop: Callable[[], None]) -> None:
    """Stop the server in the middle of an answer."""
    async with aclosing(answer_to(generator, make_task(max_tokens=LONG_ANSWER))) as answer:
        await anext(answer)
        stop()
        async for _ in answer:
            pass


# The last one here: no other test of this module finds the server alive.
def test_engine_that_is_killed_fails_the_answer_and_then_is_unavailable(
    mortal_vllm: VllmServer,
) -> None:
    with pytest.raises((ModelFailedError, ModelUnavailableError)):
        run(mortal_vllm, lambda generator: break_off(generator, mortal_vllm.kill_engine))
    mortal_vllm.process.wait(timeout=30)  # it does not live without its engine
    with pytest.raises(ModelUnavailableError, match="SERVING_LLM_URL"):
        run(mortal_vllm, lambda generator: collect(generator, make_task()))
