"""The linear model of what requests take is found again in what they took."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.speed import Sample, fit_speed
from serving.pricing import Speed, seconds_per_token

TRUE = Speed(
    overhead_seconds=0.02,
    prefill_tokens_per_second=8_000,
    cached_tokens_per_second=200_000,
    decode_tokens_per_second=60,
)
SIZES = [
    (prompt, cached, completion)
    for prompt in (256, 1024, 4096)
    for cached in (0, prompt // 2, prompt - 16)
    for completion in (16, 64, 128)
]


def make_samples(
    speed: Speed, sizes: Sequence[tuple[int, int, int]] = SIZES, noise: float = 0.0, seed: int = 0
) -> list[Sample]:
    chance = random.Random(seed)  # noqa: S311
    return [
        Sample(
            *(prompt, cached, completion),
            speed.seconds(prompt, completion, cached) * (1 + chance.gauss(0, noise)),
        )
        for prompt, cached, completion in sizes
    ]


def coefficients(speed: Speed) -> list[float]:
    """Seconds: of each request, of a token read anew, cached and written."""
    rates = (
        speed.prefill_tokens_per_second,
        speed.cached_tokens_per_second,
        speed.decode_tokens_per_second,
    )
    return [speed.overhead_seconds, *map(seconds_per_token, rates)]


@given(
    st.floats(0, 1),
    st.floats(100, 100_000),
    st.floats(1, 100),
    st.floats(1, 10_000),
)
def test_exact_timings_give_the_model_back(
    overhead: float, prefill: float, times_faster: float, decode: float
) -> None:
    true = Speed(
        overhead_seconds=overhead,
        prefill_tokens_per_second=prefill,
        cached_tokens_per_second=prefill * times_faster,
        decode_tokens_per_second=decode,
    )
    samples = make_samples(true)
    fitted = fit_speed(samples, samples)
    assert coefficients(fitted) == pytest.approx(coefficients(true), rel=1e-3, abs=1e-7)
    assert fitted.p95_error < 1e-4


def test_where_nothing_is_negative_it_is_ordinary_least_squares_of_relative_errors() -> None:
    samples = make_samples(TRUE, noise=0.02)
    columns = np.array(
        [
            [1, one.prompt_tokens - one.cached_tokens, one.cached_tokens, one.completion_tokens]
            for one in samples
        ]
    )
    seconds = np.array([one.seconds for one in samples])
    expected = np.linalg.lstsq(columns / seconds[:, None], np.ones(len(samples)), rcond=None)[0]
    assert (expected > 0).all()
    assert coefficients(fit_speed(samples, samples)) == pytest.approx(expected.tolist())


def draw_sizes(seed: int, number: int = 40) -> list[tuple[int, int, int]]:
    chance = random.Random(seed)  # noqa: S311
    prompts = [chance.randrange(64, 4096) for _ in range(number)]
    return [(one, chance.randrange(0, one), chance.randrange(8, 256)) for one in prompts]


def test_noise_of_five_percent_on_forty_requests_moves_predictions_less_than_that() -> None:
    """Acceptance 12: the four coefficients are planted, and other requests are predicted."""
    medians, tails = [], []
    for seed in range(50):
        fitted_to = make_samples(TRUE, draw_sizes(seed), noise=0.05, seed=seed)
        held_out = make_samples(TRUE, draw_sizes(1000 + seed))
        fitted = fit_speed(fitted_to, held_out)
        medians.append(fitted.median_error)
        tails.append(fitted.p95_error)
    assert np.median(medians) < 0.02
    assert np.median(tails) < 0.04
    assert max(medians) < 0.05


@pytest.mark.parametrize(("noise", "is_trusted"), [(0.05, True), (0.2, False)])
def test_what_predicts_badly_is_not_trusted(noise: float, is_trusted: bool) -> None:
    """Both halves are noisy, as they are when a server is measured."""
    for seed in range(20):
        halves = (
            make_samples(TRUE, draw_sizes(seed + part), noise=noise, seed=seed + part)
            for part in (0, 1000)
        )
        fitted = fit_speed(*halves)
        assert fitted.is_trusted is is_trusted
        assert fitted.median_error < fitted.p95_error


def test_trust_ends_at_fifteen_percent() -> None:
    assert TRUE.model_copy(update={"p95_error": 0.15}).is_trusted
    assert not TRUE.model_copy(update={"p95_error": 0.1501}).is_trusted


def test_error_is_that_of_requests_which_were_not_fitted_to() -> None:
    twice = [
        Sample(one.prompt_tokens, one.cached_tokens, one.completion_tokens, 2 * one.seconds)
        for one in make_samples(TRUE)
    ]
    fitted = fit_speed(make_samples(TRUE), twice)
    assert fitted.median_error == fitted.p95_error == pytest.approx(0.5, abs=1e-4)


def test_cached_tokens_never_take_longer_than_others() -> None:
    odd = TRUE.model_copy(update={"cached_tokens_per_second": 1_000})
    fitted = fit_speed(make_samples(odd), make_samples(odd))
    _, prefill, cached, _ = coefficients(fitted)
    assert cached <= prefill


def test_without_a_cache_its_tokens_take_as_long_as_others() -> None:
    sizes = [(prompt, 0, completion) for prompt, _, completion in SIZES]
    samples = make_samples(TRUE, sizes)
    fitted = fit_speed(samples, samples)
    assert fitted.cached_tokens_per_second == fitted.prefill_tokens_per_second
    assert fitted.prefill_tokens_per_second == pytest.approx(8_000)


def test_tokens_that_take_no_time_have_no_rate() -> None:
    slow = [
        Sample(prompt, cached, completion, 0.02 + (prompt - cached) / 8_000 + completion / 60)
        for prompt, cached, completion in SIZES
    ]
    rate = fit_speed(slow, slow).cached_tokens_per_second
    assert rate is None or rate > 1e9
