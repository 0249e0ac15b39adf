"""Calls from several threads, gathered into batches."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from threading import Event

import pytest

from retrieval.gathering import Gatherer


class Halves:
    """Halves even numbers and refuses odd ones; holds the first batch until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.reached, self.gate = Event(), Event()

    def __call__(self, numbers: list[int]) -> Sequence[int]:
        self.batches.append(numbers)
        self.reached.set()
        assert self.gate.wait(timeout=30)
        if odd := [number for number in numbers if number % 2]:
            raise ValueError(f"odd: {odd}")
        return [number // 2 for number in numbers]


def test_a_call_alone_is_a_batch_of_its_own() -> None:
    halves = Halves()
    halves.gate.set()
    half = Gatherer(halves, 8)
    assert [half(2), half(4)] == [1, 2]
    assert halves.batches == [[2], [4]]


def gather(halves: Halves, numbers: Sequence[int], max_items: int = 8) -> list[int | str]:
    """Call with the first number, and with the others while it is computed."""
    half = Gatherer(halves, max_items)

    def outcome(number: int) -> int | str:
        try:
            return half(number)
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor(len(numbers)) as threads:
        first = threads.submit(outcome, numbers[0])
        assert halves.reached.wait(timeout=120)
        others = [threads.submit(outcome, number) for number in numbers[1:]]
        while len(half._waiting) < len(others):
            pass
        halves.gate.set()
        return [future.result(timeout=30) for future in (first, *others)]


def test_calls_that_come_meanwhile_are_one_batch() -> None:
    halves = Halves()
    numbers = range(0, 16, 2)
    assert gather(halves, numbers) == [number // 2 for number in numbers]
    first, second = halves.batches
    assert first == [0]
    assert sorted(second) == list(numbers[1:])


def test_a_batch_has_at_most_so_many_calls_and_the_next_one_the_others() -> None:
    halves = Halves()
    numbers = range(0, 18, 2)
    assert gather(halves, numbers, max_items=3) == [number // 2 for number in numbers]
    assert [len(batch) for batch in halves.batches] == [1, 3, 3, 2]
    assert sorted(chain(*halves.batches)) == list(numbers)


def test_an_error_reaches_only_whose_it_is() -> None:
    assert gather(Halves(), [0, 2, 3, 4, 5]) == [0, 1, "odd: [3]", 2, "odd: [5]"]


def test_the_first_of_all_may_fail() -> None:
    assert gather(Halves(), [1, 2]) == ["odd: [1]", 1]


def test_it_works_on_after_an_error() -> None:
    halves = Halves()
    halves.gate.set()
    half = Gatherer(halves, 8)
    with pytest.raises(ValueError, match="odd"):
        half(1)
    assert half(2) == 1


def test_many_threads_get_each_their_own_result() -> None:
    half = Gatherer[int, float](lambda numbers: [number / 2 for number in numbers], 3)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(half, range(2000))) == [number / 2 for number in range(2000)]
