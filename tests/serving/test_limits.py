"""Admission of questions: minutes, budgets and permits together."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.database import Database
from serving.access import Caller
from serving.budgets import Budgets
from serving.errors import BudgetSpentError, PermissionDeniedError, RateLimitedError
from serving.keys import Key
from serving.limits import Limiter
from serving.permits import Permits
from serving.usage import Entry, UsageLedger
from tests.serving.clocks import Clock
from tests.serving.test_windows import make_key


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(database: Database, clock: Clock) -> UsageLedger:
    return UsageLedger(database, clock.now)


@pytest.fixture
def limiter(ledger: UsageLedger, clock: Clock) -> Limiter:
    return make_limiter(ledger, clock)


def make_limiter(ledger: UsageLedger, clock: Clock) -> Limiter:
    answers, searches = (Permits(100, 0, 0, clock) for _ in range(2))
    return Limiter(Budgets(ledger, clock.now), answers, searches, clock)


async def answer(
    limiter: Limiter, ledger: UsageLedger, key: Key, most: int, used: int, nano_usd: int = 0
) -> None:
    """Answer one question; what it took is a little below what was expected."""
    async with limiter.admit(Caller(key), most, most * nano_usd) as permit:
        await asyncio.sleep(0)
        entry = Entry(key.id, "default", "model", completion_tokens=used, nano_usd=used * nano_usd)
        ledger.count(entry)
        await asyncio.to_thread(ledger.write)
        permit.settle(used)


def refusal(action: Callable[[], Awaitable[None]]) -> RateLimitedError:
    async def go() -> RateLimitedError:
        with pytest.raises(RateLimitedError) as caught:
            await action()
        return caught.value

    return asyncio.run(go())


def test_tokens_of_a_minute_are_set_aside_and_settled(
    limiter: Limiter, ledger: UsageLedger
) -> None:
    key = make_key(tokens_per_minute=100)

    async def go() -> None:
        async with limiter.admit(Caller(key), 60) as permit:
            assert permit.headers["x-ratelimit-remaining-tokens"] == "40"
            with pytest.raises(RateLimitedError, match="100 tokens a minute"):
                await answer(limiter, ledger, key, 60, 10)
            permit.settle(30)
        await answer(limiter, ledger, key, 70, 70)

    asyncio.run(go())


def test_refused_question_takes_nothing(limiter: Limiter, ledger: UsageLedger) -> None:
    key = make_key(requests_per_minute=2, tokens_per_minute=100, max_concurrent=1)

    async def go() -> None:
        async with limiter.admit(Caller(key), 10):
            for _ in range(5):
                with pytest.raises(RateLimitedError, match="1 requests under way"):
                    await answer(limiter, ledger, key, 10, 10)
        await answer(limiter, ledger, key, 90, 90)

    asyncio.run(go())


def test_minute_is_looked_at_again_after_a_wait(ledger: UsageLedger, clock: Clock) -> None:
    permits = Permits(1, 5, 1000, clock)
    limiter = Limiter(Budgets(ledger, clock.now), permits, permits, clock)
    key = make_key(requests_per_minute=1)

    async def go() -> list[BaseException | None]:
        async with limiter.admit(Caller(replace(make_key(), id="other")), 1):
            asking = (answer(limiter, ledger, key, 1, 1) for _ in range(2))
            waiting = asyncio.gather(*asking, return_exceptions=True)
            await asyncio.sleep(0.01)
        return await waiting

    first, second = asyncio.run(go())
    assert first is None
    assert isinstance(second, RateLimitedError)
    assert "1 requests a minute" in str(second)


def test_answer_that_fails_gives_its_permit_back(limiter: Limiter, ledger: UsageLedger) -> None:
    key = make_key(max_concurrent=1, tokens_per_day=100)

    async def go() -> None:
        with pytest.raises(ZeroDivisionError):
            async with limiter.admit(Caller(key), 100):
                raise ZeroDivisionError
        await answer(limiter, ledger, key, 100, 100)

    asyncio.run(go())


def test_search_counts_as_a_request(limiter: Limiter, ledger: UsageLedger) -> None:
    key = make_key(requests_per_minute=2, tokens_per_minute=1)

    async def search() -> None:
        async with limiter.admit_search(Caller(key)):
            pass

    async def go() -> None:
        await search()
        await answer(limiter, ledger, key, 1, 1)
        with pytest.raises(RateLimitedError, match="2 requests a minute"):
            await search()

    asyncio.run(go())


def test_budget_of_tokens_until_midnight(
    limiter: Limiter, ledger: UsageLedger, clock: Clock
) -> None:
    key = make_key(tokens_per_day=1000)
    asyncio.run(answer(limiter, ledger, key, 900, 800))
    error = refusal(lambda: answer(limiter, ledger, key, 201, 1))
    assert isinstance(error, BudgetSpentError)
    assert str(error) == (
        "The key 'web page' may spend 1,000 tokens a day: 800 tokens are spent, 0 tokens set aside "
        "for answers under way, and this one may take 201 tokens. The budget is whole again at "
        "midnight UTC (2026-11-27T00:00Z)."
    )
    assert error.retry_after_seconds == 4 * 3600  # it is 20:00
    asyncio.run(answer(limiter, ledger, key, 200, 200))
    clock.seconds = error.retry_after_seconds
    asyncio.run(answer(limiter, ledger, key, 1000, 1000))


def test_budget_of_dollars(limiter: Limiter, ledger: UsageLedger) -> None:
    key = make_key(nano_usd_per_day=500_000_000)
    asyncio.run(answer(limiter, ledger, key, 3, 3, nano_usd=125_000_000))
    error = refusal(lambda: answer(limiter, ledger, key, 2, 1, nano_usd=125_000_000))
    assert "may spend 0.5 USD a day: 0.375 USD are spent, 0 USD set aside" in str(error)
    asyncio.run(answer(limiter, ledger, key, 1, 1, nano_usd=125_000_000))
    asyncio.run(answer(limiter, ledger, key, 10**9, 0))  # costs nothing


def test_an_answer_under_way_takes_more_while_the_budget_has_it(
    limiter: Limiter, ledger: UsageLedger
) -> None:
    key = make_key(tokens_per_day=1000, nano_usd_per_day=1_000_000_000)

    async def go() -> None:
        async with limiter.admit(Caller(key), 600, 0) as permit:
            permit.allow(500, 0)
            permit.allow(1000, 900_000_000)
            with pytest.raises(BudgetSpentError, match="this one may take 1 tokens"):
                permit.allow(1001, 0)
            with pytest.raises(BudgetSpentError, match=r"this one may take 0\.2 USD"):
                permit.allow(1000, 1_100_000_000)
            with pytest.raises(BudgetSpentError, match="1,000 tokens set aside"):
                await answer(limiter, ledger, key, 1, 1)
        await answer(limiter, ledger, key, 1000, 1)

    asyncio.run(go())
    assert limiter._budgets._reserved == {}


def test_no_price_no_answer_for_a_budget_of_dollars(limiter: Limiter, ledger: UsageLedger) -> None:
    async def go() -> None:
        async with limiter.admit(Caller(make_key(tokens_per_day=10)), 1, None) as permit:
            permit.allow(2, None)
        key = make_key(nano_usd_per_day=1)
        with pytest.raises(PermissionDeniedError, match="the model has no price"):
            await limiter.admit(Caller(key), 1, None).__aenter__()
        async with limiter.admit(Caller(key), 1, 0) as permit:
            with pytest.raises(PermissionDeniedError, match="the model has no price"):
                permit.allow(1, None)

    asyncio.run(go())


def test_refusal_because_of_answers_under_way_says_to_come_again_soon(
    limiter: Limiter, ledger: UsageLedger
) -> None:
    key = make_key(tokens_per_day=1000)

    async def go() -> None:
        async with limiter.admit(Caller(key), 600):
            await answer(limiter, ledger, key, 600, 1)

    error = refusal(go)
    assert "0 tokens are spent, 600 tokens set aside" in str(error)
    assert error.retry_after_seconds == 5


def test_budget_is_remembered_by_the_next_service(
    database: Database, ledger: UsageLedger, limiter: Limiter, clock: Clock
) -> None:
    key = make_key(tokens_per_day=1000)
    asyncio.run(answer(limiter, ledger, key, 900, 900))
    restarted = UsageLedger(database, clock.now)
    again = make_limiter(restarted, clock)
    error = refusal(lambda: answer(again, restarted, key, 101, 1))
    assert "900 tokens are spent" in str(error)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    budget=st.integers(1, 500),
    asked=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=12),
)
def test_parallel_questions_spend_no_more_than_the_budget(
    database: Database, budget: int, asked: list[tuple[int, int]]
) -> None:
    clock = Clock()
    ledger = UsageLedger(database, clock.now)
    limiter = make_limiter(ledger, clock)
    key = replace(make_key(tokens_per_day=budget), id=f"k{next(numbers)}")

    async def go() -> None:
        asking = (answer(limiter, ledger, key, max(pair), min(pair)) for pair in asked)
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} <= {type(None), BudgetSpentError}

    asyncio.run(go())
    assert ledger.spent_today(key.id).num_tokens <= budget
    assert UsageLedger(database, clock.now).spent_today(key.id) == ledger.spent_today(key.id)
    assert limiter._budgets._reserved == {}


numbers = iter(range(10**6))
