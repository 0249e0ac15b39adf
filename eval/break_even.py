"""The break-even: from how many questions a day an own GPU costs no more than an API.

An own GPU is paid for whether it is used or not, an API for what it reads and writes. What either
takes for an answer is one sum over four levers, the model (its prices, or its speed), thinking,
samples and context:

    requests * (read anew * $ + cached * $ + written * $)

with 1 request if the server reads the prompt once for all samples, else one for each. In the place
of dollars a token stand, for an own GPU, the seconds of its time.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from eval.errors import PricesError
from serving.money import to_usd
from serving.pricing import Price, PriceList, Rates

API_PRICES = Path(__file__).with_name("api_prices.toml")
_HOURS_PER_DAY = 24
_SECONDS_PER_DAY = 86_400


class ListedPrice(PriceList):
    """What a hosted model costs.

    Attributes:
        source: where that was looked up.
        note: what else to know of it.
    """

    source: str
    note: str | None = None


def load_prices(path: Path) -> dict[str, ListedPrice]:
    """Read the prices of hosted models from a TOML file such as `api_prices.toml`.

    Raises:
        PricesError: it cannot be read, is no such file, or a model in it costs nothing.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PricesError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PricesError(f"{path} is no TOML: {error}.") from None
    if not tables:
        raise PricesError(f"{path} has no prices.")
    prices = {}
    for name, table in tables.items():
        try:
            prices[name] = ListedPrice.model_validate(table)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join([name, *(str(part) for part in problem["loc"])])
            raise PricesError(f"{path}, {where}: {problem['msg']}.") from None
        if not prices[name].prompt and not prices[name].completion:
            raise PricesError(
                f"{path}, {name}: it costs nothing, so nothing is cheaper. Leave it out."
            )
    return prices


@dataclass(frozen=True, slots=True)
class Effort:
    """What is read and written for an answer.

    Attributes:
        prompt_tokens: read, the cached ones included.
        answer_tokens: written for one sample.
        thinking_tokens: written before it.
        samples: answers that are written, of which one is given.
        cached_share: of the prompt that comes from the prefix cache, in [0, 1].
        shares_prompt: whether the prompt is read once for all samples.
    """

    prompt_tokens: int
    answer_tokens: int
    thinking_tokens: int = 0
    samples: int = 1
    cached_share: float = 0.0
    shares_prompt: bool = True

    def usd(self, price: Price) -> float:
        """Return what an answer costs, in dollars."""
        return to_usd(self._requests * price.nano_usd(*self._tokens))

    def gpu_seconds(self, rates: Rates) -> float:
        """Return how much of a busy server's time an answer takes."""
        return self._requests * rates.busiest.work.seconds(*self._tokens)

    @property
    def _requests(self) -> int:
        return 1 if self.shares_prompt else self.samples

    @property
    def _tokens(self) -> tuple[int, int, int]:
        """Of one request: of the prompt, written, and of the prompt those from the cache."""
        written = self.samples // self._requests * (self.answer_tokens + self.thinking_tokens)
        return self.prompt_tokens, written, round(self.cached_share * self.prompt_tokens)


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Numbers of questions a day.

    Attributes:
        first: the least with which own GPUs cost no more; another GPU may make them dearer again.
        always: from so many on they never do.
    """

    first: int
    always: int


@dataclass(frozen=True, slots=True)
class OwnGpus:
    """As many own GPUs as the questions of a day take.

    Attributes:
        usd_per_hour: of one, used or not.
        seconds: of its time that an answer takes, above 0.
        utilisation: share of its time that it may be busy, in (0, 1].
        is_trusted: whether the rates that the seconds rest on are, see `Speed`.
    """

    usd_per_hour: float
    seconds: float
    utilisation: float
    is_trusted: bool = True

    @property
    def questions_per_gpu(self) -> float:
        """How many questions a day one can answer."""
        return _SECONDS_PER_DAY * self.utilisation / self.seconds

    @property
    def usd_per_gpu(self) -> float:
        """What one costs a day."""
        return _HOURS_PER_DAY * self.usd_per_hour

    def number(self, questions: int) -> int:
        """Return how many it takes for so many questions a day, at least one."""
        return _ceil(questions / self.questions_per_gpu)

    def usd_per_day(self, questions: int) -> float:
        """Return what they cost a day."""
        return self.number(questions) * self.usd_per_gpu

    def break_even(self, api_usd: float) -> BreakEven | None:
        """Return from how many questions a day they cost no more than an API.

        Args:
            api_usd: what an answer of the API costs.

        Returns:
            None: never, because a GPU that is as busy as it may be costs more; or by less than the
            price of one question for each GPU.
        """
        if not api_usd:
            return None
        # With so many questions one GPU costs as much as the API.
        even = self.usd_per_gpu / api_usd
        spare = self.questions_per_gpu - even
        if spare < 1:
            return None
        # One GPU more is dearer at first, unless those before it save as much as it costs.
        num_full = _ceil(even / spare)
        return BreakEven(_ceil(even), _ceil(num_full * even))


@dataclass(frozen=True, slots=True)
class ApiCost:
    """What an answer of an API costs in dollars, and from when on own GPUs cost no more."""

    usd: float
    break_even: BreakEven | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Own GPUs and APIs, for answers of one kind.

    Attributes:
        label: what kind.
        effort: that an answer takes.
        own: that answer.
        apis: by their names.
    """

    label: str
    effort: Effort
    own: OwnGpus
    apis: dict[str, ApiCost]

    @classmethod
    def of(
        cls, label: str, effort: Effort, own: OwnGpus, prices: Mapping[str, ListedPrice]
    ) -> Self:
        """Compare."""
        apis = {}
        for name, listed in prices.items():
            usd = effort.usd(Price.of_list(listed))
            apis[name] = ApiCost(usd, own.break_even(usd))
        return cls(label, effort, own, apis)


def _ceil(number: float) -> int:
    """Round up, to 1 at least, but not for what is left over from binary fractions."""
    return max(1, ceil(round(number, 6)))
