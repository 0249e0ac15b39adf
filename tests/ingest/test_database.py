"""What is deleted is erased from SQLite's log as well, but nobody waits long for who reads it."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from ingest.database import BUSY_MILLISECONDS, Database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notes.sqlite"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{path}", "notes", RuntimeError)
    with database.writing() as connection:
        connection.execute(sa.text("CREATE TABLE notes (text)"))
        connection.execute(sa.text("INSERT INTO notes VALUES ('a secret')"))
    yield database
    database.close()


def log_of(path: Path) -> bytes:
    return path.with_name(f"{path.name}-wal").read_bytes()


def delete(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(sa.text("DELETE FROM notes"))
    database.erase_log()


@pytest.mark.parametrize("url", ["notes", "postgres://host/notes", "mysql://host/notes"])
def test_a_url_that_names_no_database_is_refused(url: str) -> None:
    with pytest.raises(RuntimeError, match=r"of the notes names none: .*postgresql\+psycopg://"):
        Database(url, "notes", RuntimeError)


def test_what_is_deleted_is_not_in_the_log(database: Database, path: Path) -> None:
    assert b"a secret" in log_of(path)
    delete(database)
    assert log_of(path) == b""
    assert b"a secret" not in path.read_bytes()


def test_a_reader_keeps_the_log_until_the_next_time(
    database: Database, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as backup:
        backup.execute("BEGIN")
        assert backup.execute("SELECT text FROM notes").fetchall() == [("a secret",)]
        with caplog.at_level(logging.WARNING, "ingest.database"):
            delete(database)
        assert "somebody reads the notes" in caplog.text
        assert b"a secret" in log_of(path)
    database.erase_log()
    assert log_of(path) == b""
    with database.reading() as connection:  # as patient as before
        assert connection.execute(sa.text("PRAGMA busy_timeout")).scalar() == BUSY_MILLISECONDS
