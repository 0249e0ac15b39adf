"""Results come in order, the next ones made in advance."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from ingest.ahead import computed_ahead

TIMEOUT_SECONDS = 30


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_results_come_in_the_order_of_the_items(threads: ThreadPoolExecutor, number: int) -> None:
    results = computed_ahead(threads, lambda item: 10 * item, range(number))
    assert list(results) == [10 * item for item in range(number)]


def test_two_are_computed_at_the_same_time(threads: ThreadPoolExecutor) -> None:
    both = threading.Barrier(2)
    results = computed_ahead(threads, lambda _: both.wait(TIMEOUT_SECONDS), range(2))
    assert sorted(results) == [0, 1]


def test_the_next_is_computed_while_the_last_is_dealt_with_and_no_more(
    threads: ThreadPoolExecutor,
) -> None:
    begun = [threading.Event() for _ in range(4)]
    results = computed_ahead(threads, lambda item: begun[item].set(), range(4))
    for item in range(3):
        next(results)
        assert begun[item + 1].wait(TIMEOUT_SECONDS)
        assert not any(event.is_set() for event in begun[item + 2 :])


def test_an_error_comes_in_place_of_its_result(threads: ThreadPoolExecutor) -> None:
    def inverse(item: int) -> float:
        return 1 / item

    results = computed_ahead(threads, inverse, [1, 2, 0, 4])
    assert [next(results), next(results)] == [1.0, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_closing_waits_for_what_is_being_computed(threads: ThreadPoolExecutor) -> None:
    begun, gate = threading.Event(), threading.Event()
    ended: list[int] = []

    def compute(item: int) -> int:
        if item > 0:
            begun.set()
            gate.wait(TIMEOUT_SECONDS)
        ended.append(item)
        return item

    with closing(computed_ahead(threads, compute, range(5))) as results:
        assert next(results) == 0
        assert begun.wait(TIMEOUT_SECONDS)
        threading.Timer(0.1, gate.set).start()
    assert ended == [0, 1]


def test_what_waits_for_a_thread_when_closed_is_not_computed() -> None:
    with ThreadPoolExecutor(1) as threads:
        gate = threading.Event()
        computed: list[int] = []
        results = computed_ahead(threads, computed.append, range(3))
        next(results)
        threads.submit(lambda: None).result()  # the second one is computed by now
        other = threads.submit(gate.wait, TIMEOUT_SECONDS)
        next(results)  # hands in the third, which waits behind the other
        results.close()
        gate.set()
        assert other.result()
    assert computed == [0, 1]
