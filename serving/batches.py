"""What comes faster than it is taken is taken together."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

T = TypeVar("T")


async def in_batches(source: AsyncIterator[T]) -> AsyncGenerator[list[T], None]:
    """Yield all that has come by now, again and again; an error comes after all else.

    A task of its own reads the source as fast as that yields. It ends with this generator, so
    close that.
    """
    come: list[T] = []
    news = asyncio.Event()

    async def read() -> None:
        async for one in source:
            come.append(one)
            news.set()

    reading = asyncio.create_task(read())
    reading.add_done_callback(lambda _: news.set())
    try:
        while come or not reading.done():
            if not come:
                await news.wait()
            news.clear()
            if come:
                batch = come[:]
                come.clear()
                yield batch
        await reading
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
