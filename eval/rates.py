"""How fast a model server reads and writes, measured by requests of known size.

Random words are a prompt that no cache holds; the same prompt again comes from the prefix cache.
Rounds of so many requests at a time, of several lengths, give seconds, to which the linear model of
`Speed` is fitted. Every second pass over all lengths is not fitted to, but predicted.
"""

import asyncio
import random
import string
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import date
from itertools import product
from time import perf_counter

from eval.counted import counted
from eval.errors import RatesError
from eval.progress import Progress, silent
from eval.speed import Sample, fit_speed
from serving.errors import ModelBusyError, ModelSaidNothingError
from serving.generation import Finish, Generator, Sampling, Task, Thinking
from serving.pricing import Load, Rates
from serving.tokens import Usage

# Longest prompt, and the shorter ones as shares of it. The window may allow less.
MAX_PROMPT_TOKENS = 4096
PROMPT_SHARES = (1 / 16, 1 / 4, 1)
WINDOW_SHARE = 0.8
ANSWER_TOKENS = (16, 128)
NUM_PASSES = 4
LEAST_PASSES = 2
_WARM_UP_WORDS = 64
_WORD_LETTERS = 5
# Something that every model can go on with until it is cut off.
_INSTRUCTION = "Count from 1 to 1000 in digits, one number a line, and write nothing else."


@dataclass(frozen=True, slots=True)
class Workload:
    """What is measured.

    Attributes:
        concurrencies: requests at a time, ascending.
        max_seconds: after which no round is begun.
    """

    concurrencies: tuple[int, ...] = (1, 8)
    max_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class MeasuredRates:
    """The rates, and what they rest on.

    Attributes:
        rates: fitted.
        num_requests: that were timed.
        notes: what to know before trusting them.
    """

    rates: Rates
    num_requests: int
    notes: list[str]


@dataclass(frozen=True, slots=True)
class _Round:
    """Requests of one size that are sent at a time, first with new prompts, then with the same."""

    number_of_pass: int
    concurrency: int
    prompt_tokens: int
    answer_tokens: int


@dataclass(slots=True)
class _Samples:
    """What was measured at one concurrency: each request, and the means of each round."""

    latency: list[Sample] = field(default_factory=list)
    work: list[Sample] = field(default_factory=list)

    def add(self, usages: Sequence[Usage], seconds: Sequence[float], elapsed: float) -> None:
        """Enter a round."""
        self.latency += [
            Sample(one.prompt_tokens, one.cached_tokens, one.completion_tokens, taken)
            for one, taken in zip(usages, seconds, strict=True)
        ]
        number = len(usages)
        total = sum(usages, Usage(0, 0))
        self.work.append(
            Sample(
                total.prompt_tokens / number,
                total.cached_tokens / number,
                total.completion_tokens / number,
                elapsed / number,
            )
        )


async def measure_rates(
    generator: Generator,
    workload: Workload,
    progress: Progress = silent,
    chance: random.Random | None = None,
    clock: Callable[[], float] = perf_counter,
) -> MeasuredRates:
    """Measure a server that has nothing else to do.

    Args:
        generator: that asks it.
        workload: how much is asked at a time, and for how long.
        progress: told how many rounds are done.
        chance: that words are drawn with; only tests give one, because a server may still have the
            prompts of the last time in its cache.
        clock: in seconds.

    Raises:
        RatesError: it is busy, tells no usage, or is too slow for the time given.
        ModelUnavailableError, ModelFailedError: it does not answer.
    """
    meter = _Meter(generator, chance or random.Random(), clock)  # noqa: S311 - no secret
    window = await asyncio.to_thread(generator.counter.window) if generator.counter else None
    await meter.warm_up()
    rounds = _plan_rounds(workload.concurrencies, window)
    fitted = {one: _Samples() for one in workload.concurrencies}
    held_out = {one: _Samples() for one in workload.concurrencies}
    started = clock()
    num_done = 0
    progress(generator.name, 0, len(rounds))
    for num_done, one in enumerate(rounds, 1):
        side = held_out if one.number_of_pass % 2 else fitted
        async for usages, seconds, elapsed in meter.run(one):
            side[one.concurrency].add(usages, seconds, elapsed)
        progress(generator.name, num_done, len(rounds))
        if clock() - started > workload.max_seconds:
            break
    if num_done < len(rounds) * LEAST_PASSES / NUM_PASSES:
        raise RatesError(
            f"{generator.name!r} answered {counted(num_done, 'round')} of requests in "
            f"{workload.max_seconds:g} s, and a fit needs {len(rounds) // 2}. Raise --max-seconds, "
            "or lower --concurrency."
        )
    loads = tuple(
        Load(
            concurrency=one,
            latency=fit_speed(fitted[one].latency, held_out[one].latency),
            work=fit_speed(fitted[one].work, held_out[one].work),
        )
        for one in workload.concurrencies
    )
    rates = Rates(model=await generator.model_name(), measured_on=date.today(), loads=loads)
    return MeasuredRates(rates, meter.num_requests, _notes(rates, has_cache=meter.has_cache))


class _Meter:
    """Sends requests and times them.

    Attributes:
        num_requests: that were timed.
        has_cache: whether any prompt was told to come from the cache.
    """

    def __init__(
        self, generator: Generator, chance: random.Random, clock: Callable[[], float]
    ) -> None:
        self.num_requests = 0
        self.has_cache = False
        self._generator = generator
        self._chance = chance
        self._clock = clock
        self._tokens_per_word = 1.0

    async def warm_up(self) -> None:
        """Ask twice without timing; learn how many tokens a word has."""
        for _ in range(2):
            usage, _ = await self._ask(self._prompt(_WARM_UP_WORDS), ANSWER_TOKENS[0])
        bare, _ = await self._ask(self._prompt(1), ANSWER_TOKENS[0])
        tokens = usage.prompt_tokens - bare.prompt_tokens
        self._tokens_per_word = max(1.0, tokens / (_WARM_UP_WORDS - 1))

    async def run(self, one: _Round) -> AsyncIterator[tuple[list[Usage], list[float], float]]:
        """Yield usages, seconds of each request and of all, for new prompts, then for the same."""
        num_words = max(1, round(one.prompt_tokens / self._tokens_per_word))
        prompts = [self._prompt(num_words) for _ in range(one.concurrency)]
        for is_repeated in (False, True):
            started = self._clock()
            timed = await asyncio.gather(
                *(self._ask(prompt, one.answer_tokens) for prompt in prompts)
            )
            elapsed = self._clock() - started
            usages, seconds = [usage for usage, _ in timed], [taken for _, taken in timed]
            self.num_requests += len(timed)
            self.has_cache |= is_repeated and any(usage.cached_tokens for usage in usages)
            yield usages, seconds, elapsed

    def _prompt(self, num_words: int) -> str:
        letters = self._chance.choices(string.ascii_lowercase, k=num_words * _WORD_LETTERS)
        words = ["".join(group) for group in zip(*[iter(letters)] * _WORD_LETTERS, strict=True)]
        return f"{' '.join(words)}\n\n{_INSTRUCTION}"

    async def _ask(self, prompt: str, max_tokens: int) -> tuple[Usage, float]:
        generator = self._generator
        task = Task(
            question="",
            context=(),
            messages=[{"role": "user", "content": prompt}],
            sampling=Sampling(max_tokens, temperature=0.0),
            embedder=None,
            thinking=Thinking(is_on=False) if generator.can_think else None,
        )
        usage = Usage(0, 0)
        started = self._clock()
        try:
            async with aclosing(generator.generate(task)) as events:
                async for event in events:
                    if isinstance(event, Finish):
                        usage = event.usage
        except ModelSaidNothingError as error:  # it read and wrote all the same
            usage = error.usage
        except ModelBusyError as error:
            raise RatesError(
                f"{generator.name!r} is busy: {error} Measure while nobody else asks it, or lower "
                "--concurrency."
            ) from error
        seconds = self._clock() - started
        if not usage.prompt_tokens or not usage.completion_tokens:
            raise RatesError(
                f"The server of {generator.name!r} does not tell how many tokens it read and "
                "wrote (`usage` at the end of a stream), so nothing can be fitted. Give it a "
                "`price` in SERVING_BACKENDS_FILE, or use a server that tells."
            )
        return usage, seconds


def _plan_rounds(concurrencies: Sequence[int], window: int | None) -> list[_Round]:
    """Return the rounds; every pass has all sizes, and the concurrencies take turns."""
    longest = MAX_PROMPT_TOKENS
    if window is not None:
        longest = min(longest, int(WINDOW_SHARE * (window - max(ANSWER_TOKENS))))
    lengths = [max(1, int(share * longest)) for share in PROMPT_SHARES]
    sizes = product(range(NUM_PASSES), lengths, ANSWER_TOKENS, concurrencies)
    return [_Round(number, level, length, answer) for number, length, answer, level in sizes]


def _notes(rates: Rates, *, has_cache: bool) -> list[str]:
    notes = []
    if not has_cache:
        notes.append(
            "No token came from a prefix cache, so all of a prompt is priced as read anew. Either "
            "the server has none, or it does not tell (vLLM: --enable-prompt-tokens-details)."
        )
    for load in rates.loads:
        if not (load.latency.is_trusted and load.work.is_trusted):
            error = max(load.latency.p95_error, load.work.p95_error)
            notes.append(
                f"Not to be trusted: with {load.concurrency} at a time one request in 20 took at "
                f"least {error:.0%} more or less than the rates say. If the server, or its "
                "machine, had other work, measure again without."
            )
    return notes
