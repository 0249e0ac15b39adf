"""Own GPUs against APIs: where the closed form says they break even, counting says so too."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.break_even import API_PRICES, BreakEven, Comparison, Effort, OwnGpus, load_prices
from eval.break_even_plot import draw_break_even
from eval.errors import PricesError, ReportError
from serving.pricing import Basis, Load, Price, Rates, Speed

PRICE = Price(2e-6, 5e-7, 8e-6, Basis.PRICE_LIST)
WORK = Speed(
    overhead_seconds=0.01,
    prefill_tokens_per_second=10_000,
    cached_tokens_per_second=100_000,
    decode_tokens_per_second=1_000,
)
RATES = Rates(
    model="m",
    measured_on=date(2026, 11, 26),
    loads=(Load(concurrency=8, latency=WORK, work=WORK),),
)
EFFORT = Effort(
    prompt_tokens=1000, answer_tokens=100, thinking_tokens=300, samples=4, cached_share=0.25
)
# $24 a day, and 43,200 questions.
OWN = OwnGpus(usd_per_hour=1.0, seconds=1.0, utilisation=0.5)


def test_an_answer_is_one_sum_over_the_four_levers() -> None:
    read = 750 * 2e-6 + 250 * 5e-7
    written = (300 + 100) * 8e-6
    assert EFFORT.usd(PRICE) == pytest.approx(read + 4 * written)
    apart = replace(EFFORT, shares_prompt=False)
    assert apart.usd(PRICE) == pytest.approx(4 * (read + written))


def test_own_gpus_take_seconds_in_the_place_of_dollars() -> None:
    read = 750 / 10_000 + 250 / 100_000
    written = (300 + 100) / 1_000
    assert EFFORT.gpu_seconds(RATES) == pytest.approx(0.01 + read + 4 * written)
    apart = replace(EFFORT, shares_prompt=False)
    assert apart.gpu_seconds(RATES) == pytest.approx(4 * (0.01 + read + written))


def test_one_gpu_is_cheaper_before_a_second_is_needed() -> None:
    # 24,000 questions cost $24 with the API as well. 43,201 take two GPUs, $48 against $43.20; from
    # 48,000 on that is no more, and three GPUs, from 86,401, are $72 against $86.40.
    assert OWN.break_even(0.001) == BreakEven(first=24_000, always=48_000)
    assert OWN.usd_per_day(43_200) == 24
    assert OWN.usd_per_day(43_201) == 48
    assert OWN.usd_per_day(0) == 24  # paid whether used or not


def test_no_question_costs_an_api_nothing_however_dear_it_is() -> None:
    assert OWN.break_even(1e9) == BreakEven(first=1, always=1)


def test_a_full_gpu_may_be_dearer() -> None:
    assert OWN.break_even(24 / 43_201) is None
    assert OWN.break_even(24 / 43_198) == BreakEven(43_198, 21_599 * 43_198)
    assert OWN.break_even(0.0) is None


@given(
    capacity=st.integers(1, 60),
    usd_per_hour=st.integers(1, 9),
    questions_for_a_gpu=st.integers(1, 80),
)
def test_counting_finds_the_same(
    capacity: int, usd_per_hour: int, questions_for_a_gpu: int
) -> None:
    own = OwnGpus(float(usd_per_hour), 86_400 / capacity, 1.0)
    api = own.usd_per_gpu / questions_for_a_gpu

    def is_cheaper(questions: int) -> bool:
        return own.usd_per_day(questions) <= questions * api + 1e-9

    even = own.break_even(api)
    if even is None:
        # A GPU saves less than one question costs.
        assert all(
            own.usd_per_day(one) > (one - own.number(one)) * api for one in range(1, 9 * capacity)
        )
        return
    assert even.first == next(one for one in range(1, 1000) if is_cheaper(one))
    assert all(is_cheaper(one) for one in range(even.always, even.always + 3 * capacity))
    dearer = [one for one in range(1, even.always) if not is_cheaper(one)]
    assert even.always <= max(dearer, default=0) + 1 + capacity


@given(context=st.integers(1, 50_000), less=st.integers(1, 50_000))
def test_less_context_never_lowers_what_a_gpu_can_answer(context: int, less: int) -> None:
    less, context = sorted((less, context))
    seconds = [
        replace(EFFORT, prompt_tokens=tokens).gpu_seconds(RATES) for tokens in (less, context)
    ]
    assert seconds[0] <= seconds[1]


def test_our_prices_have_a_date_and_a_source() -> None:
    prices = load_prices(API_PRICES)
    assert len(prices) >= 5
    for one in prices.values():
        assert one.source.startswith("https://")
        assert one.as_of >= date(2026, 10, 1)
        assert one.cached is None or one.cached < one.prompt < one.completion


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read"),
        ("[a", "is no TOML"),
        ("", "has no prices"),
        ("[a]\nprompt = 1.0\nas_of = 2026-01-01\nsource = 's'", r"a\.completion: Field required"),
        ("[a]\nprompt = -1\ncompletion = 1\nas_of = 2026-01-01\nsource = 's'", r"a\.prompt: "),
        ("[a]\nprompt = 0\ncompletion = 0\nas_of = 2026-01-01\nsource = 's'", "costs nothing"),
        ("a = 1", "a: Input should be"),
    ],
)
def test_what_is_wrong_with_prices_is_named(text: str | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PricesError, match=says):
        load_prices(path)


def test_plot_is_a_file_that_needs_no_page(tmp_path: Path) -> None:
    prices = load_prices(API_PRICES)
    sizes = (replace(EFFORT, prompt_tokens=tokens) for tokens in (2400, 900))
    comparisons = [
        Comparison.of(
            f"{one.prompt_tokens} tokens", one, OwnGpus(1.0, one.gpu_seconds(RATES), 0.5), prices
        )
        for one in sizes
    ]
    path = tmp_path / "plot.svg"
    draw_break_even(comparisons, path)
    svg = path.read_text()
    assert "var(" not in svg
    assert "#0000" not in svg
    for said in ("2400 tokens", "900 tokens", "own GPUs", "questions a day", *prices):
        assert said in svg
    draw_break_even(comparisons, path)
    assert path.read_text() == svg
    with pytest.raises(ReportError, match="cannot be written"):
        draw_break_even(comparisons, tmp_path / "nowhere" / "plot.svg")
