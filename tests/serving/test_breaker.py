"""The circuit breaker, on a clock of its own."""

from collections.abc import Callable

from serving.breaker import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, CircuitBreaker


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Callable[[], float]) -> CircuitBreaker:
    breaker = CircuitBreaker(num_failures=3, clock=clock)
    for _ in range(3):
        breaker.failed()
    return breaker


def test_failures_in_a_row_open_it() -> None:
    breaker = CircuitBreaker(num_failures=3, clock=Clock())
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert breaker.seconds_to_wait() == 0
    for _ in range(3):
        breaker.failed()
    assert breaker.seconds_to_wait() == FIRST_PAUSE_SECONDS


def test_after_the_pause_one_may_try_and_the_others_wait() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += FIRST_PAUSE_SECONDS
    assert breaker.seconds_to_wait() == 0
    assert breaker.seconds_to_wait() > 0
    breaker.succeeded()
    assert [breaker.seconds_to_wait() for _ in range(3)] == [0, 0, 0]


def test_each_try_that_fails_doubles_the_pause() -> None:
    clock = Clock()
    breaker = opened(clock)
    pauses = []
    for _ in range(8):
        pauses.append(breaker.seconds_to_wait())
        clock.now += pauses[-1]
        assert breaker.seconds_to_wait() == 0
        breaker.failed()
    assert pauses[:3] == [FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS, 4 * FIRST_PAUSE_SECONDS]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


def test_calls_that_fail_late_do_not_make_the_pause_longer() -> None:
    breaker = opened(Clock())
    for _ in range(50):  # sixty-four streams die with their server
        breaker.failed()
    assert breaker.seconds_to_wait() == FIRST_PAUSE_SECONDS


def test_a_try_of_which_nothing_is_heard_does_not_block_for_ever() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += FIRST_PAUSE_SECONDS
    assert breaker.seconds_to_wait() == 0  # its caller hangs up
    clock.now += FIRST_PAUSE_SECONDS
    assert breaker.seconds_to_wait() == 0
