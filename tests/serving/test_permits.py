"""Permits: never too many at a time, nobody waits while there is room, nobody waits in vain."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import RateLimitedError
from serving.keys import Key
from serving.permits import Permits
from tests.serving.clocks import Clock
from tests.serving.test_windows import make_key

FREE = make_key()
NARROW = replace(make_key(max_concurrent=1), id="k2", name="narrow")
WIDE = replace(make_key(max_concurrent=2), id="k3")
KEYS = [FREE, NARROW, WIDE]
MAX_RUNNING, MAX_WAITING = 3, 2


class Visitors:
    """Requests that ask for permits, and hold them until they are told to leave."""

    def __init__(self, permits: Permits) -> None:
        self._permits = permits
        self._tasks: list[tuple[Key, asyncio.Task[None], asyncio.Event]] = []
        self.running: list[Key] = []
        self.refusals: list[RateLimitedError] = []

    @property
    def waiting(self) -> list[Key]:
        rest = Counter(key.id for key, task, _ in self._tasks if not task.done())
        rest.subtract(key.id for key in self.running)
        by_id = {key.id: key for key in KEYS}
        return [by_id[key_id] for key_id in rest.elements()]

    async def ask(self, key: Key) -> None:
        leaves = asyncio.Event()

        async def visit() -> None:
            try:
                async with self._permits.hold(key):
                    self.running.append(key)
                    try:
                        await leaves.wait()
                    finally:
                        self.running.remove(key)
            except RateLimitedError as error:
                self.refusals.append(error)

        self._tasks.append((key, asyncio.create_task(visit()), leaves))
        await settle()

    async def leave(self, number: int) -> None:
        """Let one end; if it waits, it leaves as soon as it runs."""
        if self._tasks:
            self._tasks[number % len(self._tasks)][2].set()
            await settle()

    async def give_up(self, number: int) -> None:
        """Let one hang up."""
        if self._tasks:
            self._tasks[number % len(self._tasks)][1].cancel()
            await settle()

    async def leave_while_one_gives_up(self, leaving: int, giving_up: int, num_steps: int) -> None:
        """Let one end, and another one hang up some steps of the event loop later."""
        if self._tasks:
            self._tasks[leaving % len(self._tasks)][2].set()
            for _ in range(num_steps):
                await asyncio.sleep(0)
            await self.give_up(giving_up)

    async def end(self) -> None:
        for _, task, leaves in self._tasks:
            leaves.set()
            await settle()
            task.cancel()
        tasks = (task for _, task, _ in self._tasks)
        endings = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(ending) for ending in endings} <= {type(None), asyncio.CancelledError}


async def settle() -> None:
    """Let all tasks go on as far as they can."""
    for _ in range(12):
        await asyncio.sleep(0)


def run(scene: Callable[[Visitors], Coroutine[Any, Any, None]], permits: Permits) -> Visitors:
    async def play() -> Visitors:
        visitors = Visitors(permits)
        await scene(visitors)
        await visitors.end()
        return visitors

    return asyncio.run(play())


NUMBERS = st.integers(0, 30)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just(Visitors.ask), st.sampled_from(KEYS)),
        st.tuples(st.just(Visitors.leave), NUMBERS),
        st.tuples(st.just(Visitors.give_up), NUMBERS),
        st.tuples(st.just(Visitors.leave_while_one_gives_up), NUMBERS, NUMBERS, st.integers(0, 3)),
    ),
    max_size=40,
)


def check(visitors: Visitors) -> None:
    running = Counter(key.id for key in visitors.running)
    assert running.total() <= MAX_RUNNING
    assert running["k2"] <= 1
    assert running["k3"] <= 2
    assert len(visitors.waiting) <= MAX_WAITING
    for key in visitors.waiting:
        is_full = running.total() == MAX_RUNNING
        assert is_full or running[key.id] == key.limits.max_concurrent


@given(STEPS)
def test_never_too_many_and_nobody_waits_while_there_is_room(steps: list[tuple[Any, ...]]) -> None:
    permits = Permits(MAX_RUNNING, MAX_WAITING, 1000, Clock())

    async def scene(visitors: Visitors) -> None:
        for step, *arguments in steps:
            had_anybody, num_refused = visitors.running != [], len(visitors.refusals)
            await step(visitors, *arguments)
            check(visitors)
            assert had_anybody or len(visitors.refusals) == num_refused

    run(scene, permits)

    async def nothing_is_lost(visitors: Visitors) -> None:
        for _ in range(MAX_RUNNING):
            await visitors.ask(FREE)
        assert len(visitors.running) == MAX_RUNNING

    assert run(nothing_is_lost, permits).refusals == []


def test_first_come_first_served() -> None:
    async def scene(visitors: Visitors) -> None:
        for key in (FREE, NARROW, WIDE):
            await visitors.ask(key)
        await visitors.leave(0)
        assert visitors.running == [NARROW]
        await visitors.leave(1)
        assert visitors.running == [WIDE]

    run(scene, Permits(1, 2, 1000))


def test_nobody_waits_for_a_key_that_is_at_its_own_limit() -> None:
    async def scene(visitors: Visitors) -> None:
        await visitors.ask(NARROW)
        await visitors.ask(NARROW)
        assert visitors.waiting == [NARROW]
        await visitors.ask(FREE)
        assert visitors.running == [NARROW, FREE]

    run(scene, Permits(2, 2, 1000))


def test_nobody_waits_behind_a_key_that_is_at_its_own_limit() -> None:
    async def scene(visitors: Visitors) -> None:
        for key in (NARROW, FREE, NARROW, FREE):
            await visitors.ask(key)
        assert visitors.waiting == [NARROW, FREE]
        await visitors.leave(1)
        assert (visitors.running, visitors.waiting) == ([NARROW, FREE], [NARROW])

    run(scene, Permits(2, 2, 1000))


@pytest.mark.parametrize("num_steps", range(4))
def test_permit_of_one_who_gives_up_in_that_moment_goes_to_the_next(num_steps: int) -> None:
    async def scene(visitors: Visitors) -> None:
        for key in (FREE, NARROW, WIDE):
            await visitors.ask(key)
        await visitors.leave_while_one_gives_up(0, 1, num_steps)
        assert (visitors.running, visitors.waiting) == ([WIDE], [])

    run(scene, Permits(1, 2, 1000))


def test_a_key_cannot_fill_the_waiting_room() -> None:
    async def scene(visitors: Visitors) -> None:
        for _ in range(5):
            await visitors.ask(NARROW)
        assert (visitors.running, visitors.waiting) == ([NARROW], [NARROW])
        assert len(visitors.refusals) == 3
        assert str(visitors.refusals[0]) == (
            "The key 'narrow' may have 1 requests under way at a time. Ask again in 1 s."
        )

    run(scene, Permits(2, 100, 1000))


def test_full_waiting_room_refuses_at_once() -> None:
    async def scene(visitors: Visitors) -> None:
        for _ in range(4):
            await visitors.ask(FREE)
        assert (len(visitors.running), len(visitors.waiting)) == (2, 1)
        [refusal] = visitors.refusals
        assert str(refusal).startswith("The service has 2 requests under way, and no room for more")

    run(scene, Permits(2, 1, 1000))


def test_wait_ends_when_its_time_is_up() -> None:
    async def scene(visitors: Visitors) -> None:
        await visitors.ask(FREE)
        await visitors.ask(FREE)
        assert len(visitors.waiting) == 1
        await asyncio.sleep(0.02)
        assert (len(visitors.waiting), len(visitors.refusals)) == (0, 1)

    run(scene, Permits(1, 1, 0.01))


def test_whoever_would_wait_too_long_is_told_at_once_how_long() -> None:
    clock = Clock()

    async def scene(visitors: Visitors) -> None:
        await visitors.ask(FREE)
        clock.seconds = 12.0  # how long the first one takes
        await visitors.leave(0)
        for _ in range(2):
            await visitors.ask(FREE)
        await visitors.ask(FREE)  # two run: the next one leaves in 6 s
        assert (len(visitors.waiting), visitors.refusals) == (1, [])
        await visitors.ask(FREE)  # behind that, another 6 s
        [refusal] = visitors.refusals
        assert refusal.retry_after_seconds == 12
        assert str(refusal).endswith("Ask again in 12 s.")

    run(scene, Permits(2, 10, 10.0, clock))
