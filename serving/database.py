"""The tables of serving: keys, usage, traces, feedback, drift and shadow pairs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from ingest.database import Database
from ingest.home import Home
from ingest.settings import IngestSettings
from serving.errors import DatabaseUnavailableError
from serving.settings import ServingSettings

metadata = sa.MetaData()

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("collections", sa.JSON(none_as_null=True)),
    sa.Column("requests_per_minute", sa.BigInteger),
    sa.Column("tokens_per_minute", sa.BigInteger),
    sa.Column("max_concurrent", sa.BigInteger),
    sa.Column("tokens_per_day", sa.BigInteger),
    sa.Column("nano_usd_per_day", sa.BigInteger),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("expires_at", sa.DateTime(timezone=True)),
    sa.Column("revoked_at", sa.DateTime(timezone=True)),
    sa.Column("last_used_at", sa.DateTime(timezone=True)),
)

usage = sa.Table(
    "usage",
    metadata,
    sa.Column(
        "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True
    ),  # SQLite counts up only INTEGER
    sa.Column("time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("day", sa.Date, nullable=False, index=True),
    sa.Column("key_id", sa.String(32), nullable=False),
    sa.Column("collection", sa.String(64), nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("trace_id", sa.String(64)),
    sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
    sa.Column("cached_tokens", sa.BigInteger, nullable=False),
    sa.Column("completion_tokens", sa.BigInteger, nullable=False),
    sa.Column("reasoning_tokens", sa.BigInteger, nullable=False),
    sa.Column("nano_usd", sa.BigInteger, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Index("ix_usage_key_id_day", "key_id", "day"),
)

traces = sa.Table(
    "traces",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("time", sa.DateTime(timezone=True), nullable=False, index=True),
    sa.Column("key_id", sa.String(32), nullable=False),
    sa.Column("collection", sa.String(64), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),  # JSON, compressed
)

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("trace_id", sa.String(64), nullable=False, index=True),
    sa.Column("key_id", sa.String(32), nullable=False),
    sa.Column("rating", sa.String(8), nullable=False),
    sa.Column("comment", sa.Text),
)

drift = sa.Table(
    "drift",
    metadata,
    sa.Column("collection", sa.String(64), primary_key=True),
    sa.Column("profile", sa.String(64), nullable=False),  # digest
    sa.Column("streams", sa.JSON, nullable=False),  # name -> state of its watch
    sa.Column("alarm_stream", sa.String(16)),
    sa.Column("alarm_direction", sa.String(8)),
    sa.Column("alarm_time", sa.DateTime(timezone=True)),
)

shadow_pairs = sa.Table(
    "shadow_pairs",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("collection", sa.String(64), nullable=False),
    sa.Column("question", sa.String(64), nullable=False),  # digest
    sa.Column("profile", sa.String(64), nullable=False),
    sa.Column("profile_digest", sa.String(64), nullable=False),
    sa.Column("candidate", sa.String(64), nullable=False),
    sa.Column("candidate_digest", sa.String(64), nullable=False),
    sa.Column("is_same", sa.Boolean, nullable=False),
    sa.Column("served", sa.JSON, nullable=False),
    sa.Column("shadow", sa.JSON, nullable=False),
)


@contextmanager
def open_database(
    serving: ServingSettings, ingest: IngestSettings, home: Home
) -> Iterator[Database]:
    """Open the database that the settings name, with its tables up to date.

    Other processes may have it open, too: `suffice keys` works while the service runs.

    Raises:
        DatabaseUnavailableError: it does not answer.
    """
    url = serving.database_url or ingest.database_url
    if url is None:
        home.create()
        url = home.database_url("serving")
    database = Database(url, "keys and usage", DatabaseUnavailableError)
    try:
        database.upgrade(Path(__file__).parent / "migrations")
        yield database
    finally:
        database.close()
