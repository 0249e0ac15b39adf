"""Alarms: what moves is noticed once, is about one profile, and is known to every process."""

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from ingest.database import Database
from serving.alarms import Alarm, Alarms, Stream
from serving.drift import Direction

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
# One of five, for 40 values.
STEADY = [1.0, 1.0, 1.0, 1.0, 0.0] * 8


@pytest.fixture
def alarms(database: Database) -> Alarms:
    return Alarms(database, lambda: NOON, num_first=20, run_length=50)


def observe(alarms: Alarms, stream: Stream, values: Iterable[float], profile: str = "p") -> None:
    for value in values:
        alarms.observe("laws", profile, {stream: value})


def test_what_does_not_move_raises_no_alarm(alarms: Alarms) -> None:
    for stream in Stream:
        observe(alarms, stream, STEADY)
    assert alarms.find("laws", "p") is None
    assert alarms.all() == {}


def test_a_fall_is_noticed_once_and_stays(alarms: Alarms, caplog: pytest.LogCaptureFixture) -> None:
    observe(alarms, Stream.THUMBS, STEADY)
    with caplog.at_level(logging.WARNING):
        observe(alarms, Stream.THUMBS, [0.0] * 30)
    alarm = Alarm(Stream.THUMBS, Direction.FALL, NOON)
    assert alarms.find("laws", "p") == alarm
    assert alarms.all() == {"laws": alarm}
    [record] = caplog.records
    assert record.getMessage() == "certificate is stale"
    assert record.__dict__["stream"] == "thumbs"
    observe(alarms, Stream.ANSWERED, [1.0] * 20 + [0.0] * 30)
    assert alarms.find("laws", "p") == alarm
    assert str(alarm) == ("the share of thumbs up has fallen, noticed on 2026-11-26 at 12:00 UTC")


@pytest.mark.parametrize(
    ("stream", "is_noticed"),
    [(Stream.ANSWERED, True), (Stream.CHUNKS, True), (Stream.THUMBS, False)],
)
def test_a_rise_is_noticed_where_it_is_bad_news(
    alarms: Alarms, stream: Stream, is_noticed: bool
) -> None:
    observe(alarms, stream, [1 - value for value in STEADY])
    observe(alarms, stream, [1.0] * 30)
    assert (alarms.find("laws", "p") is not None) is is_noticed


def test_another_profile_begins_anew(alarms: Alarms) -> None:
    observe(alarms, Stream.CITED, STEADY)
    observe(alarms, Stream.CITED, [0.0] * 30, profile="other")
    assert alarms.all() == {}
    observe(alarms, Stream.CITED, STEADY)
    observe(alarms, Stream.CITED, [0.0] * 30)
    assert alarms.find("laws", "p") is not None
    assert alarms.find("laws", "other") is None
    observe(alarms, Stream.CITED, [0.0], profile="other")
    assert alarms.all() == {}


def test_reset_forgets_the_alarm_and_what_was_learned(alarms: Alarms) -> None:
    observe(alarms, Stream.CITED, STEADY + [0.0] * 30)
    assert alarms.find("laws", "p") is not None
    alarms.reset("laws")
    assert alarms.find("laws", "p") is None
    observe(alarms, Stream.CITED, [0.0] * 50)
    assert alarms.find("laws", "p") is None


def test_no_value_is_lost_between_workers(database: Database) -> None:
    workers = [Alarms(database, num_first=101) for _ in range(4)]

    def work(alarms: Alarms) -> None:
        observe(alarms, Stream.ANSWERED, [1.0] * 25)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, workers))
    with database.reading() as connection:
        [streams] = connection.exec_driver_sql("SELECT streams FROM drift").scalars()
    assert streams.count("1.0") == 100
