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

from serving.errors import BackendsError

NANO_PER_USD = 1_000_000_000
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


class Rates(BaseModel):
    """How fast a model server reads and writes, measured.

    Attributes:
        prefill_tokens_per_second: read, all streams together.
        cached_tokens_per_second: read from the prefix cache, all streams together.
        decode_tokens_per_second: written, all streams together.
        stream_tokens_per_second: written by one stream while the others write, too.
        concurrency: streams at a time when this was measured.
        measured_on: the day.
        error: largest relative error of the times these rates predict for what was measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefill_tokens_per_second: float = Field(gt=0, allow_inf_nan=False)
    cached_tokens_per_second: float = Field(gt=0, allow_inf_nan=False)
    decode_tokens_per_second: float = Field(gt=0, allow_inf_nan=False)
    stream_tokens_per_second: float = Field(gt=0, allow_inf_nan=False)
    concurrency: int = Field(ge=1)
    measured_on: date
    error: float = Field(default=0.0, ge=0, allow_inf_nan=False)

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

    def seconds(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Predict how long one answer takes when nothing of its prompt is cached."""
        reading = prompt_tokens / self.prefill_tokens_per_second
        return reading + completion_tokens / self.stream_tokens_per_second


@dataclass(frozen=True, slots=True)
class Price:
    """What a token costs, in dollars."""

    prompt: float
    cached: float
    completion: float
    basis: Basis

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
        """Return what tokens cost on an own GPU that is as busy as when it was measured."""
        usd_per_second = usd_per_hour / _SECONDS_PER_HOUR
        return cls(
            usd_per_second / rates.prefill_tokens_per_second,
            usd_per_second / rates.cached_tokens_per_second,
            usd_per_second / rates.decode_tokens_per_second,
            Basis.GPU_HOUR,
        )

    def nano_usd(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> int:
        """Return the cost of a call.

        Args:
            prompt_tokens: read, the cached ones included.
            completion_tokens: written, thinking included.
            cached_tokens: of those read.
        """
        read = self.prompt * (prompt_tokens - cached_tokens) + self.cached * cached_tokens
        return round((read + self.completion * completion_tokens) * NANO_PER_USD)
