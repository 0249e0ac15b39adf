"""Computing the next result while somebody deals with the last one."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def computed_ahead(
    compute: Callable[[Item], Result], items: Iterable[Item]
) -> Generator[Result, None, None]:
    """Yield the results of items in their order, while the next one is computed in a thread.

    An error comes in place of its result. Closing waits for what is being computed.
    """
    with ThreadPoolExecutor(1) as thread:
        coming: list[Future[Result]] = []
        for item in items:
            coming.append(thread.submit(compute, item))
            if len(coming) > 1:
                yield coming.pop(0).result()
        for last in coming:
            yield last.result()
