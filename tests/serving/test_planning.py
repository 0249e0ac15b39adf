"""Plans: what was asked for if it fits, less if not, and never more than the budget."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import BudgetTooSmallError, PromptTooLongError
from serving.generation import Delta, Finish, Task, Thinking, TokenCounter
from serving.money import NANO_PER_USD
from serving.planning import SHORT_ANSWER_TOKENS, Budget, Needs, Plan, make_plan
from serving.pricing import Load, Price, PriceList, Rates, Speed
from serving.profiles import Verification
from serving.served_tokens import ServedTokenCounter

TODAY = date(2026, 11, 26)
COUNTER = ServedTokenCounter("http://127.0.0.1:9/v1", "never asked", None)


@dataclass
class Writer:
    """A generator that is only planned with."""

    name: str
    price: Price | None = None
    rates: Rates | None = None
    counter: TokenCounter | None = COUNTER
    can_think: bool = True
    uses_tags: bool = True
    max_answer_tokens: int | None = None

    async def model_name(self) -> str:
        return self.name

    async def check(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def generate(self, task: Task) -> AsyncGenerator[Delta | Finish, None]:
        raise AssertionError(task)
        yield


def priced(name: str, prompt: float, completion: float) -> Writer:
    """A generator with prices in dollars for a million tokens."""
    return Writer(name, Price.of_list(PriceList(prompt=prompt, completion=completion, as_of=TODAY)))


STRONG = priced("strong", 10.0, 40.0)
FAST = priced("fast", 1.0, 4.0)
SPEED = Speed(
    prefill_tokens_per_second=1000, cached_tokens_per_second=10_000, decode_tokens_per_second=100
)
QUICK = Writer(
    "quick",
    rates=Rates(
        model="quick", measured_on=TODAY, loads=(Load(concurrency=5, latency=SPEED, work=SPEED),)
    ),
)
# Everything that can be asked for.
WISH = Plan(STRONG, Thinking(is_on=True, max_tokens=1000), 4, Verification.MARK, 1000)
PLAIN = Plan(STRONG, None, 1, Verification.OFF, 1000)


def needs(fixed: int = 300, context: int = 2000, window: int | None = None, **more: Any) -> Needs:
    names = ("strong", "fast", "quick")
    return replace(
        Needs(dict.fromkeys(names, window), dict.fromkeys(names, fixed), context), **more
    )


def test_what_fits_is_not_touched() -> None:
    assert make_plan(WISH, [FAST], needs(), Budget()) == WISH


def test_the_window_bounds_context_and_prompt() -> None:
    plan = make_plan(PLAIN, [], needs(window=4096, has_fixed_answer=True), Budget())
    # 4096 - 1000 for the answer - 300 fixed - 8 spare
    assert (plan.context_tokens, plan.prompt_tokens) == (2788, 3096)
    assert plan.given_up == ()


def test_a_small_window_shortens_an_answer_that_nobody_asked_to_be_so_long() -> None:
    assert make_plan(PLAIN, [], needs(context=500, window=2048), Budget()).answer_tokens == 512
    asked = needs(context=500, window=2048, has_fixed_answer=True)
    assert make_plan(PLAIN, [], asked, Budget()).answer_tokens == 1000


def test_what_fills_the_window_is_refused_in_numbers() -> None:
    with pytest.raises(PromptTooLongError, match=r"2,008 tokens.*256.*window.*2,048"):
        make_plan(PLAIN, [], needs(fixed=2000, window=2048), Budget())


def test_things_are_given_up_one_after_the_other() -> None:
    # 4 samples of 2,000 tokens cost 0.32 $, one 0.08 $, without thinking 0.04 $, of 256 tokens
    # 0.01024 $; the prompt 0.02308 $. The fast one costs a tenth.
    given_up = [
        make_plan(WISH, [FAST], needs(), Budget(max_cost_usd=usd)).given_up
        for usd in (0.35, 0.11, 0.07, 0.04, 0.004)
    ]
    everything = ("samples", "thinking", "answer_tokens", "model")
    assert given_up == [everything[:n] for n in range(5)]


def test_a_model_that_cannot_think_is_not_told_not_to() -> None:
    plain = replace(FAST, name="plain", can_think=False)
    needs = Needs(window={"strong": 9000, "plain": 9000}, fixed_tokens={"strong": 9, "plain": 9})
    plan = make_plan(WISH, [plain], needs, Budget(max_cost_usd=0.002))
    assert (plan.generator, plan.thinking) == (plain, None)
    assert plan.given_up == ("samples", "thinking", "answer_tokens", "model")


def test_context_is_given_up_last_and_only_as_much_as_it_must() -> None:
    plan = make_plan(PLAIN, [], needs(), Budget(max_prompt_tokens=1000))
    assert plan.given_up == ("context",)
    assert (plan.context_tokens, plan.prompt_tokens) == (1000 - 308, 1000)
    assert plan.answer_tokens == 1000  # which a shorter answer would not have changed


def test_a_shorter_answer_leaves_time_to_read_more() -> None:
    slow = Plan(QUICK, None, 1, Verification.OFF, 1000)
    # 1,000 tokens take 10 s to write, 256 take 2.56 s; 2,308 take 2.3 s to read
    assert make_plan(slow, [], needs(), Budget(max_latency_ms=13_000)) == replace(
        slow, context_tokens=2692, prompt_tokens=3000
    )
    plan = make_plan(slow, [], needs(), Budget(max_latency_ms=5000))
    assert (plan.answer_tokens, plan.given_up) == (SHORT_ANSWER_TOKENS, ("answer_tokens",))


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        (Budget(max_prompt_tokens=200), r"max_prompt_tokens is 200, an answer needs 372"),
        (Budget(max_cost_usd=1e-6), r"max_cost_usd is 1e-06, an answer may cost 0\.001396"),
        (Budget(max_steps=1), r"max_steps is 1, the answer is step 2"),
    ],
)
def test_what_fits_in_no_way_is_refused_in_numbers(budget: Budget, says: str) -> None:
    with pytest.raises(BudgetTooSmallError, match=says):
        make_plan(PLAIN, [FAST], needs(spent_steps=1 if budget.max_steps else 0), budget)


def test_each_of_several_answers_is_paid_for() -> None:
    # One of 1,000 tokens costs 0.04 $, four 0.16 $; the prompt 0.02308 $.
    four = replace(PLAIN, num_choices=4)
    asked = needs(has_fixed_answer=True)
    assert make_plan(four, [], asked, Budget(max_cost_usd=0.2)).given_up == ()
    with pytest.raises(BudgetTooSmallError, match=r"may cost 0\.1637"):
        make_plan(four, [], asked, Budget(max_cost_usd=0.1))


def test_no_price_no_limit_on_the_cost() -> None:
    with pytest.raises(BudgetTooSmallError, match=r"'quick' has none.*cost calibrate"):
        make_plan(replace(PLAIN, generator=QUICK), [], needs(), Budget(max_cost_usd=1.0))


def test_what_costs_nothing_fits_every_budget() -> None:
    extractive = Writer("strong", counter=None)
    plan = make_plan(replace(PLAIN, generator=extractive), [], needs(), Budget(max_cost_usd=1e-9))
    assert plan.context_tokens is None


@given(
    st.integers(1, 20_000),
    st.integers(0, 20_000),
    st.one_of(st.none(), st.integers(1, 20_000)),
    st.one_of(st.none(), st.floats(1e-6, 1.0)),
    st.one_of(st.none(), st.integers(100, 20_000)),
)
def test_every_plan_holds(
    fixed: int, context: int, max_prompt: int | None, max_usd: float | None, window: int | None
) -> None:
    budget = Budget(max_prompt_tokens=max_prompt, max_cost_usd=max_usd)
    try:
        plan = make_plan(WISH, [FAST], needs(fixed, context, window), budget)
    except (BudgetTooSmallError, PromptTooLongError):
        return
    prompt = fixed + context if plan.prompt_tokens is None else min(plan.prompt_tokens, 10**9)
    if max_prompt is not None:
        assert plan.prompt_tokens is not None
        assert plan.prompt_tokens <= max_prompt
    if window is not None:
        assert prompt + plan.answer_room <= window
    if max_usd is not None:
        assert plan.generator.price is not None
        nano = plan.generator.price.nano_usd(prompt, plan.completion_tokens)
        assert nano <= max_usd * NANO_PER_USD + 1
