"""Traces and feedback, kept for a while."""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from ingest.database import Database, in_utc
from serving.database import feedback, traces
from serving.errors import TraceNotFoundError

# Traces that are looked through, or deleted by their ids, at a time.
_PAGE = 500


class Rating(StrEnum):
    """What somebody thought of an answer."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class StoredTrace:
    """A trace with who asked.

    Attributes:
        id: unguessable.
        time: when the answer ended, in UTC.
        key_id: of who asked.
        collection: that was asked.
        body: see `serving.tracing`.
        feedback: what people said of it, oldest first.
    """

    id: str
    time: datetime
    key_id: str
    collection: str
    body: Mapping[str, Any]
    feedback: list[dict[str, Any]]


class TraceStore:
    """The traces in the database. Thread-safe.

    Every method raises `DatabaseUnavailableError` when the database does not answer.
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

    def add(self, trace_id: str, key_id: str, collection: str, body: Mapping[str, Any]) -> None:
        """Keep a trace."""
        row = {
            "id": trace_id,
            "time": self._now(),
            "key_id": key_id,
            "collection": collection,
            "body": zlib.compress(json.dumps(body, ensure_ascii=False).encode(), level=1),
        }
        with self._database.writing(is_durable=False) as connection:
            connection.execute(sa.insert(traces).values(**row))

    def get(self, trace_id: str, key_id: str | None = None) -> StoredTrace:
        """Return a trace.

        Args:
            trace_id: which.
            key_id: only if this key asked; None: whoever did.

        Raises:
            TraceNotFoundError: there is none, or it is of another key; nobody can tell.
        """
        found = self._read(_select(traces, key_id).where(traces.c.id == trace_id))
        if not found:
            raise _not_found(trace_id)
        return found[0]

    def list_traces(
        self,
        collection: str | None = None,
        key_id: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> list[StoredTrace]:
        """Return traces in order of their ids.

        Args:
            collection: only of this one.
            key_id: only of what this key asked; None: of all.
            after: beginning after this id.
            limit: most to return.
        """
        query = _select(traces, key_id, collection).order_by(traces.c.id).limit(limit)
        if after is not None:
            query = query.where(traces.c.id > after)
        return self._read(query)

    def delete(self, trace_id: str, key_id: str | None = None) -> None:
        """Delete a trace with its feedback; see `get`."""
        if not self._delete(_select(traces.c.id, key_id).where(traces.c.id == trace_id)):
            raise _not_found(trace_id)
        self._database.erase_log()

    def delete_all(
        self,
        key_id: str | None = None,
        collection: str | None = None,
        asked_by: str | None = None,
        document_id: str | None = None,
    ) -> int:
        """Delete traces with their feedback; return how many.

        Args:
            key_id: only of what this key asked; None: of all.
            collection: only of this one.
            asked_by: another restriction to what a key asked.
            document_id: only of answers for which this document was found or quoted.
        """
        matching = _select(traces.c.id, key_id, collection)
        if asked_by is not None:
            matching = matching.where(traces.c.key_id == asked_by)
        if document_id is None:
            num_deleted = self._delete(matching)
        else:
            ids = list(self._find_naming(document_id, matching))
            batches = (ids[i : i + _PAGE] for i in range(0, len(ids), _PAGE))
            num_deleted = sum(
                self._delete(matching.where(traces.c.id.in_(batch))) for batch in batches
            )
        self._database.erase_log()
        return num_deleted

    def _find_naming(self, document_id: str, matching: sa.Select[Any]) -> Iterator[str]:
        """Yield the ids of those traces whose body names a document."""
        named = f'"document_id": {json.dumps(document_id, ensure_ascii=False)}'.encode()
        query = matching.add_columns(traces.c.body).order_by(traces.c.id).limit(_PAGE)
        after = ""
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(query.where(traces.c.id > after)).all()
            yield from (row.id for row in rows if named in zlib.decompress(row.body))
            if len(rows) < _PAGE:
                return
            after = rows[-1].id

    def _delete(self, matching: sa.Select[Any]) -> int:
        """Delete the traces whose ids a query finds; return how many."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(feedback).where(feedback.c.trace_id.in_(matching)))
            return connection.execute(sa.delete(traces).where(traces.c.id.in_(matching))).rowcount

    def _read(self, query: sa.Select[Any]) -> list[StoredTrace]:
        """Return the traces that a query finds, each with its feedback."""
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings().all()
            ids = [row["id"] for row in rows]
            said = sa.select(feedback).where(feedback.c.trace_id.in_(ids)).order_by(feedback.c.id)
            opinions = connection.execute(said).mappings().all()
        return [
            StoredTrace(
                id=row["id"],
                time=in_utc(row["time"]),
                key_id=row["key_id"],
                collection=row["collection"],
                body=json.loads(zlib.decompress(row["body"])),
                feedback=[
                    {
                        "time": in_utc(one["time"]),
                        "rating": one["rating"],
                        "comment": one["comment"],
                    }
                    for one in opinions
                    if one["trace_id"] == row["id"]
                ],
            )
            for row in rows
        ]

    def rate(self, trace_id: str, key_id: str, rating: Rating, comment: str | None) -> None:
        """Keep what somebody thought of an answer."""
        row = {
            "time": self._now(),
            "trace_id": trace_id,
            "key_id": key_id,
            "rating": rating,
            "comment": comment,
        }
        with self._database.writing() as connection:
            connection.execute(sa.insert(feedback).values(**row))

    def forget_old(self, num_days: int) -> None:
        """Delete what is older than a number of days; feedback goes with its trace."""
        limit = self._now() - timedelta(days=num_days)
        self._delete(sa.select(traces.c.id).where(traces.c.time < limit))
        self._database.erase_log()


def _select(
    what: sa.Table | sa.Column[Any], key_id: str | None, collection: str | None = None
) -> sa.Select[Any]:
    """Return the query for the traces of a key and of a collection; None: of all."""
    query = sa.select(what)
    if key_id is not None:
        query = query.where(traces.c.key_id == key_id)
    if collection is not None:
        query = query.where(traces.c.collection == collection)
    return query


def _not_found(trace_id: str) -> TraceNotFoundError:
    return TraceNotFoundError(
        f"There is no trace {trace_id[:80]!r}. They are kept for SERVING_TRACE_DAYS."
    )
