"""What may be taken in a minute: never more, and never later than needed."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import InvalidRequestError, RateLimitedError
from serving.keys import Key, KeyLimits, Scope
from serving.windows import WINDOW_SECONDS, KeyWindows, Window
from tests.serving.clocks import Clock

LIMIT = 10
# Whole seconds, so that no sum is rounded.
STEPS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, LIMIT), st.integers(0, LIMIT)), max_size=60
)


def make_key(**limits: int) -> Key:
    """Return a key that may read."""
    limited = KeyLimits(**limits)
    return Key("k1", "web page", frozenset({Scope.READ}), datetime.now(UTC), limits=limited)


@given(STEPS)
def test_no_minute_has_more_than_the_limit_and_nobody_waits_too_long(
    steps: list[tuple[int, int, int]],
) -> None:
    clock = Clock()
    window = Window(LIMIT, clock)
    taken: list[tuple[float, int]] = []

    def in_the_minute_before(time: float) -> int:
        return sum(amount for at, amount in taken if time - WINDOW_SECONDS < at <= time)

    for seconds, asked, used in steps:
        clock.seconds += seconds
        wait = window.wait_seconds(asked)
        if wait:
            # One second earlier there is still no room, then there is.
            assert in_the_minute_before(clock.seconds + wait - 1) + asked > LIMIT
            clock.seconds += wait
        assert window.wait_seconds(asked) == 0
        entry = window.take(asked)
        assert in_the_minute_before(clock.seconds) + asked <= LIMIT
        window.correct(entry, min(used, asked))
        taken.append((clock.seconds, min(used, asked)))
        assert window.remaining == LIMIT - in_the_minute_before(clock.seconds)


def test_what_was_taken_comes_back_after_sixty_seconds() -> None:
    clock = Clock()
    window = Window(3, clock)
    window.take(2)
    clock.seconds = 10
    window.take(1)
    assert (window.remaining, window.reset_seconds) == (0, 60)
    assert (window.wait_seconds(1), window.wait_seconds(3)) == (50, 60)
    clock.seconds = 60
    assert (window.remaining, window.reset_seconds) == (2, 10)
    clock.seconds = 70
    assert (window.remaining, window.reset_seconds, window.wait_seconds(3)) == (3, 0, 0)


def test_correction_of_what_is_long_past_changes_nothing() -> None:
    clock = Clock()
    window = Window(10, clock)
    old = window.take(10)
    clock.seconds = 60
    window.take(4)
    window.correct(old, 1)
    assert window.remaining == 6


def test_more_than_was_estimated_counts_too() -> None:
    clock = Clock()
    window = Window(10, clock)
    window.correct(window.take(2), 15)
    assert window.remaining == 0
    assert window.wait_seconds(1) == 60


def test_headers_are_those_of_openai() -> None:
    clock = Clock()
    windows = KeyWindows(make_key(requests_per_minute=3, tokens_per_minute=100), clock)
    windows.take(30)
    clock.seconds = 0.5
    assert windows.headers == {
        "x-ratelimit-limit-requests": "3",
        "x-ratelimit-remaining-requests": "2",
        "x-ratelimit-reset-requests": "59.500s",
        "x-ratelimit-limit-tokens": "100",
        "x-ratelimit-remaining-tokens": "70",
        "x-ratelimit-reset-tokens": "59.500s",
    }


def test_key_without_limits() -> None:
    windows = KeyWindows(make_key())
    windows.check(10**9)
    windows.take(10**9).settle(5)
    assert windows.headers == {}


def test_refusal_says_which_limit_and_when_to_come_again() -> None:
    clock = Clock()
    windows = KeyWindows(make_key(requests_per_minute=2, tokens_per_minute=100), clock)
    windows.take(60)
    with pytest.raises(RateLimitedError, match=r"'web page' may have 100 tokens .* in 60 s") as it:
        windows.check(41)
    assert it.value.retry_after_seconds == 60
    windows.check(40)
    clock.seconds = 12.5
    windows.take(40)
    with pytest.raises(RateLimitedError, match=r"2 requests a minute\. Ask again in 48 s") as it:
        windows.check(1)
    assert it.value.retry_after_seconds == 47.5


def test_search_takes_no_tokens_and_asks_for_none() -> None:
    windows = KeyWindows(make_key(tokens_per_minute=100))
    windows.take(100).settle(150)
    windows.check(0)
    windows.take(0)


def test_question_that_can_never_be_answered() -> None:
    windows = KeyWindows(make_key(tokens_per_minute=100))
    with pytest.raises(InvalidRequestError, match=r"take 101 tokens, .* has 100 a minute\. Lower"):
        windows.check(101)


def test_an_answer_takes_more_while_there_is_room_and_is_settled_as_one() -> None:
    clock = Clock()
    windows = KeyWindows(make_key(requests_per_minute=3, tokens_per_minute=100), clock)
    taken = windows.take(40)
    taken.raise_to(30)  # it has as much
    clock.seconds = 30
    taken.raise_to(90)
    with pytest.raises(RateLimitedError, match="Ask again in 30 s"):
        taken.raise_to(101)
    assert windows.headers["x-ratelimit-remaining-tokens"] == "10"
    assert windows.headers["x-ratelimit-remaining-requests"] == "2"
    taken.settle(60)
    assert windows.headers["x-ratelimit-remaining-tokens"] == "40"
    clock.seconds = 60  # the first 40 are forgotten, the 20 after them not
    assert windows.headers["x-ratelimit-remaining-tokens"] == "80"
