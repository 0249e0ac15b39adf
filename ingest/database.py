"""A database with tables of our own, SQLite or Postgres: transactions and migrations."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

# How long another one who writes is waited for, and who reads what is to be erased.
BUSY_MILLISECONDS = 10_000
ERASING_MILLISECONDS = 500
# Of each connection to SQLite, instead of 2 MB: the system has the pages in memory as well.
PAGE_CACHE_KIB = 256
# Any number that nothing else locks.
_UPGRADE = 0x5FF1CF
logger = logging.getLogger(__name__)


class Database:
    """Connections to one database. Thread-safe; other processes may use it at the same time."""

    def __init__(self, url: str, name: str, unavailable: type[Exception]) -> None:
        """Set up; nothing is connected yet.

        Args:
            url: SQLAlchemy's.
            name: what it holds, for messages.
            unavailable: raised when the database does not answer, or the URL names none: with a
                message for everybody and, if there are, details for admins.
        """
        try:
            self.engine = sa.create_engine(url, pool_pre_ping=True)
        except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
            raise unavailable(
                f"The URL of the database of the {name} names none: {error}. Write it like "
                "postgresql+psycopg://user:password@host/suffice in INGEST_DATABASE_URL and, if it "
                "is another one, SERVING_DATABASE_URL."
            ) from error
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._name = name
        self._unavailable = unavailable
        if self.is_sqlite:
            sa.event.listen(self.engine, "connect", _set_up_sqlite)

    def upgrade(self, migrations: Path) -> None:
        """Bring the tables up to date; another process that does the same is waited for."""
        config = Config()
        config.set_main_option("script_location", str(migrations))
        with self.reading() as connection, connection.begin():
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_UPGRADE)))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Yield a connection; what fails because the database is away becomes our own error."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
            cause = getattr(error, "orig", None) or error
            raise self._unavailable(
                f"The database of the {self._name} does not answer. Try again; if it goes on, see "
                "whether it runs and whether its disk is full.",
                str(cause).strip(),
            ) from error
        except sa.exc.DatabaseError as error:
            if type(error.orig) is not sqlite3.DatabaseError:
                raise
            raise self._unavailable(
                f"The database of the {self._name} is damaged. Stop the service and run `suffice "
                "doctor`, which says what to do.",
                str(error.orig),
            ) from error

    @contextmanager
    def writing(self, *, is_durable: bool = True) -> Iterator[sa.Connection]:
        """Yield a connection for one transaction.

        Args:
            is_durable: wait until the change would survive a loss of power.
        """
        with self.reading() as connection:
            if self.is_sqlite:
                # Each connection keeps it, so it is set anew each time.
                level = "FULL" if is_durable else "NORMAL"
                connection.execute(sa.text(f"PRAGMA synchronous={level}"))
                connection.commit()
            with connection.begin():
                yield connection

    def erase_log(self) -> None:
        """Overwrite on disk what rows held before; of Postgres the server keeps its own log.

        Who reads meanwhile, such as a backup, needs the log, and who writes waits for this: so what
        cannot be erased soon is left to the next time.
        """
        if not self.is_sqlite:
            return
        with self.reading() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(sa.text(f"PRAGMA busy_timeout={ERASING_MILLISECONDS}"))
            try:
                is_busy = connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)")).scalar()
            finally:
                connection.execute(sa.text(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}"))
        if is_busy:
            logger.warning(
                "somebody reads the %s: what was deleted stays in its log until the next deletion "
                "or stop",
                self._name,
            )


def find_damage(path: Path) -> str | None:
    """Return what SQLite finds wrong with a database file, or None."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
    except sqlite3.DatabaseError as error:
        return str(error)
    finally:
        connection.close()
    return None if found == ["ok"] else "; ".join(found)


def in_utc(time: datetime) -> datetime:
    """Return a time as it was written: SQLite forgets the zone, which was UTC."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    for pragma in (
        f"busy_timeout={BUSY_MILLISECONDS}",
        "journal_mode=WAL",
        "secure_delete=ON",
        f"cache_size=-{PAGE_CACHE_KIB}",
    ):
        connection.execute(f"PRAGMA {pragma}")
