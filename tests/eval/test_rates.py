"""A server of known speed is measured: what comes out is that speed, or what is wrong with it."""

import asyncio
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest

from eval.errors import RatesError
from eval.rates import ANSWER_TOKENS, MeasuredRates, Workload, measure_rates
from serving.errors import ModelBusyError, ModelSaidNothingError
from serving.generation import Delta, Finish, Task, TokenCounter
from serving.pricing import Price, Rates, Speed
from serving.tokens import Usage
from tests import virtual_time

SPEED = Speed(
    overhead_seconds=0.05,
    prefill_tokens_per_second=5_000,
    cached_tokens_per_second=100_000,
    decode_tokens_per_second=50,
)
PATIENT = Workload(max_seconds=10_000)
BLOCK = 16
TEMPLATE_TOKENS = 7


@dataclass
class Server:
    """A generator whose server takes exactly the time that a `Speed` says.

    Attributes:
        slots: requests that it works on at a time; others wait.
        has_cache: whether a prompt that was read before is read from the cache, in whole blocks.
        tells_usage: whether it tells what it read and wrote.
        is_busy: refuses everything.
        noise: standard deviation of the time, relative.
    """

    speed: Speed = SPEED
    slots: int = 100
    has_cache: bool = True
    tells_usage: bool = True
    is_busy: bool = False
    noise: float = 0.0
    name: str = "fake"
    counter: TokenCounter | None = None
    can_think: bool = False
    uses_tags: bool = True
    price: Price | None = None
    rates: Rates | None = None
    max_answer_tokens: int | None = None
    prompts: list[str] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311
    free: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.free = asyncio.Semaphore(self.slots)

    async def model_name(self) -> str:
        return "fake-1"

    async def check(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def generate(self, task: Task) -> AsyncGenerator[Delta | Finish, None]:
        if self.is_busy:
            raise ModelBusyError("It has too much to do.")
        prompt = task.messages[0]["content"]
        prompt_tokens = TEMPLATE_TOKENS + 2 * len(prompt.split())
        is_known = self.has_cache and prompt in self.prompts
        cached = (prompt_tokens - 1) // BLOCK * BLOCK if is_known else 0
        self.prompts.append(prompt)
        completion = task.sampling.max_tokens
        seconds = self.speed.seconds(prompt_tokens, completion, cached)
        async with self.free:
            await asyncio.sleep(seconds * (1 + self.chance.gauss(0, self.noise)))
        yield Delta("1")
        usage = Usage(prompt_tokens, completion, cached) if self.tells_usage else Usage(0, 0)
        yield Finish(("length",), usage)


def measure(
    make: type[Server] = Server,
    workload: Workload = PATIENT,
    **options: object,
) -> MeasuredRates:
    async def go() -> MeasuredRates:
        server = make(**options)  # type: ignore[arg-type]
        return await measure_rates(
            server,
            workload,
            chance=random.Random(0),  # noqa: S311
            clock=virtual_time.now,
        )

    return virtual_time.run(go())


def rounded(speed: Speed) -> list[float]:
    return [
        round(speed.overhead_seconds, 3),
        *(
            0.0 if rate is None else float(f"{rate:.3g}")
            for rate in (
                speed.prefill_tokens_per_second,
                speed.cached_tokens_per_second,
                speed.decode_tokens_per_second,
            )
        ),
    ]


def test_measured_rates_are_those_of_the_server() -> None:
    measured = measure()
    assert [load.concurrency for load in measured.rates.loads] == [1, 8]
    for load in measured.rates.loads:
        assert rounded(load.latency) == [0.05, 5_000, 100_000, 50]
        assert load.latency.p95_error < 0.001
    assert measured.rates.model == "fake-1"
    assert measured.notes == []


def test_work_of_a_request_is_its_share_of_what_all_took() -> None:
    many = measure().rates.busiest  # eight at once take no longer than one
    assert rounded(many.work) == [pytest.approx(0.05 / 8, abs=0.001), 40_000, 800_000, 400]
    queued = measure(slots=1).rates.busiest  # one after the other
    assert rounded(queued.work) == [0.05, 5_000, 100_000, 50]


def test_every_second_prompt_was_read_before_and_no_other() -> None:
    servers = []

    class Watched(Server):
        def __post_init__(self) -> None:
            super().__post_init__()
            servers.append(self)

    measured = measure(Watched)
    prompts = servers[0].prompts[3:]  # without the warm-up
    assert len(prompts) == measured.num_requests == 2 * len(set(prompts))


def test_answers_without_a_word_are_measured_like_others() -> None:
    class Wordless(Server):
        async def generate(self, task: Task) -> AsyncGenerator[Delta | Finish, None]:
            async for event in super().generate(task):
                if isinstance(event, Finish) and task.sampling.max_tokens == min(ANSWER_TOKENS):
                    raise ModelSaidNothingError("It said nothing.", event.usage)
                yield event

    assert measure(Wordless).rates == measure().rates


def test_server_without_a_cache_is_noted() -> None:
    measured = measure(has_cache=False)
    assert len(measured.notes) == 1
    assert "--enable-prompt-tokens-details" in measured.notes[0]
    speed = measured.rates.busiest.latency
    assert speed.cached_tokens_per_second == speed.prefill_tokens_per_second


def test_server_with_other_work_is_noted() -> None:
    measured = measure(noise=0.2)
    assert any("other work" in note for note in measured.notes)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param({"tells_usage": False}, "does not tell how many tokens", id="no usage"),
        pytest.param({"is_busy": True}, "busy.*nobody else asks", id="busy"),
    ],
)
def test_server_that_cannot_be_measured(options: dict[str, object], says: str) -> None:
    with pytest.raises(RatesError, match=says):
        measure(**options)  # type: ignore[arg-type]


def test_too_little_time_for_two_passes_is_an_error() -> None:
    with pytest.raises(RatesError, match=r"a fit needs 24\. Raise --max-seconds"):
        measure(workload=Workload(max_seconds=1))


def test_time_that_ends_after_two_passes_is_enough() -> None:
    whole = measure()
    part = measure(workload=Workload(max_seconds=150))
    assert 48 <= part.num_requests < whole.num_requests
    assert rounded(part.rates.busiest.latency) == rounded(whole.rates.busiest.latency)
