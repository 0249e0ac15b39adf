"""The generator reads what a real vLLM once sent; tests/vllm/record.py recorded it.

What it should read is worked out here from the recorded events alone.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from serving.errors import (
    InvalidRequestError,
    ModelBrokeOffError,
    ModelBusyError,
    ModelFailedError,
    PromptTooLongError,
)
from serving.generation import Delta, Finish
from serving.tokens import Usage
from tests.serving.upstream import Upstream
from tests.vllm.exchanges import CASES, FOLDER, Exchange, make_generator, make_task

Pieces = Sequence[Delta | Finish]
ANSWERS = ["stream", "cached", "several", "stop", "logprobs", "schema", "thinking"]
FAILURES: dict[str, tuple[type[Exception], str]] = {
    "greedy_several": (InvalidRequestError, "n must be 1 when using greedy sampling"),
    "too_long": (PromptTooLongError, "maximum context length is 2048"),
    "unknown_model": (ModelFailedError, "`nope` does not exist"),
    "bad_schema": (InvalidRequestError, "grammar"),
    "overload": (ModelBusyError, "currently busy"),
    "killed": (ModelBrokeOffError, "EngineCore"),
}


def replay(name: str, upstream: Upstream) -> list[Delta | Finish]:
    """Let the generator ask for a case; it must ask as it did when the answer was recorded."""
    upstream.chat = Exchange.load(name).reply

    async def go() -> list[Delta | Finish]:
        generator = make_generator(upstream.url, CASES[name].model)
        try:
            return [piece async for piece in generator.generate(make_task(CASES[name]))]
        finally:
            await generator.close()

    try:
        return asyncio.run(go())
    finally:
        assert upstream.requests[-1] == Exchange.load(name).request


def texts(pieces: Pieces, read: Callable[[Delta], str]) -> dict[int, str]:
    joined: dict[int, str] = {}
    for piece in pieces:
        if isinstance(piece, Delta) and read(piece):
            joined[piece.choice] = joined.get(piece.choice, "") + read(piece)
    return joined


def recorded_texts(exchange: Exchange, field: str) -> dict[int, str]:
    joined: dict[int, str] = {}
    for choice in (choice for chunk in exchange.chunks for choice in chunk["choices"]):
        if text := choice["delta"].get(field):
            joined[choice["index"]] = joined.get(choice["index"], "") + text
    return joined


def recorded_usage(exchange: Exchange) -> dict[str, Any]:
    (usage,) = [chunk["usage"] for chunk in exchange.chunks if chunk.get("usage")]
    return dict(usage)


def test_every_case_is_recorded_and_small() -> None:
    files = list(FOLDER.iterdir())
    assert {path.stem for path in files} == set(CASES) == {*ANSWERS, *FAILURES, "stop_at_once"}
    assert sum(path.stat().st_size for path in files) < 100_000


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_is_what_was_sent(name: str, upstream: Upstream) -> None:
    exchange = Exchange.load(name)
    *pieces, finish = replay(name, upstream)

    sent = {choice: text.lstrip() for choice, text in recorded_texts(exchange, "content").items()}
    assert texts(pieces, lambda delta: delta.text) == sent
    assert len(sent) == CASES[name].sampling.num_choices
    assert texts(pieces, lambda delta: delta.thought) == recorded_texts(exchange, "reasoning")
    usage = recorded_usage(exchange)
    assert isinstance(finish, Finish)
    assert finish.usage == Usage(
        usage["prompt_tokens"],
        usage["completion_tokens"],
        usage["prompt_tokens_details"]["cached_tokens"],
        usage["completion_tokens_details"]["reasoning_tokens"],
    )


def finish_of(name: str, upstream: Upstream) -> Finish:
    finish = replay(name, upstream)[-1]
    assert isinstance(finish, Finish)
    return finish


def test_cached_tokens_are_told(upstream: Upstream) -> None:
    usage = finish_of("cached", upstream).usage
    assert 0 < usage.cached_tokens < usage.prompt_tokens


def test_stop_and_length_are_told_apart(upstream: Upstream) -> None:
    assert finish_of("stop", upstream).reasons == ("stop",)
    assert finish_of("several", upstream).reasons == ("length", "length")


def test_answer_that_begins_with_a_stop_text_is_empty(upstream: Upstream) -> None:
    (finish,) = replay("stop_at_once", upstream)
    assert isinstance(finish, Finish)
    assert finish.reasons == ("stop",)
    assert finish.usage.completion_tokens == 1


def test_schema_holds(upstream: Upstream) -> None:
    (text,) = texts(replay("schema", upstream), lambda delta: delta.text).values()
    assert text in {
        '{"verdict":"yes"}',
        '{"verdict":"no"}',
        '{"verdict": "yes"}',
        '{"verdict": "no"}',
    }


def test_thinking_is_no_part_of_the_answer_and_keeps_to_its_budget(upstream: Upstream) -> None:
    pieces = replay("thinking", upstream)
    assert "think>" not in texts(pieces, lambda delta: delta.text)[0]
    finish = pieces[-1]
    assert isinstance(finish, Finish)
    assert 0 < finish.usage.reasoning_tokens <= 5 + 1  # with its end


def test_each_token_has_its_log_probability(upstream: Upstream) -> None:
    pieces = replay("logprobs", upstream)
    tokens = [
        token
        for piece in pieces
        if isinstance(piece, Delta) and piece.logprobs
        for token in piece.logprobs["content"]
    ]
    assert len(tokens) == finish_of("logprobs", upstream).usage.completion_tokens
    assert all(token["logprob"] <= 0 and len(token["top_logprobs"]) == 1 for token in tokens)


@pytest.mark.parametrize("name", FAILURES)
def test_failure_is_told_as_what_it_is(name: str, upstream: Upstream) -> None:
    kind, says = FAILURES[name]
    with pytest.raises(kind, match=says) as caught:
        replay(name, upstream)
    assert type(caught.value) is kind


def test_busy_server_is_asked_once(upstream: Upstream) -> None:
    with pytest.raises(ModelBusyError):
        replay("overload", upstream)
    assert len(upstream.requests) == 1
