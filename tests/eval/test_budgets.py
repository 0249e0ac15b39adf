"""Budgets in tokens, dollars and milliseconds come to prompts that keep to them, and no shorter."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.budgets import Budget, BudgetSearch
from eval.choice import keeping
from eval.decisions.items import Floats
from eval.errors import BudgetError
from eval.measurements import Measurements
from serving.generation import Generator
from serving.models import build_models
from serving.pricing import Basis, Load, Price, Rates, Speed
from serving.settings import ServingSettings

SPEED = Speed(
    overhead_seconds=0.1,
    prefill_tokens_per_second=4000,
    cached_tokens_per_second=40_000,
    decode_tokens_per_second=500,
)
RATES = Rates(
    model="m",
    measured_on=date(2026, 11, 26),
    loads=(Load(concurrency=8, latency=SPEED, work=SPEED),),
)
MakeModel = Callable[..., Generator]


@pytest.fixture
def make_model(tmp_path: Path) -> Iterator[MakeModel]:
    """Make a model as the settings describe it; $3.6 an hour are a thousandth for a second."""
    models = []

    def make(rates: Rates | None = RATES, **settings: object) -> Generator:
        if rates is not None:
            rates.save(tmp_path / "default.json")
        url = {"llm_url": "http://127.0.0.1:9/v1"}
        models.append(build_models(ServingSettings(**url | settings), tmp_path))  # type: ignore[arg-type]
        return models[-1].get(None)

    yield make
    for one in models:
        asyncio.run(one.close())


def test_budgets_come_to_the_longest_prompt_that_keeps_to_them(make_model: MakeModel) -> None:
    model = make_model(llm_gpu_usd_per_hour=3.6)
    # 0.1 s, 0.4 s for an answer of 200 tokens, and 0.5 s are left, for 4,000 tokens a second.
    budget = Budget(max_prompt_tokens=2500, max_usd_per_1000=1.0, max_ms=1000)
    expected = {"max_prompt_tokens": 2500, "max_usd_per_1000": 2000, "max_ms": 2000}
    assert budget.prompt_limits(model) == pytest.approx(expected, abs=1)


def test_samples_are_paid_for_and_written_side_by_side(make_model: MakeModel) -> None:
    budget = Budget(max_usd_per_1000=1.0, max_ms=1000, answer_tokens=100)
    limits = budget.prompt_limits(make_model(llm_gpu_usd_per_hour=3.6), samples=2)
    assert limits == pytest.approx({"max_usd_per_1000": 2000, "max_ms": 2800}, abs=1)


def test_an_answer_alone_may_be_too_dear(make_model: MakeModel) -> None:
    budget = Budget(max_usd_per_1000=0.4, max_ms=400)
    limits = budget.prompt_limits(make_model(llm_gpu_usd_per_hour=3.6))
    assert limits == {"max_usd_per_1000": 0, "max_ms": 0}


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        (Budget(max_usd_per_1000=1), r"'default' has none.*suffice cost calibrate"),
        (Budget(max_ms=1), r"how fast the model 'default' is. Run `suffice cost calibrate`"),
    ],
)
def test_what_is_not_known_is_named(make_model: MakeModel, budget: Budget, says: str) -> None:
    with pytest.raises(BudgetError, match=says):
        budget.prompt_limits(make_model(rates=None, llm_gpu_usd_per_hour=3.6))


def test_rates_that_predict_badly_are_refused(make_model: MakeModel) -> None:
    rough = SPEED.model_copy(update={"p95_error": 0.2})
    load = Load(concurrency=8, latency=rough, work=SPEED)
    model = make_model(RATES.model_copy(update={"loads": (load,)}), llm_gpu_usd_per_hour=3.6)
    assert Budget(max_prompt_tokens=9, max_usd_per_1000=1).prompt_limits(model)
    with pytest.raises(BudgetError, match=r"--max-ms .*at least 20% more.*cost calibrate"):
        Budget(max_ms=1000).prompt_limits(model)
    load = Load(concurrency=8, latency=SPEED, work=rough)
    model = make_model(RATES.model_copy(update={"loads": (load,)}), llm_gpu_usd_per_hour=3.6)
    assert Budget(max_ms=1000).prompt_limits(model)
    with pytest.raises(BudgetError, match=r"--max-usd-per-1000 rests on .*not to be trusted"):
        Budget(max_usd_per_1000=1).prompt_limits(model)


def test_a_price_list_needs_no_rates_to_be_trusted(make_model: MakeModel, tmp_path: Path) -> None:
    rough = SPEED.model_copy(update={"p95_error": 9.0})
    load = Load(concurrency=8, latency=rough, work=rough)
    backends = tmp_path / "backends.toml"
    backends.write_text(
        '[listed]\nurl = "http://127.0.0.1:9/v1"\n'
        "price = {prompt = 1.0, completion = 4.0, as_of = 2026-11-26}\n"
    )
    RATES.model_copy(update={"loads": (load,)}).save(tmp_path / "listed.json")
    model = make_model(rates=None, llm_url=None, backends_file=backends)
    # $1 less 200 tokens for $4 a million leave $0.2 for a thousand prompts.
    assert Budget(max_usd_per_1000=1).prompt_limits(model) == {"max_usd_per_1000": 200}


def test_without_a_budget_nothing_need_be_known(make_model: MakeModel) -> None:
    assert Budget().prompt_limits(make_model(rates=None)) == {}


@given(usd=st.floats(0.001, 1), completion=st.integers(0, 1000))
def test_longest_prompt_for_a_sum_costs_that_sum(usd: float, completion: int) -> None:
    price = Price(1e-6, 1e-7, 4e-6, Basis.PRICE_LIST, 1e-6)
    most = price.prompt_tokens_within(usd, completion)
    if most >= 0:
        assert price.nano_usd(int(most), completion) <= usd * 1e9 + 1
        assert price.nano_usd(int(most) + 1, completion) >= usd * 1e9 - 1


def test_prompts_that_cost_nothing_have_no_longest() -> None:
    free = Price(0.0, 0.0, 1e-6, Basis.PRICE_LIST)
    assert free.prompt_tokens_within(1.0, 10) == float("inf")
    assert free.prompt_tokens_within(1e-6, 10) < 0


def halves() -> tuple[Measurements, Measurements]:
    """Settings with 10, 1, 2, ... 9 chunks of 100 tokens; each holds 9 % more of the evidence.

    In the half to measure on it is 1 % less.
    """
    ks = np.array([10, *range(1, 10)])

    def half(less: float) -> Measurements:
        tokens: Floats = np.repeat(100.0 * ks[:, None], 40, axis=1)
        coverage: Floats = np.repeat(0.09 * ks[:, None] - less, 40, axis=1)
        clusters = [str(number) for number in range(40)]
        return Measurements(coverage, coverage, tokens, tokens / 100, clusters)

    return half(0.0), half(0.01)


def test_the_best_under_a_budget_is_told_with_its_neighbours() -> None:
    search = BudgetSearch({"max_ms": 900, "max_usd_per_1000": 570}, *halves())
    price = Price(1e-6, 1e-6, 4e-6, Basis.PRICE_LIST)
    answer = search.answer(lambda number: f"s{number}", lambda number: f"{number} chunks", price)
    assert search.numbers == [5, 4, 6]
    assert (answer.binding, answer.best) == ("max_usd_per_1000", "s5")
    assert not answer.reference_keeps
    assert answer.dearer is not None
    assert answer.cheaper is not None
    assert (answer.cheaper.name, answer.dearer.name) == ("s4", "s6")
    assert answer.dearer.coverage.mean == pytest.approx(0.09)
    assert answer.dearer.usd_per_1000 == pytest.approx(100 * 1e-6 * 1000)
    assert answer.dearer.coverage_per_usd == pytest.approx(0.09 / 0.1)
    for said in (
        "570 tokens, which is what max_usd_per_1000 allows",
        "5 chunks: 0.440",  # on the half to measure on
        "6 chunks, +0.090 evidence for +100 tokens and +$0.10 per 1,000 questions (0.900 for",
        "4 chunks, -0.090 evidence for -100 tokens and -$0.10",
        "What is served now does not keep to the budget.",
    ):
        assert said in answer.statement


def test_the_next_cheaper_one_keeps_to_the_budget() -> None:
    """The second has fewer tokens on average, but now and then far more."""
    tokens = np.array([[500.0] * 40, [100.0] * 36 + [2000.0] * 4, [400.0] * 40])
    coverage = np.repeat([[0.9], [0.95], [0.8]], 40, axis=1)
    half = Measurements(coverage, coverage, tokens, tokens, [str(number) for number in range(40)])
    answer = BudgetSearch({"max_ms": 600}, half, half).answer(str, str, None)
    assert answer.best == "0"
    assert answer.cheaper is not None
    assert answer.cheaper.name == "2"


def test_ends_of_the_front_have_one_neighbour_and_without_a_price_no_dollars() -> None:
    answer = BudgetSearch({"max_ms": 5000}, *halves()).answer(str, str, None)
    assert answer.best == "0"
    assert answer.dearer is None
    assert answer.reference_keeps
    assert answer.cheaper is not None
    assert answer.cheaper.usd_per_1000 is None
    assert "$" not in answer.statement
    least = BudgetSearch({"max_ms": 100}, *halves()).answer(str, str, None)
    assert least.best == "1"
    assert least.cheaper is None


def drawn(num_questions: int, seed: int) -> Measurements:
    """Prompts of 1 to 1,000 tokens: the 95th percentile is 950."""
    tokens = np.random.default_rng(seed).integers(1, 1001, (1, num_questions)).astype(float)
    names = [str(number) for number in range(num_questions)]
    return Measurements(tokens, tokens, tokens, tokens, names)


@pytest.mark.parametrize("num_questions", [59, 200])
def test_a_budget_is_rarely_exceeded_by_what_keeps_to_it(num_questions: int) -> None:
    """One that is below the 95th percentile is taken to be kept to in at most one case in 20."""
    wrong = [
        bool(keeping({"max_ms": 949}, drawn(num_questions, seed)).size) for seed in range(1000)
    ]
    assert np.mean(wrong) <= 0.05 + 2 * (0.05 * 0.95 / 1000) ** 0.5
    # The percentile of the sample itself, which is what one would take, errs in half of them.
    naive = [np.percentile(drawn(num_questions, seed).tokens, 95) <= 949 for seed in range(1000)]
    assert np.mean(naive) > 0.3


def test_of_few_prompts_the_longest_must_keep_to_a_budget() -> None:
    tokens = np.array([[10.0] * 57 + [11.0]])
    few = Measurements(tokens, tokens, tokens, tokens, [str(number) for number in range(58)])
    assert keeping({"max_ms": 10}, few).size == 0
    assert keeping({"max_ms": 11}, few).tolist() == [0]


def test_luck_of_few_questions_is_not_the_best() -> None:
    """The second setting finds more on average, but may just have been lucky."""
    coverage = np.array([[0.80, 0.82] * 20, [0.65, 1.0] * 20])
    tokens = np.full((2, 40), 100.0)
    half = Measurements(coverage, coverage, tokens, tokens, [str(number) for number in range(40)])
    assert BudgetSearch({"max_ms": 100}, half, half).answer(str, str, None).best == "0"


def test_where_no_prompt_is_short_enough_nothing_is_best() -> None:
    answer = BudgetSearch({"max_ms": 99}, *halves()).answer(str, str, None)
    assert (answer.best, answer.cheaper, answer.dearer) == (None, None, None)
    assert "No setting has prompts that are so short." in answer.statement


@pytest.mark.filterwarnings("error")
def test_of_one_question_nothing_is_sure_and_the_cheapest_is_taken() -> None:
    coverage, tokens = np.array([[1.0], [1.0], [0.0]]), np.array([[900.0], [400.0], [300.0]])
    half = Measurements(coverage, coverage, tokens, tokens, ["a"])
    assert half.lower_bounds(coverage).tolist() == [-np.inf] * 3
    assert BudgetSearch({"max_prompt_tokens": 500}, half, half).numbers[0] == 2
