"""Prices: whole nano-dollars, from a list or from the hours of a GPU."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import BackendsError
from serving.pricing import Basis, Load, Price, PriceList, Rates, Speed

TODAY = date(2026, 11, 26)
LIST = PriceList(prompt=1.0, cached=0.25, completion=4.0, as_of=TODAY)
ALONE = Speed(
    prefill_tokens_per_second=20_000,
    cached_tokens_per_second=1_000_000,
    decode_tokens_per_second=100,
)
RATES = Rates(
    model="tiny",
    measured_on=TODAY,
    loads=(
        Load(concurrency=1, latency=ALONE, work=ALONE),
        Load(
            concurrency=40,
            latency=Speed(
                overhead_seconds=0.25,
                prefill_tokens_per_second=10_000,
                cached_tokens_per_second=None,
                decode_tokens_per_second=50,
            ),
            work=Speed(
                overhead_seconds=0.01,
                prefill_tokens_per_second=10_000,
                cached_tokens_per_second=1_000_000,
                decode_tokens_per_second=2_000,
            ),
        ),
    ),
)


def test_a_list_is_in_dollars_for_a_million_tokens() -> None:
    price = Price.of_list(LIST)
    # 800 read anew: 0.0008 $, 200 from the cache: 0.00005 $, 100 written: 0.0004 $
    assert price.nano_usd(1000, 100, cached_tokens=200) == 1_250_000
    assert price.basis is Basis.PRICE_LIST


def test_cached_tokens_cost_as_much_as_others_unless_the_list_says_otherwise() -> None:
    price = Price.of_list(PriceList(prompt=1.0, completion=4.0, as_of=TODAY))
    assert price.nano_usd(1000, 0, cached_tokens=1000) == price.nano_usd(1000, 0) == 1_000_000


def test_a_gpu_costs_the_time_that_it_works() -> None:
    price = Price.of_gpu(3.6, RATES)  # a thousandth of a dollar each second
    request = 10_000  # nano-dollars, for 0.01 s
    assert price.nano_usd(10_000, 0) == request + 1_000_000
    assert price.nano_usd(0, 2_000) == request + 1_000_000
    assert price.nano_usd(1_000_000, 0, cached_tokens=1_000_000) == request + 1_000_000
    assert price.basis is Basis.GPU_HOUR


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_more_tokens_never_cost_less(prompt: int, completion: int, more: int) -> None:
    price = Price.of_list(LIST)
    least = price.nano_usd(prompt, completion)
    assert least <= price.nano_usd(prompt + more, completion)
    assert least <= price.nano_usd(prompt, completion + more)
    assert price.nano_usd(prompt, completion, cached_tokens=prompt) <= least


def test_seconds_are_those_of_a_busy_server() -> None:
    assert RATES.seconds(5_000, 100) == pytest.approx(0.25 + 0.5 + 2.0)


def test_tokens_that_took_no_time_take_none() -> None:
    assert RATES.busiest.latency.seconds(5_000, 0, cached_tokens=5_000) == 0.25


@given(st.integers(0, 10**5), st.integers(0, 10**4))
def test_longest_prompt_within_a_time_takes_that_time(prompt: int, completion: int) -> None:
    seconds = RATES.seconds(prompt, completion)
    assert RATES.prompt_tokens_within(seconds, completion) == pytest.approx(prompt, abs=1e-6)


def test_no_prompt_is_short_enough_when_writing_takes_longer() -> None:
    assert RATES.prompt_tokens_within(1.0, completion_tokens=100) < 0


def test_rates_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rates" / "fast.json"
    assert Rates.load(path) is None
    RATES.save(path)
    assert Rates.load(path) == RATES
    path.write_text('{"loads": []}')
    with pytest.raises(BackendsError, match=r"fast\.json holds no rates.*cost calibrate"):
        Rates.load(path)
