"""Computing the next results while somebody deals with the last one."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def computed_ahead(
    threads: Executor, compute: Callable[[Item], Result], items: Iterable[Item]
) -> Generator[Result, None, None]:
    """Yield the results of items in their order; two at a time are computed or wait for a thread.

    An error comes in place of its result. Closing waits for what is being computed.
    """
    coming: deque[Future[Result]] = deque()
    try:
        for item in items:
            coming.append(threads.submit(compute, item))
            if len(coming) > 1:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    finally:
        wait([future for future in coming if not future.cancel()])
