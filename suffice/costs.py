"""What answers cost: measuring how fast model servers are, and estimating from prices or rates."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.break_even import Comparison, Effort, ListedPrice, OwnGpus
from eval.progress import Progress
from eval.rates import MeasuredRates, Workload, measure_rates
from serving.backends import Backend
from serving.models import build_models, list_backends, rates_path
from serving.money import to_usd
from serving.pricing import Basis, Rates
from serving.settings import ServingSettings
from suffice.errors import SufficeError

SECONDS_PER_HOUR = 3600
HOURS_PER_DAY = 24


@dataclass(frozen=True, slots=True)
class TypicalQuestion:
    """A typical question of a service.

    Attributes:
        prompt_tokens: read for it, the cached ones included.
        completion_tokens: written, thinking included.
        cached_tokens: of the prompt.
        per_day: so many of them.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    per_day: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the answers of one model cost.

    Attributes:
        name: of the backend.
        basis: what that rests on.
        usd_per_answer: in dollars; None: nothing is known.
        busy_share: of an own GPU's time that the questions of a day take, more than 1: it takes
            several; None: it is no own GPU.
        usd_per_answer_alone: if nothing else uses that GPU, which costs the same when idle; None:
            likewise.
        seconds: until an answer is complete, on a busy server; None: not measured.
        missing: what to do to get an estimate; None: there is one.
    """

    name: str
    basis: Basis
    usd_per_answer: float | None = None
    busy_share: float | None = None
    usd_per_answer_alone: float | None = None
    seconds: float | None = None
    missing: str | None = None


def calibrate(
    settings: ServingSettings,
    rates: Path,
    name: str | None,
    workload: Workload,
    progress: Progress,
) -> dict[str, MeasuredRates]:
    """Measure the servers, and keep their rates for the next start of the service.

    Args:
        settings: of serving.
        rates: folder of the measured rates.
        name: of the only backend to measure; None: all of them.
        workload: how much is asked, and for how long.
        progress: told how far it is.

    Raises:
        SufficeError: there is no such backend.
    """
    names = _choose(settings, name)

    async def measure() -> dict[str, MeasuredRates]:
        models = build_models(settings, rates)
        measured = {}
        try:
            for one in names:
                measured[one] = await measure_rates(models.get(one), workload, progress)
                measured[one].rates.save(rates_path(rates, one))
        finally:
            await models.close()
        return measured

    return asyncio.run(measure())


def estimate(
    settings: ServingSettings, rates: Path, name: str | None, question: TypicalQuestion
) -> list[Estimate]:
    """Return what answers cost, for each backend or the named one.

    Raises:
        SufficeError: there is no such backend.
    """
    backends = list_backends(settings)
    return [
        _estimate(one, backends[one], Rates.load(rates_path(rates, one)), question)
        for one in _choose(settings, name)
    ]


def compare_with_apis(
    settings: ServingSettings,
    rates: Path,
    name: str | None,
    usd_per_hour: float | None,
    efforts: Mapping[str, Effort],
    utilisations: Sequence[float],
    prices: Mapping[str, ListedPrice],
) -> list[Comparison]:
    """Compare the own GPUs of a backend with APIs, for each effort at each utilisation.

    Args:
        settings: of serving.
        rates: folder of the measured rates.
        name: of the backend; None: the first one.
        usd_per_hour: what a GPU costs, used or not; None: what the settings say.
        efforts: what an answer takes, by a name for it.
        utilisations: shares of a GPU's time that it may be busy, in (0, 1].
        prices: of the APIs.

    Raises:
        SufficeError: there is no such backend, or its speed or its GPU's price is not known.
    """
    name = _choose(settings, name)[0]
    measured = Rates.load(rates_path(rates, name))
    if measured is None:
        raise SufficeError(
            f"It is not known how fast {name!r} is. Run `suffice cost calibrate {name}` while its "
            "server has nothing else to do."
        )
    usd = usd_per_hour or list_backends(settings)[name].gpu_usd_per_hour
    if usd is None:
        raise SufficeError(
            f"It is not known what the GPU of {name!r} costs. Give --gpu-usd-per-hour, set "
            "`gpu_usd_per_hour` in SERVING_BACKENDS_FILE, or SERVING_LLM_GPU_USD_PER_HOUR for the "
            "one of SERVING_LLM_URL."
        )
    comparisons = []
    for label, effort in efforts.items():
        seconds = effort.gpu_seconds(measured)
        if not seconds:
            raise SufficeError(
                f"By its rates an answer of {name!r} takes no time. Run `suffice cost calibrate "
                f"{name}` again."
            )
        for utilisation in utilisations:
            own = OwnGpus(usd, seconds, utilisation, measured.busiest.work.is_trusted)
            said = f"{label}, GPU up to {utilisation:.0%} busy"
            comparisons.append(Comparison.of(said, effort, own, prices))
    return comparisons


def _choose(settings: ServingSettings, name: str | None) -> list[str]:
    names = list(list_backends(settings))
    if not names:
        raise SufficeError(
            "No model server is configured. Set SERVING_LLM_URL, or describe servers in the file "
            "that SERVING_BACKENDS_FILE names."
        )
    if name is None:
        return names
    if name not in names:
        raise SufficeError(f"There is no model {name!r}; there is {', '.join(names)}.")
    return [name]


def _estimate(
    name: str, backend: Backend, rates: Rates | None, question: TypicalQuestion
) -> Estimate:
    tokens = (question.prompt_tokens, question.completion_tokens, question.cached_tokens)
    seconds = rates.busiest.latency.seconds(*tokens) if rates else None
    price = backend.price_of_tokens(rates)
    if price is None:
        missing = (
            f"Run `suffice cost calibrate {name}`."
            if backend.gpu_usd_per_hour is not None
            else "Give it a `price` or `gpu_usd_per_hour` in SERVING_BACKENDS_FILE, or set "
            "SERVING_LLM_GPU_USD_PER_HOUR for the one of SERVING_LLM_URL."
        )
        return Estimate(name, Basis.UNKNOWN, seconds=seconds, missing=missing)
    usd = to_usd(price.nano_usd(*tokens))
    if backend.gpu_usd_per_hour is None or rates is None:
        return Estimate(name, price.basis, usd, seconds=seconds)
    usd_per_day = HOURS_PER_DAY * backend.gpu_usd_per_hour
    busy_seconds = rates.busiest.work.seconds(*tokens) * question.per_day
    busy_share = busy_seconds / (HOURS_PER_DAY * SECONDS_PER_HOUR)
    alone = max(usd, usd_per_day / question.per_day)
    return Estimate(name, price.basis, usd, busy_share, alone, seconds)
