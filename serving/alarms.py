"""Alarms: what people get from a certified profile is watched, and may make its certificate stale.

A certificate is about questions like those it was made with. Whether those that come are still like
them shows in figures that each answer leaves behind: nobody knows which answers are right, but
everybody can see that fewer find anything.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from ingest.database import Database, in_utc
from serving.database import drift
from serving.drift import NUM_FIRST, Direction, Watch

logger = logging.getLogger(__name__)
# Answers of a collection between false alarms, on average, over all its streams.
RUN_LENGTH = 50_000


class Stream(StrEnum):
    """What is watched."""

    THUMBS = "thumbs"
    """Share of thumbs up; the first one of each answer counts."""
    ANSWERED = "answered"
    """Share of answers that cite anything; the others say that the documents have no answer."""
    BEST_SCORE = "best_score"
    """Score of the best hit, whatever its scale."""
    CHUNKS = "chunks"
    """Share of the chunks the profile takes at most that it kept."""
    CITED = "cited"
    """Share of the passages in the context that are cited."""


# A fall of the thumbs, say, is bad news and a rise is none. More chunks cost more and fewer hold
# less; who answers more may have begun to make things up.
DIRECTIONS: Mapping[Stream, tuple[Direction, ...]] = {
    Stream.THUMBS: (Direction.FALL,),
    Stream.ANSWERED: (Direction.FALL, Direction.RISE),
    Stream.BEST_SCORE: (Direction.FALL,),
    Stream.CHUNKS: (Direction.FALL, Direction.RISE),
    Stream.CITED: (Direction.FALL,),
}
_WORDS = {
    Stream.THUMBS: "share of thumbs up",
    Stream.ANSWERED: "share of questions that are answered",
    Stream.BEST_SCORE: "best score of the searches",
    Stream.CHUNKS: "number of chunks that are kept",
    Stream.CITED: "share of the passages that are cited",
}
_NUM_DETECTORS = sum(map(len, DIRECTIONS.values()))


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something is not as it was when the profile began to serve.

    Attributes:
        stream: whose mean has moved.
        direction: which way.
        time: when that was noticed, in UTC.
    """

    stream: Stream
    direction: Direction
    time: datetime

    def describe(self) -> dict[str, str]:
        """Return it as JSON."""
        return {
            "stream": self.stream.value,
            "direction": self.direction.value,
            "time": self.time.isoformat(timespec="seconds"),
        }

    def __str__(self) -> str:
        """Say what happened."""
        moved = {Direction.FALL: "has fallen", Direction.RISE: "has risen"}[self.direction]
        return f"the {_WORDS[self.stream]} {moved}, noticed on {self.time:%Y-%m-%d at %H:%M} UTC"


class Alarms:
    """What is known of the streams, by collection. Thread-safe, also between processes.

    A stream belongs to a collection and the very profile that served it; with another one it begins
    anew. After an alarm nothing more is observed until `reset`.

    Every method raises `DatabaseUnavailableError` when the database does not answer.
    """

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        num_first: int = NUM_FIRST,
        run_length: float = RUN_LENGTH,
    ) -> None:
        """Set up.

        Args:
            database: with the tables of serving.
            now: the time of day, in UTC.
            num_first: values that the mean of each stream is learned from.
            run_length: values between false alarms, on average, over all streams of a collection.
        """
        self._database = database
        self._now = now
        self._watches = {
            stream: Watch(
                directions=directions,
                run_length=run_length * _NUM_DETECTORS,
                is_bounded=stream is not Stream.BEST_SCORE,
                num_first=num_first,
            )
            for stream, directions in DIRECTIONS.items()
        }

    def observe(self, collection: str, profile: str, figures: Mapping[Stream, float]) -> None:
        """Take in one value of each of some streams.

        Args:
            collection: that was asked.
            profile: digest of the profile that served it.
            figures: in [0, 1], except those of scores.
        """
        with self._database.writing(is_durable=False) as connection:
            row = self._lock(connection, collection, profile)
            is_same = row["profile"] == profile
            if is_same and row["alarm_stream"] is not None:
                return
            streams: dict[str, Any] = dict(row["streams"]) if is_same else {}
            alarm = self._take_in(streams, figures)
            values = {
                "profile": profile,
                "streams": streams,
                "alarm_stream": alarm and alarm.stream,
                "alarm_direction": alarm and alarm.direction,
                "alarm_time": alarm and alarm.time,
            }
            where = drift.c.collection == collection
            connection.execute(sa.update(drift).where(where).values(**values))
        if alarm is not None:
            logger.warning(
                "certificate is stale", extra={"collection": collection, **alarm.describe()}
            )

    def find(self, collection: str, profile: str) -> Alarm | None:
        """Return the alarm of a collection, if it is about the profile of this digest."""
        query = sa.select(drift).where(
            drift.c.collection == collection,
            drift.c.profile == profile,
            drift.c.alarm_stream.is_not(None),
        )
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else _to_alarm(row)

    def all(self) -> dict[str, Alarm]:
        """Return the alarms by collection."""
        query = sa.select(drift).where(drift.c.alarm_stream.is_not(None))
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings().all()
        return {row["collection"]: _to_alarm(row) for row in rows}

    def reset(self, collection: str) -> None:
        """Forget the alarm of a collection, and learn its means anew."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(drift).where(drift.c.collection == collection))

    def _take_in(self, streams: dict[str, Any], figures: Mapping[Stream, float]) -> Alarm | None:
        """Bring the states of streams up to date; return the first alarm of these."""
        alarm = None
        for stream, value in figures.items():
            watch = self._watches[stream]
            if stream in streams:
                watch = watch.resume(streams[stream])
            watch = watch.observe(value)
            streams[stream] = watch.state()
            if alarm is None and watch.alarm is not None:
                alarm = Alarm(stream, watch.alarm, self._now())
        return alarm

    def _lock(self, connection: sa.Connection, collection: str, profile: str) -> sa.RowMapping:
        """Return the row of a collection, which nobody else writes until the transaction ends.

        It begins with a statement that writes, because SQLite locks only then.
        """
        insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        values = {"collection": collection, "profile": profile, "streams": {}}
        connection.execute(insert(drift).values(**values).on_conflict_do_nothing())
        query = sa.select(drift).where(drift.c.collection == collection).with_for_update()
        return connection.execute(query).mappings().one()


def _to_alarm(row: sa.RowMapping) -> Alarm:
    return Alarm(
        Stream(row["alarm_stream"]), Direction(row["alarm_direction"]), in_utc(row["alarm_time"])
    )
