"""Pricing: what the tokens of an answer cost, and on what that rests.

A hosted model has a price list. An own one has what its GPU costs an hour, and how many tokens it
reads and writes in that time (`suffice cost calibrate` measures them). Amounts are whole
nano-dollars, so that sums are exact.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from retrieval.whole_files import write_whole
from serving.errors import BackendsError
from serving.money import to_nano_usd, to_usd

# Beyond this the linear model does not describe a server, or something else kept it busy.
TRUSTED_ERROR = 0.15
_SECONDS_PER_HOUR = 3600
_MILLION = 1_000_000


class Basis(StrEnum):
    """What an amount rests on."""

    PRICE_LIST = "price_list"
    GPU_HOUR = "gpu_hour"
    UNKNOWN = "unknown"
    """Nothing is known: the amount is 0 and means nothing."""
    FREE = "free"
    """No model was asked."""


class PriceList(BaseModel):
    """What a provider asks, in dollars for a million tokens.

    Attributes:
        prompt: for tokens read.
        cached: for tokens read that were in the server's cache; None: as much as others.
        completion: for tokens written, thinking included.
        as_of: when somebody looked it up.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: float = Field(ge=0, allow_inf_nan=False)
    cached: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    completion: float = Field(ge=0, allow_inf_nan=False)
    as_of: date


class Speed(BaseModel):
    """What a request takes: an overhead, and so much for each token read anew, cached or written.

    A rate is None where they took no time that could be measured.

    Attributes:
        overhead_seconds: whatever the tokens.
        prefill_tokens_per_second: of the prompt, read anew.
        cached_tokens_per_second: of the prompt, from the prefix cache.
        decode_tokens_per_second: written, thinking included.
        median_error: of the seconds predicted for requests that were not fitted to, relative.
        p95_error: 95th percentile of these.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    overhead_seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    prefill_tokens_per_second: float | None = Field(gt=0, allow_inf_nan=False)
    cached_tokens_per_second: float | None = Field(gt=0, allow_inf_nan=False)
    decode_tokens_per_second: float | None = Field(gt=0, allow_inf_nan=False)
    median_error: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    p95_error: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    @property
    def is_trusted(self) -> bool:
        """Whether hardly any request took much more or less than predicted."""
        return self.p95_error <= TRUSTED_ERROR

    def seconds(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float:
        """Predict what a request takes; `cached_tokens` are of the prompt."""
        uncached = prompt_tokens - cached_tokens
        return (
            self.overhead_seconds
            + uncached * seconds_per_token(self.prefill_tokens_per_second)
            + cached_tokens * seconds_per_token(self.cached_tokens_per_second)
            + completion_tokens * seconds_per_token(self.decode_tokens_per_second)
        )


class Load(BaseModel):
    """How fast a server is with so many requests at a time.

    Attributes:
        concurrency: requests at a time.
        latency: of one of them, as its caller sees it.
        work: of one of them, in seconds of the server: what all took together, divided by their
            number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    concurrency: int = Field(ge=1)
    latency: Speed
    work: Speed


class Rates(BaseModel):
    """How fast a model server reads and writes, measured.

    Attributes:
        model: that answered.
        measured_on: the day.
        loads: from the fewest requests at a time to the most, at least one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    measured_on: date
    loads: tuple[Load, ...] = Field(min_length=1)

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Read rates from a JSON file; None: there is none.

        Raises:
            BackendsError: the file holds no rates.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise BackendsError(
                f"{path} holds no rates ({error.errors()[0]['msg']}). Delete it, and run `suffice "
                "cost calibrate` again."
            ) from None

    def save(self, path: Path) -> None:
        """Write the rates to a file that `load` reads; it is whole or not there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, self.model_dump_json(indent=2).encode() + b"\n")

    @property
    def busiest(self) -> Load:
        """The load with the most requests at a time."""
        return self.loads[-1]

    def seconds(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Predict how long one answer takes when the server is busy and nothing is cached."""
        return self.busiest.latency.seconds(prompt_tokens, completion_tokens)

    def prompt_tokens_within(self, seconds: float, completion_tokens: int) -> float:
        """Return the longest prompt whose answer takes no longer; below 0: there is none."""
        left = seconds - self.seconds(0, completion_tokens)
        reading = seconds_per_token(self.busiest.latency.prefill_tokens_per_second)
        if not reading:
            return float("inf") if left >= 0 else -1.0
        return left / reading


def seconds_per_token(tokens_per_second: float | None) -> float:
    """Return the inverse of a rate; 0 for one that could not be measured."""
    return 0.0 if tokens_per_second is None else 1 / tokens_per_second


@dataclass(frozen=True, slots=True)
class Price:
    """What a token costs, and each request beside its tokens, in dollars."""

    prompt: float
    cached: float
    completion: float
    basis: Basis
    request: float = 0.0

    @classmethod
    def of_list(cls, prices: PriceList) -> "Price":
        """Return the prices of a provider's list."""
        cached = prices.prompt if prices.cached is None else prices.cached
        return cls(
            prices.prompt / _MILLION,
            cached / _MILLION,
            prices.completion / _MILLION,
            Basis.PRICE_LIST,
        )

    @classmethod
    def of_gpu(cls, usd_per_hour: float, rates: Rates) -> "Price":
        """Return what the time of an own GPU costs that is as busy as when it was measured."""
        usd_per_second = usd_per_hour / _SECONDS_PER_HOUR
        work = rates.busiest.work
        return cls(
            usd_per_second * seconds_per_token(work.prefill_tokens_per_second),
            usd_per_second * seconds_per_token(work.cached_tokens_per_second),
            usd_per_second * seconds_per_token(work.decode_tokens_per_second),
            Basis.GPU_HOUR,
            usd_per_second * work.overhead_seconds,
        )

    def nano_usd(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> int:
        """Return the cost of a call.

        Args:
            prompt_tokens: read, the cached ones included.
            completion_tokens: written, thinking included.
            cached_tokens: of those read.
        """
        read = self.prompt * (prompt_tokens - cached_tokens) + self.cached * cached_tokens
        usd = self.request + read + self.completion * completion_tokens
        return to_nano_usd(usd)

    def prompt_tokens_within(self, usd: float, completion_tokens: int) -> float:
        """Return the longest prompt whose answer costs no more; below 0: there is none."""
        left = usd - to_usd(self.nano_usd(0, completion_tokens))
        if not self.prompt:
            return float("inf") if left >= 0 else -1.0
        return left / self.prompt
