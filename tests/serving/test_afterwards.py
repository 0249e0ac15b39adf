"""What is done after answers: in order, whatever fails, and not without bound."""

import logging
from functools import partial
from threading import Event

import pytest

from serving.afterwards import Afterwards


def test_all_is_done_in_order_though_something_fails(caplog: pytest.LogCaptureFixture) -> None:
    afterwards = Afterwards()
    done: list[int] = []

    def fail() -> None:
        raise ValueError("no such thing")

    with caplog.at_level(logging.ERROR):
        for work in (lambda: done.append(1), fail, lambda: done.append(2)):
            afterwards.do(work)
        afterwards.close()
    assert done == [1, 2]
    assert "not done after an answer" in caplog.text
    assert "no such thing" in caplog.text


def test_too_much_is_left_undone(caplog: pytest.LogCaptureFixture) -> None:
    afterwards, gate = Afterwards(max_waiting=2), Event()
    done: list[int] = []
    afterwards.do(gate.wait)
    for number in range(3):
        afterwards.do(partial(done.append, number))
    gate.set()
    afterwards.wait()
    assert done == [0]
    assert "too much to do" in caplog.text
    afterwards.do(lambda: done.append(3))
    afterwards.close()
    assert done == [0, 3]
