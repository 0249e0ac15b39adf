"""Calls that come at the same time are computed as one batch."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Gatherer(Generic[Item, Result]):
    """A function of one item over a function of many. Safe to call from several threads.

    Who finds nobody computing computes at once, so that a call alone waits for nothing. Who comes
    meanwhile waits, and the first of those computes for the next ones, too (leader and followers).
    """

    def __init__(self, compute: Callable[[list[Item]], Sequence[Result]], max_items: int) -> None:
        """Set up.

        Args:
            compute: returns one result for each item, in their order.
            max_items: of a batch. Others wait for the next one, while these go on.
        """
        self._compute = compute
        self._max_items = max_items
        self._waiting: list[_Call[Item, Result]] = []
        self._is_computing = False
        self._changed = Condition()

    def __call__(self, item: Item) -> Result:
        """Return the result for one item; raises what computing it alone raises."""
        call = _Call[Item, Result](item)
        with self._changed:
            self._waiting.append(call)
            self._changed.wait_for(lambda: call.is_done or self._must_lead(call))
            batch = [] if call.is_done else self._take_waiting()
        if batch:
            self._lead(batch)
        if call.results:
            return call.results[0]
        # The batch failed. Each caller tries alone, so that an error reaches whose it is.
        return self._compute([item])[0]

    def _must_lead(self, call: "_Call[Item, Result]") -> bool:
        return not self._is_computing and self._waiting[0] is call

    def _take_waiting(self) -> list["_Call[Item, Result]"]:
        batch = self._waiting[: self._max_items]
        del self._waiting[: self._max_items]
        self._is_computing = True
        return batch

    def _lead(self, batch: list["_Call[Item, Result]"]) -> None:
        try:
            with suppress(Exception):
                results = self._compute([call.item for call in batch])
                for call, result in zip(batch, results, strict=True):
                    call.results.append(result)
        finally:
            with self._changed:
                for call in batch:
                    call.is_done = True
                self._is_computing = False
                self._changed.notify_all()


class _Call(Generic[Item, Result]):
    """One caller's item, and its result when there is one."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.is_done = False
        self.results: list[Result] = []
