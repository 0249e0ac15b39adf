"""What comes faster than it is taken is taken together."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from serving.batches import in_batches


async def count(*pauses: float, fails: bool = False) -> AsyncGenerator[int, None]:
    """Yield 0, 1, 2 ..., each after its pause."""
    for number, pause in enumerate(pauses):
        if pause:
            await asyncio.sleep(pause)
        yield number
    if fails:
        raise ValueError("no more")


async def take(source: AsyncGenerator[int, None], seconds: float = 0.0) -> list[list[int]]:
    batches = []
    async with aclosing(in_batches(source)) as found:
        async for batch in found:
            batches.append(batch)
            await asyncio.sleep(seconds)
    return batches


def test_what_is_there_comes_at_once_and_the_rest_one_by_one() -> None:
    assert asyncio.run(take(count(0, 0, 0.05, 0.05))) == [[0, 1], [2], [3]]


def test_what_came_meanwhile_comes_together() -> None:
    assert asyncio.run(take(count(0, 0.05, 0, 0.05), 0.5)) == [[0], [1, 2, 3]]


def test_nothing_comes_of_nothing() -> None:
    assert asyncio.run(take(count())) == []


def test_an_error_comes_after_what_came_before_it() -> None:
    async def look() -> list[int]:
        batches = in_batches(count(0, 0, fails=True))
        first = await anext(batches)
        with pytest.raises(ValueError, match="no more"):
            await anext(batches)
        return first

    assert asyncio.run(look()) == [0, 1]


def test_who_leaves_stops_the_source() -> None:
    async def look() -> bool:
        source = count(0, 60)
        async with aclosing(in_batches(source)) as batches:
            async for _ in batches:
                break
        return len(asyncio.all_tasks()) == 1

    assert asyncio.run(look())
