"""Rates and remaining times, on a clock of the test's own."""

import io
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress, TaskID

from suffice import bars, bulk_output
from suffice.bars import PACE_SECONDS, Pace, SecondsLeftColumn, duration
from suffice.bulk import BulkProgress
from suffice.bulk_output import LINE_INTERVAL_SECONDS, BulkBars

SECONDS_PER_BATCH = 20
BATCH = 128


def batches(number: int) -> Pace:
    pace = Pace(0, 0)
    for batch in range(1, number + 1):
        pace.note(batch * BATCH, batch * SECONDS_PER_BATCH)
    return pace


def test_nothing_done_has_no_rate() -> None:
    pace = Pace(5, 0)
    pace.note(5, 100)
    assert pace.per_second(100) is None
    assert pace.seconds_left(10, 100) is None
    assert pace.show(100) == "-"


@pytest.mark.parametrize("number", [1, 2, 3, 10])
@pytest.mark.parametrize("wait", [0, SECONDS_PER_BATCH / 2, SECONDS_PER_BATCH])
def test_batches_that_take_long_have_their_rate_at_any_moment(number: int, wait: float) -> None:
    now = number * SECONDS_PER_BATCH + wait
    assert batches(number).per_second(now) == BATCH / SECONDS_PER_BATCH
    left = batches(number).seconds_left((number + 2) * BATCH, now)
    assert left == 2 * SECONDS_PER_BATCH - wait


def test_rate_is_that_of_late() -> None:
    pace = batches(10)
    begin = 10 * SECONDS_PER_BATCH
    for second in range(1, 2 * int(PACE_SECONDS)):
        pace.note(10 * BATCH + second, begin + second)
    assert pace.per_second(begin + second) == 1


def test_silence_lowers_the_rate() -> None:
    pace = batches(10)
    silence = 2 * PACE_SECONDS + SECONDS_PER_BATCH
    assert pace.per_second(10 * SECONDS_PER_BATCH + silence) == 2 * BATCH / silence


@pytest.mark.parametrize(
    ("rate", "shown"), [(37.24, "37.2"), (1.0, "1.0"), (0.0321, "0.032"), (0.5, "0.5")]
)
def test_slow_rates_keep_two_figures(rate: float, shown: str) -> None:
    pace = Pace(0, 0)
    pace.note(rate, 1)
    assert pace.show(1) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "00:00"), (59.6, "01:00"), (754, "12:34"), (3723, "1:02:03")]
)
def test_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_column_counts_what_the_task_did_itself() -> None:
    clock = Clock()
    column = SecondsLeftColumn()
    shown = Progress(column, get_time=clock, disable=True)
    task = shown.add_task("Documents", total=100)
    assert left(column, shown, task) == "--:--"
    clock.now = 10
    shown.update(task, completed=60, before=50)  # another run did half of them
    assert left(column, shown, task) == "00:40"


def left(column: SecondsLeftColumn, shown: Progress, task: TaskID) -> str:
    return column.render(next(one for one in shown.tasks if one.id == task)).plain


class Clock:
    """Stands still unless it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is printed where standard error is no terminal."""
    output = io.StringIO()
    console = Console(file=output, width=200)
    monkeypatch.setattr(bars, "error_console", console)
    monkeypatch.setattr(bulk_output, "error_console", console)
    return lambda: output.getvalue().splitlines()


def test_line_of_one_long_document_has_rate_and_time_left(lines: Any) -> None:
    """On a slow machine: two batches of ten in a minute, the document is far from final."""
    clock = Clock()
    shown = BulkBars(bars.make_bars(), clock)
    for batch in (1, 2):
        clock.now += LINE_INTERVAL_SECONDS + 1
        shown.show(BulkProgress(1, num_sent=1, num_under_way=batch / 10, num_chunks=batch * BATCH))
    assert lines() == [
        "0 of 1 document, 0.0032 documents/s, 4.1 chunks/s, about 04:39 left",
        "0 of 1 document, 0.0032 documents/s, 4.1 chunks/s, about 04:08 left",
    ]


def test_line_without_progress_says_so(lines: Any) -> None:
    clock = Clock()
    shown = BulkBars(bars.make_bars(), clock)
    clock.now = LINE_INTERVAL_SECONDS + 1
    shown.show(BulkProgress(3, num_sent=1, obstacle="Full."))
    assert lines() == ["0 of 3 documents, - documents/s, - chunks/s, waiting: Full."]
