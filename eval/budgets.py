"""Budgets: the most evidence for so many tokens, dollars or milliseconds.

What an answer costs and takes rises with its prompt. So each budget comes to a longest prompt, and
the one that allows the shortest binds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from eval.choice import LEAST_SAVING, QUANTILE, REFERENCE, keeping
from eval.counted import counted
from eval.dollars import dollars
from eval.errors import BudgetError
from eval.measurements import Measurements
from eval.pareto import pareto_front
from eval.results import BudgetAnswer, Neighbour
from serving.generation import Generator
from serving.pricing import TRUSTED_ERROR, Basis, Price, Rates, Speed

_THOUSAND = 1000
_MS_PER_SECOND = 1000


@dataclass(frozen=True, slots=True)
class Budget:
    """What 95 % of the answers may take at most; None: as much as they take.

    Attributes:
        max_prompt_tokens: of a prompt.
        max_usd_per_1000: in dollars, if 1,000 questions cost as much as this one.
        max_ms: from the prompt to the end of the answer on a busy server, in milliseconds.
        answer_tokens: written for an answer, thinking included.
    """

    max_prompt_tokens: int | None = None
    max_usd_per_1000: float | None = None
    max_ms: float | None = None
    answer_tokens: int = 200

    def prompt_limits(self, model: Generator, samples: int = 1) -> dict[str, int]:
        """Return the longest prompt for each budget by its name.

        What is kept to whatever the prompt has no limit; what cannot be kept to has 0.

        Args:
            model: that answers.
            samples: answers that it writes to a prompt, side by side.

        Raises:
            BudgetError: it has no price or no measured rates, or these are not to be trusted.
        """
        limits: dict[str, float] = {}
        if self.max_prompt_tokens is not None:
            limits["max_prompt_tokens"] = self.max_prompt_tokens
        if self.max_usd_per_1000 is not None:
            limits["max_usd_per_1000"] = _price(model).prompt_tokens_within(
                self.max_usd_per_1000 / _THOUSAND, samples * self.answer_tokens
            )
        if self.max_ms is not None:
            limits["max_ms"] = _rates(model).prompt_tokens_within(
                self.max_ms / _MS_PER_SECOND, self.answer_tokens
            )
        return {name: max(0, int(most)) for name, most in limits.items() if most < float("inf")}


def _price(model: Generator) -> Price:
    if model.price is None:
        raise BudgetError(
            f"--max-usd-per-1000 needs a price, and the model {model.name!r} has none. Give it a "
            "`price` in SERVING_BACKENDS_FILE; or, for an own GPU, set `gpu_usd_per_hour` there "
            "or SERVING_LLM_GPU_USD_PER_HOUR, and run `suffice cost calibrate`."
        )
    if model.price.basis is Basis.GPU_HOUR and model.rates is not None:
        _check_trusted(model, model.rates.busiest.work, "--max-usd-per-1000")
    return model.price


def _rates(model: Generator) -> Rates:
    if model.rates is None:
        raise BudgetError(
            f"--max-ms needs to know how fast the model {model.name!r} is. Run `suffice cost "
            "calibrate` while its server has nothing else to do."
        )
    _check_trusted(model, model.rates.busiest.latency, "--max-ms")
    return model.rates


def _check_trusted(model: Generator, speed: Speed, option: str) -> None:
    """Refuse rates that predict badly: with reading lost in noise any prompt is fast enough."""
    if not speed.is_trusted:
        raise BudgetError(
            f"{option} rests on the rates of {model.name!r}, and these are not to be trusted: one "
            f"request in 20 took at least {speed.p95_error:.0%} more or less than they say, and "
            f"{TRUSTED_ERROR:.0%} is the most. Run `suffice cost calibrate` while its server, and "
            "the machine, have nothing else to do; or give --max-prompt-tokens instead."
        )


class BudgetSearch:
    """Finds the setting with the most evidence under a budget, and its neighbours.

    They are found on one half of the questions and measured on the other.

    Attributes:
        numbers: of the settings that were found.
    """

    def __init__(
        self, prompt_limits: Mapping[str, int], tune: Measurements, held_out: Measurements
    ) -> None:
        """Find.

        Args:
            prompt_limits: see `Budget`, at least one.
            tune: the half to find with.
            held_out: the half to measure on.
        """
        self._limits = dict(prompt_limits)
        self._held_out = held_out
        self._best: int | None = None
        self._cheaper: int | None = None
        self._dearer: int | None = None
        tokens, coverage = tune.means(tune.tokens), tune.means(tune.coverage)
        affordable = keeping(prompt_limits, tune)
        if affordable.size:
            # What is sure to be found, so that no luck of few questions is taken for the best.
            bounds = tune.lower_bounds(tune.coverage[affordable])
            order = np.lexsort((tokens[affordable], -bounds))
            best = self._best = int(affordable[order[0]])
            front = pareto_front(tokens, coverage)
            keeps = affordable[pareto_front(tokens[affordable], coverage[affordable])].tolist()
            cheaper = [one for one in keeps if tokens[one] <= LEAST_SAVING * tokens[best]]
            dearer = [
                one
                for one in front
                if LEAST_SAVING * tokens[one] >= tokens[best] and coverage[one] > coverage[best]
            ]
            self._cheaper = cheaper[-1] if cheaper else None
            self._dearer = dearer[0] if dearer else None
        found = (self._best, self._cheaper, self._dearer)
        self.numbers = [number for number in found if number is not None]

    def answer(
        self, name: Callable[[int], str], label: Callable[[int], str], price: Price | None
    ) -> BudgetAnswer:
        """Return what was found.

        Args:
            name: of a setting in the result.
            label: says in words what it is.
            price: of the model that reads the prompts; None: nothing is known.
        """
        cheaper = self._neighbour(self._cheaper, name, price)
        dearer = self._neighbour(self._dearer, name, price)
        binding = min(self._limits, key=lambda one: self._limits[one])
        most = self._limits[binding]
        reference_keeps = self._share_within(REFERENCE, most) >= QUANTILE
        sentences = [
            f"Under the budget 95 % of the prompts may have {counted(most, 'token')}, "
            f"which is what {binding} allows."
        ]
        if self._best is None:
            sentences.append("No setting has prompts that are so short.")
        else:
            coverage = self._held_out.share(self._held_out.coverage[self._best])
            sentences.append(
                f"Most evidence is then found by {label(self._best)}: {coverage.mean:.3f} "
                f"({coverage.low:.3f} to {coverage.high:.3f}); "
                f"{self._share_within(self._best, most):.0%} of its prompts kept to the budget."
            )
        if self._dearer is not None and dearer is not None:
            sentences.append(f"Next dearer: {label(self._dearer)}, {_exchange(dearer)}.")
        if self._cheaper is not None and cheaper is not None:
            sentences.append(f"Next cheaper: {label(self._cheaper)}, {_exchange(cheaper)}.")
        if not reference_keeps:
            sentences.append("What is served now does not keep to the budget.")
        return BudgetAnswer(
            prompt_limits=self._limits,
            binding=binding,
            reference_keeps=reference_keeps,
            best=None if self._best is None else name(self._best),
            cheaper=cheaper,
            dearer=dearer,
            statement=" ".join(sentences),
        )

    def _share_within(self, number: int, most: int) -> float:
        return float(np.mean(self._held_out.tokens[number] <= most))

    def _neighbour(
        self, number: int | None, name: Callable[[int], str], price: Price | None
    ) -> Neighbour | None:
        if number is None or self._best is None:
            return None
        held_out, best = self._held_out, self._best
        coverage = held_out.interval(held_out.coverage[number] - held_out.coverage[best])
        tokens = held_out.interval(held_out.tokens[number] - held_out.tokens[best])
        usd = None if price is None else tokens.mean * price.prompt * _THOUSAND
        return Neighbour(
            name=name(number),
            coverage=coverage,
            prompt_tokens=tokens,
            usd_per_1000=usd,
            coverage_per_usd=coverage.mean / usd if usd else None,
        )


def _exchange(neighbour: Neighbour) -> str:
    """Say what a neighbour finds more or less, and for what."""
    said = (
        f"{neighbour.coverage.mean:+.3f} evidence for {neighbour.prompt_tokens.mean:+,.0f} tokens"
    )
    usd = neighbour.usd_per_1000
    if not usd:
        return said
    said += f" and {'-' if usd < 0 else '+'}{dollars(abs(usd))} per 1,000 questions"
    if neighbour.coverage_per_usd is not None:
        said += f" ({neighbour.coverage_per_usd:.3f} for a dollar)"
    return said
