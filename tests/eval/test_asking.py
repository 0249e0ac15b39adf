"""A model is asked within an amount of money, and never twice."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import pytest

from eval.asking import CONCURRENCY, Asker, Spending, ask_all
from eval.errors import ModelLostError, MoneySpentError
from eval.reply_cache import ReplyCache
from serving.errors import InvalidRequestError
from serving.generation import Delta, Finish, Sampling, Task, Thinking
from serving.pricing import PriceList
from serving.tokens import Usage
from tests.eval.towers import make_generator, reply
from tests.serving.upstream import (
    DONE,
    START,
    Reply,
    Upstream,
    chunk,
    error_reply,
    event,
    stream_reply,
)

T = TypeVar("T")
PRICE = PriceList(prompt=10.0, completion=20.0, as_of=date(2026, 11, 26))


def use(
    upstream: Upstream,
    folder: Path,
    do: Callable[[Asker], Awaitable[T]],
    spending: Spending | None = None,
) -> T:
    async def run() -> T:
        generator = make_generator(upstream.url, price=PRICE)
        asker = Asker(generator, ReplyCache(folder / "replies"), spending)
        try:
            return await do(asker)
        finally:
            await asker.close()

    return asyncio.run(run())


def task(text: str = "Why?", thinking: Thinking | None = None, **sampling: Any) -> Task:
    messages = [{"role": "user", "content": text}]
    return Task("", (), messages, Sampling(**{"max_tokens": 50} | sampling), None, thinking)


def generate(*tasks: Task) -> Callable[[Asker], Awaitable[list[list[Delta | Finish]]]]:
    async def do(asker: Asker) -> list[list[Delta | Finish]]:
        return [[one async for one in asker.generate(task)] for task in tasks]

    return do


def test_an_answer_from_the_cache_is_the_same(upstream: Upstream, tmp_path: Path) -> None:
    upstream.chat = stream_reply("Be", "cause", finish_reason="length")
    first, second = use(upstream, tmp_path, generate(task(), task()))
    (third,) = use(upstream, tmp_path, generate(task()))
    usage = Usage(40, 12, 32, 0)  # see `upstream.USAGE`
    assert first == second == third == [Delta("Because"), Finish(("length",), usage)]
    assert len(upstream.requests) == 1


def test_whatever_a_reply_depends_on_is_asked_anew(upstream: Upstream, tmp_path: Path) -> None:
    others = (
        task("Why not?"),
        task(max_tokens=51),
        task(temperature=0.5),
        task(seed=1),
        task(thinking=Thinking(is_on=True)),
        task(thinking=Thinking(is_on=True, max_tokens=100)),
    )
    use(upstream, tmp_path, generate(task(), *others, task(), *others))
    assert len(upstream.requests) == 1 + len(others)


def test_another_backend_with_a_model_of_the_same_name_is_asked(
    upstream: Upstream, tmp_path: Path
) -> None:
    async def run() -> None:
        cache = ReplyCache(tmp_path / "replies")
        for name in ("full", "quantized", "full"):
            asker = Asker(make_generator(upstream.url, name), cache)
            await generate(task())(asker)
            await asker.close()

    asyncio.run(run())
    assert len(upstream.requests) == 2


def test_thoughts_and_further_answers_are_kept(upstream: Upstream, tmp_path: Path) -> None:
    def choice(index: int, delta: dict[str, str], reason: str | None = None) -> bytes:
        body = {"index": index, "delta": delta, "finish_reason": reason}
        return event({"id": "x", "object": "chat.completion.chunk", "choices": [body]})

    pieces = [
        choice(1, {"reasoning": "Hm"}),
        choice(0, {"content": "A"}, "stop"),
        choice(1, {"reasoning": "."}),
        choice(1, {"content": "B"}, "length"),
    ]
    upstream.chat = Reply([START, *pieces, DONE])
    two = task(num_choices=2, temperature=1.0)
    for events in use(upstream, tmp_path, generate(two, two)):
        assert events[:2] == [Delta("A", 0, ""), Delta("B", 1, "Hm.")]
        assert events[2] == Finish(("stop", "length"), Usage(0, 0))


def test_the_same_at_a_time_is_asked_once(upstream: Upstream, tmp_path: Path) -> None:
    async def do(asker: Asker) -> list[str]:
        schema = {"type": "object"}
        messages = [{"role": "user", "content": "Why?"}]
        return await ask_all([messages] * 10, lambda one: asker.ask(one, 50, schema))

    assert use(upstream, tmp_path, do) == ["Nothing."] * 10
    assert len(upstream.requests) == 1


def test_asked_anew_means_anew(upstream: Upstream, tmp_path: Path) -> None:
    async def do(asker: Asker) -> int:
        for _ in range(2):
            await asker.ask([{"role": "user", "content": "Why?"}], 50, {}, anew=True)
        return asker.num_calls

    assert use(upstream, tmp_path, do) == len(upstream.requests) == 2
    assert len(ReplyCache(tmp_path / "replies")) == 0


def test_a_model_that_says_nothing_has_given_an_empty_answer(
    upstream: Upstream, tmp_path: Path
) -> None:
    upstream.chat = stream_reply("")
    spending = Spending()
    for events in use(upstream, tmp_path, generate(task(), task()), spending):
        assert events == [Finish(("length",), Usage(40, 12, 32, 0))]  # see `upstream.USAGE`
    assert len(upstream.requests) == 1
    assert spending.usd == pytest.approx((10 * 40 + 20 * 12) / 1e6)


def test_an_empty_answer_without_usage_takes_the_most(upstream: Upstream, tmp_path: Path) -> None:
    upstream.chat = Reply([START, chunk({"content": ""}, "stop"), DONE])
    spending = Spending()
    ((finish,),) = use(upstream, tmp_path, generate(task()), spending)
    assert finish == Finish(("length",), Usage(2 + 4, 50))  # the prompt, and all it may write
    assert spending.usd == pytest.approx((10 * (2 + 4) + 20 * 50) / 1e6)


@pytest.mark.parametrize(
    "failing",
    [
        error_reply(500, "Out of memory.", "InternalServerError"),
        error_reply(401, "No.", "authentication_error"),
        Reply([START, chunk({"content": "Be"})], breaks_off=True),
    ],
    ids=["down", "key", "breaks off"],
)
def test_what_is_no_answer_is_not_kept(upstream: Upstream, tmp_path: Path, failing: Reply) -> None:
    upstream.chat = failing
    with pytest.raises(ModelLostError, match="What was answered is kept"):
        use(upstream, tmp_path, generate(task()))
    assert len(ReplyCache(tmp_path / "replies")) == 0
    upstream.chat = stream_reply("Because.")
    ((answer, _),) = use(upstream, tmp_path, generate(task()))
    assert answer == Delta("Because.")


def test_a_request_that_is_refused_says_why(upstream: Upstream, tmp_path: Path) -> None:
    upstream.chat = error_reply(400, "No such thing.", "BadRequestError")
    with pytest.raises(InvalidRequestError, match=r"No such thing\."):
        use(upstream, tmp_path, generate(task()))


def test_models_may_share_a_limit(upstream: Upstream, tmp_path: Path) -> None:
    upstream.respond = lambda _: reply("Because.", 6, 2)
    spending = Spending(0.0015)  # the first may take up to 0.00106, and takes 0.0001
    use(upstream, tmp_path, generate(task()), spending)
    assert spending.usd == pytest.approx((10 * 6 + 20 * 2) / 1e6)
    with pytest.raises(
        MoneySpentError, match=r"\$0\.0001 were spent in this run.*limit of \$0\.0015"
    ):
        use(upstream, tmp_path, generate(task("Why not?", max_tokens=100)), spending)
    use(upstream, tmp_path, generate(task(), task("How?")), spending)  # room for a shorter one
    assert len(upstream.requests) == 2


def test_calls_on_their_way_are_in_what_was_spent(upstream: Upstream, tmp_path: Path) -> None:
    # Each may take up to 10 * 7 + 20 * 50, and takes 10 * 6 + 20 * 40: five fit in at first.
    upstream.respond = lambda _: Reply([0.1, *reply("Because.", 6, 40).parts])
    spending = Spending(0.0055)

    async def do(asker: Asker) -> object:
        questions = [task(f"Why {number}?") for number in range(CONCURRENCY)]
        return await ask_all(questions, lambda one: generate(one)(asker))

    with pytest.raises(MoneySpentError) as caught:
        use(upstream, tmp_path, do, spending)
    assert len(upstream.requests) == 5
    assert spending.usd == pytest.approx(5 * 0.00086)
    assert str(caught.value).startswith("$0.0043 were spent in this run")


def test_thinking_and_further_answers_are_reserved_for(upstream: Upstream, tmp_path: Path) -> None:
    thinking = Thinking(is_on=True, max_tokens=1000)
    with pytest.raises(MoneySpentError):
        use(upstream, tmp_path, generate(task(thinking=thinking)), Spending(0.02))
    with pytest.raises(MoneySpentError):
        use(upstream, tmp_path, generate(task(num_choices=20)), Spending(0.02))
    assert upstream.requests == []


def test_all_are_asked_several_at_a_time_in_order() -> None:
    running = most = 0

    async def ask(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001 * (number % 3))
        running -= 1
        return number**2

    assert asyncio.run(ask_all(range(50), ask)) == [number**2 for number in range(50)]
    assert most == CONCURRENCY
    assert asyncio.run(ask_all([], ask)) == []


def test_when_one_fails_the_others_on_their_way_end_and_no_more_begin() -> None:
    begun: list[int] = []
    ended: list[int] = []

    async def ask(number: int) -> None:
        begun.append(number)
        await asyncio.sleep(0.01)
        if number == 3:
            raise ModelLostError("gone")
        await asyncio.sleep(0.01)
        ended.append(number)

    with pytest.raises(ModelLostError, match="gone"):
        asyncio.run(ask_all(range(100), ask))
    assert sorted(ended) == [number for number in begun if number != 3]
    assert len(begun) == CONCURRENCY


def test_whoever_is_cancelled_asks_no_further() -> None:
    begun: list[int] = []
    cancelled: list[int] = []

    async def ask(number: int) -> None:
        begun.append(number)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    async def run() -> None:
        work = asyncio.ensure_future(ask_all(range(100), ask))
        await asyncio.sleep(0.01)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert begun == cancelled == [*range(CONCURRENCY)]

    asyncio.run(run())


def test_replies_of_an_older_form_are_asked_for_again(upstream: Upstream, tmp_path: Path) -> None:
    (tmp_path / "replies").write_text(json.dumps({"key": "x", "reply": "Because."}))
    use(upstream, tmp_path, generate(task()))
    assert len(upstream.requests) == 1
