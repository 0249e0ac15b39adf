"""The ledger of what answers took: tokens, cost and time, one row for each answer."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from ingest.database import Database
from serving.database import usage
from serving.errors import DatabaseUnavailableError

_COUNTS = (
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "nano_usd",
    "seconds",
)


class Grouping(StrEnum):
    """What totals are made for."""

    DAY = "day"
    KEY = "key"
    MODEL = "model"
    COLLECTION = "collection"


_COLUMNS: Mapping[Grouping, sa.Column[Any]] = {
    Grouping.DAY: usage.c.day,
    Grouping.KEY: usage.c.key_id,
    Grouping.MODEL: usage.c.model,
    Grouping.COLLECTION: usage.c.collection,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What one answer took.

    Attributes:
        key_id: of the key it was asked with.
        collection: it was answered from.
        model: that wrote it.
        prompt_tokens: all of the prompt, those in the model's cache included.
        cached_tokens: of the prompt, those that the model had in its cache.
        completion_tokens: all that were generated, thinking included.
        reasoning_tokens: of these, those of the thinking.
        nano_usd: cost in billionths of a US dollar.
        seconds: from request to last token.
        trace_id: of the answer's trace, if there is one.
    """

    key_id: str
    collection: str
    model: str
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    nano_usd: int = 0
    seconds: float = 0.0
    trace_id: str | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """The sum of some answers.

    Attributes:
        group: the day in ISO 8601, key id, model or collection that they share; None: all.
        num_answers: how many.
    """

    group: str | None
    num_answers: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    nano_usd: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Spent:
    """What counts against the budgets of a day."""

    num_tokens: int = 0
    nano_usd: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        """Return the sum."""
        return Spent(self.num_tokens + other.num_tokens, self.nano_usd + other.nano_usd)

    def __sub__(self, other: "Spent") -> "Spent":
        """Return the difference."""
        return Spent(self.num_tokens - other.num_tokens, self.nano_usd - other.nano_usd)


class UsageLedger:
    """The rows in the database. Thread-safe.

    What an answer took is counted at once, which waits for no database, and written soon, at the
    latest with the next one: a service that is killed loses at most the answers that it was giving.
    Methods that read or write raise `DatabaseUnavailableError` when the database does not answer.
    """

    def __init__(
        self, database: Database, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Set up.

        Args:
            database: with the tables of serving.
            now: the time of day, in UTC.
        """
        self._database = database
        self._now = now
        self._writing = threading.Lock()
        self._counting = threading.Lock()  # of the following; within the other one
        # What is known of today; one service at a time writes, so nothing else need be read.
        self._spent: dict[tuple[str, date], Spent] = {}
        self._unwritten: list[dict[str, Any]] = []

    def count(self, entry: Entry) -> None:
        """Count what an answer took; it counts for the day on which it ends."""
        time = self._now()
        row = {**asdict(entry), "time": time, "day": time.date()}
        with self._counting:
            self._unwritten.append(row)
            if (known := self._spent.get((entry.key_id, time.date()))) is not None:
                self._spent[entry.key_id, time.date()] = known + _to_spent(row)

    def write(self) -> None:
        """Write down what was counted; while the database does not answer it is kept."""
        with self._writing:
            rows = self._unwritten[:]
            if not rows:
                return
            is_kept = False
            try:
                # A kill loses nothing that was committed; a power cut may lose the last moments.
                with self._database.writing(is_durable=False) as connection:
                    connection.execute(sa.insert(usage), rows)
            except DatabaseUnavailableError:
                is_kept = True
                raise
            finally:
                if not is_kept:
                    with self._counting:
                        del self._unwritten[: len(rows)]

    def spent_today(self, key_id: str) -> Spent:
        """Return what a key has spent since midnight UTC; read once a day, then kept in memory."""
        day = self._now().date()
        if (known := self._spent.get((key_id, day))) is not None:
            return known
        query = sa.select(
            sa.func.coalesce(sa.func.sum(usage.c.prompt_tokens + usage.c.completion_tokens), 0),
            sa.func.coalesce(sa.func.sum(usage.c.nano_usd), 0),
        ).where(usage.c.key_id == key_id, usage.c.day == day)
        with self._writing, self._counting:
            with self._database.reading() as connection:
                spent = Spent(*map(int, connection.execute(query).one()))
            of_today = (
                row for row in self._unwritten if (row["key_id"], row["day"]) == (key_id, day)
            )
            spent = sum(map(_to_spent, of_today), spent)
            self._spent = {at: one for at, one in self._spent.items() if at[1] == day}
            self._spent[key_id, day] = spent
        return spent

    def totals(
        self,
        group_by: Grouping = Grouping.DAY,
        start: date | None = None,
        end: date | None = None,
        key_id: str | None = None,
    ) -> list[Total]:
        """Return sums in order of their groups.

        Args:
            group_by: what to sum up by.
            start: first day, of UTC; None: of all.
            end: last day, which is included; None: today.
            key_id: only of this key; None: of all.
        """
        with suppress(DatabaseUnavailableError):
            self.write()
        column = _COLUMNS[group_by]
        sums = [sa.func.sum(usage.c[name]).label(name) for name in _COUNTS]
        query = sa.select(column.label("group"), sa.func.count().label("num_answers"), *sums)
        if start is not None:
            query = query.where(usage.c.day >= start)
        if end is not None:
            query = query.where(usage.c.day <= end)
        if key_id is not None:
            query = query.where(usage.c.key_id == key_id)
        with self._database.reading() as connection:
            rows = connection.execute(query.group_by(column).order_by(column)).mappings().all()
        return [_to_total(row) for row in rows]

    def forget_old(self, num_days: int) -> None:
        """Delete what is older than a number of days."""
        limit = self._now().date() - timedelta(days=num_days)
        with self._database.writing() as connection:
            connection.execute(sa.delete(usage).where(usage.c.day < limit))


def sum_up(totals: list[Total]) -> Total:
    """Return the sum of totals that share no answer."""
    numbers = {
        name: sum(getattr(total, name) for total in totals) for name in ("num_answers", *_COUNTS)
    }
    return Total(group=None, **numbers)


def _to_spent(row: Mapping[str, Any]) -> Spent:
    return Spent(row["prompt_tokens"] + row["completion_tokens"], row["nano_usd"])


def _to_total(row: Mapping[Any, Any]) -> Total:
    # Postgres sums whole numbers up to its decimal type.
    counts = {name: int(row[name]) for name in _COUNTS if name != "seconds"}
    return Total(
        group=str(row["group"]),
        num_answers=row["num_answers"],
        seconds=float(row["seconds"]),
        **counts,
    )
