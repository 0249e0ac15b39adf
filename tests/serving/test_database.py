"""The tables of serving: made once, by whoever comes first, beside the catalog's if need be."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from ingest.catalog import Catalog
from ingest.database import Database
from ingest.home import Home
from ingest.settings import IngestSettings
from serving.database import metadata, open_database
from serving.errors import DatabaseUnavailableError
from serving.settings import ServingSettings

OPEN = """
import sys
from pathlib import Path
from ingest.home import Home
from ingest.settings import IngestSettings
from serving.database import open_database
from serving.settings import ServingSettings

sys.stdin.readline()
settings = ServingSettings.model_construct(), IngestSettings.model_construct()
with open_database(*settings, Home(Path(sys.argv[1]))):
    pass
"""


def test_migrations_make_the_tables_that_the_code_knows(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "serving_version"})
        assert compare_metadata(context, metadata) == []


def test_many_processes_open_a_new_database_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN, str(tmp_path)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(3)]
    for process in processes:
        process.communicate(b"\n", timeout=60)
    assert [process.returncode for process in processes] == [0, 0, 0]


@pytest.mark.parametrize("own", [True, False], ids=["its own", "the catalog's"])
def test_tables_are_where_the_settings_say(tmp_path: Path, own: bool) -> None:
    url = f"sqlite:///{tmp_path}/other.sqlite"
    ingest = IngestSettings.model_construct(database_url=None if own else url)
    serving = ServingSettings.model_construct(database_url=url if own else None)
    if not own:
        Catalog(url).close()
    for _ in range(2):
        with open_database(serving, ingest, Home(tmp_path / "home")):
            pass
    assert not (tmp_path / "home").exists()
    with sqlite3.connect(tmp_path / "other.sqlite") as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert {"keys", "usage", "serving_version"} <= names
    assert ("documents" in names) is not own
    if not own:
        Catalog(url).close()


def test_database_that_does_not_answer(tmp_path: Path) -> None:
    serving = ServingSettings.model_construct(database_url=f"sqlite:///{tmp_path}/no/x.sqlite")
    says = r"database of the keys and usage does not answer\. Try again.*unable to open"
    with (
        pytest.raises(DatabaseUnavailableError, match=says),
        open_database(serving, IngestSettings.model_construct(), Home(tmp_path)),
    ):
        pass
