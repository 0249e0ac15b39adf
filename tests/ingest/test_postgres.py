"""Catalog, jobs, keys and usage on a real Postgres, where its programs are installed."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from ingest import jobs
from ingest.catalog import Catalog
from ingest.documents import Status
from ingest.home import Home
from ingest.settings import IngestSettings
from retrieval.errors import IndexUnavailableError, StoreLockedError
from retrieval.settings import RetrievalSettings
from serving.database import open_database
from serving.keys import KeyLimits, KeyStore, Scope
from serving.service import Settings, open_service
from serving.settings import ServingSettings
from serving.usage import Entry, Grouping, Spent, UsageLedger
from tests.fakes import GatedEmbedder, HashEmbedder
from tests.ingest.conftest import LONG, TIMEOUT_SECONDS, Shelf, assert_searchable_once
from tests.ingest.test_jobs import FailingEmbedder

VERSIONS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
USER = "postgres"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a Postgres server of its own, without a database name."""
    programs = VERSIONS[-1] if VERSIONS else None
    if programs is None:
        pytest.skip("Postgres is not installed")
    user = USER if os.getuid() == 0 else None  # Postgres does not run as root
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tempfile.mkdtemp()
    if user:
        shutil.chown(folder, user)
    data, log = f"{folder}/data", f"{folder}/log"

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", data, *arguments]
        subprocess.run(command, user=user, check=True, stdout=subprocess.DEVNULL)

    run("initdb", "-U", USER, "-A", "trust")
    run("pg_ctl", "-w", "-l", log, "-o", f"-p {port} -k {folder} -h 127.0.0.1", "start")
    yield f"postgresql+psycopg://{USER}@127.0.0.1:{port}"
    run("pg_ctl", "-w", "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture
def settings(server: str, tmp_path: Path) -> Settings:
    """Of a service with a database of its own."""
    name = tmp_path.name.lower().replace("-", "_")
    with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return Settings(
        tmp_path / "home",
        RetrievalSettings(),
        IngestSettings(database_url=f"{server}/{name}"),
        ServingSettings(),
    )


def test_documents_from_upload_to_deletion(settings: Settings) -> None:
    with open_service(settings, HashEmbedder()) as service:
        shelf = Shelf(service.library, service.searcher, settings.home)
        kept = shelf.add("kept.txt", LONG)
        first = shelf.add_and_wait("a.txt", "The xyzzy text.")
        second = shelf.add_and_wait("a.txt", "The plugh text.")
        assert (first.status, second.status) == (Status.SEARCHABLE, Status.SEARCHABLE)
        assert (shelf.find("xyzzy"), shelf.find("plugh")) == ([], ["a.txt"])
        shelf.library.delete(second.id)
        assert shelf.find("plugh") == []
        assert_searchable_once(shelf, kept)


def test_jobs_go_on_after_a_restart_and_are_tried_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "RETRY_DELAYS_SECONDS", (0.1, 0.1))
    embedder = GatedEmbedder()
    embedder.close()
    with open_service(settings, embedder) as service:
        shelf = Shelf(service.library, service.searcher, settings.home)
        # Much more than is embedded before the stop is seen.
        more = "\n\n".join(f"Line {n} tells of nothing." for n in range(20_000))
        document = shelf.add("a.txt", f"{LONG}\n\n{more}")
        assert embedder.reached.wait(TIMEOUT_SECONDS)
        embedder.gate.set()
    failing = FailingEmbedder(IndexUnavailableError("down"), times=1)
    with open_service(settings, failing) as service:
        shelf = Shelf(service.library, service.searcher, settings.home)
        assert shelf.wait(document).num_retries == 1
        assert_searchable_once(shelf, document)


def test_a_second_service_is_refused(settings: Settings, tmp_path: Path) -> None:
    other = replace(settings, home=tmp_path / "other")
    with (
        open_service(settings, HashEmbedder()),
        pytest.raises(StoreLockedError, match="INGEST_DATABASE_URL is in use"),
        open_service(other, HashEmbedder()),
    ):
        pass


def test_keys_and_usage_stand_beside_the_catalog(settings: Settings) -> None:
    assert settings.ingest.database_url is not None
    Catalog(settings.ingest.database_url).close()
    home = Home(settings.home)
    for number in (1, 2):
        with open_database(settings.serving, settings.ingest, home) as database:
            store, ledger = KeyStore(database), UsageLedger(database)
            limits = KeyLimits(nano_usd_per_day=5 * 10**18)
            key, secret = store.create(str(number), [Scope.READ], ["laws"], limits)
            assert asyncio.run(store.find(secret.encode())) == key
            assert store.revoke(key.id).revoked_at is not None
            ledger.count(Entry("a", "laws", "m", 3_000_000_000, 2, 1, 1, 10**15, 0.5))
            ledger.write()
            assert ledger.spent_today("a") == Spent(number * 3_000_000_001, number * 10**15)
    with open_database(settings.serving, settings.ingest, home) as database:
        assert [key.name for key in KeyStore(database).list_keys()] == ["1", "2"]
        [total] = UsageLedger(database).totals(Grouping.KEY)
        assert (total.group, total.num_answers, total.seconds) == ("a", 2, 1.0)
        assert (total.prompt_tokens, total.nano_usd) == (6_000_000_000, 2 * 10**15)
        [total] = UsageLedger(database).totals(Grouping.DAY)
        assert total.group == datetime.now(UTC).date().isoformat()
    assert not settings.home.exists()
