"""Fits the linear model of `Speed` to what requests took."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls  # type: ignore[import-untyped]

from serving.pricing import Speed


@dataclass(frozen=True, slots=True)
class Sample:
    """What a request took; tokens may be means over several."""

    prompt_tokens: float
    cached_tokens: float
    completion_tokens: float
    seconds: float


def fit_speed(fitted: Sequence[Sample], held_out: Sequence[Sample]) -> Speed:
    """Fit what requests take, by nonnegative least squares of the relative errors.

    A token from the cache never takes longer than one that is read anew: what is fitted is the time
    of every token of a prompt, and what those take on top that are read anew.
    """
    counts, seconds = _arrays(fitted)
    overhead, prompt, uncached, completion = nnls(
        _columns(counts) / seconds[:, None], np.ones(len(seconds))
    )[0].tolist()
    has_cache = bool(counts[:, 1].any())
    speed = Speed(
        overhead_seconds=overhead,
        prefill_tokens_per_second=_rate(prompt + uncached),
        cached_tokens_per_second=_rate(prompt if has_cache else prompt + uncached),
        decode_tokens_per_second=_rate(completion),
    )
    counts, seconds = _arrays(held_out)
    predicted = _columns(counts) @ np.array([overhead, prompt, uncached, completion])
    errors = np.abs(predicted - seconds) / seconds
    return speed.model_copy(
        update={
            "median_error": round(float(np.median(errors)), 4),
            "p95_error": round(float(np.percentile(errors, 95)), 4),
        }
    )


def _arrays(samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, 3) tokens of prompt, cache and completion, and (n,) seconds."""
    rows = np.array(
        [[one.prompt_tokens, one.cached_tokens, one.completion_tokens] for one in samples]
    )
    return rows, np.array([one.seconds for one in samples])


def _columns(counts: np.ndarray) -> np.ndarray:
    """Return (n, 4): one, tokens of the prompt, those of them read anew, tokens written."""
    prompt, cached, completion = counts.T
    return np.stack([np.ones(len(counts)), prompt, prompt - cached, completion], axis=1)


def _rate(seconds_per_token: float) -> float | None:
    return 1 / seconds_per_token if seconds_per_token > 0 else None
