"""Results come in order, one of them made in advance."""

import threading
from contextlib import closing

import pytest

from ingest.ahead import computed_ahead

TIMEOUT_SECONDS = 30


@pytest.mark.parametrize("number", [0, 1, 2, 5])
def test_results_come_in_the_order_of_the_items(number: int) -> None:
    results = computed_ahead(lambda item: 10 * item, range(number))
    assert list(results) == [10 * item for item in range(number)]


def test_the_next_is_computed_while_the_last_is_dealt_with_and_no_more() -> None:
    begun = [threading.Event() for _ in range(4)]
    results = computed_ahead(lambda item: begun[item].set(), range(4))
    for item in range(3):
        next(results)
        assert begun[item + 1].wait(TIMEOUT_SECONDS)
        assert not any(event.is_set() for event in begun[item + 2 :])


def test_an_error_comes_in_place_of_its_result() -> None:
    def inverse(item: int) -> float:
        return 1 / item

    results = computed_ahead(inverse, [1, 2, 0, 4])
    assert [next(results), next(results)] == [1.0, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_closing_waits_for_what_is_being_computed() -> None:
    gate = threading.Event()
    ended: list[int] = []

    def compute(item: int) -> int:
        if item > 0:
            threading.Timer(0.1, gate.set).start()
            gate.wait(TIMEOUT_SECONDS)
        ended.append(item)
        return item

    with closing(computed_ahead(compute, range(5))) as results:
        assert next(results) == 0
    assert ended == [0, 1]
