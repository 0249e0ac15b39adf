"""The catalog and the jobs on a real Postgres, where its programs are installed."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from ingest import jobs
from ingest.documents import Status
from ingest.settings import IngestSettings
from retrieval.errors import IndexUnavailableError, StoreLockedError
from retrieval.settings import RetrievalSettings
from serving.service import Settings, open_service
from serving.settings import ServingSettings
from tests.fakes import GatedEmbedder, HashEmbedder
from tests.ingest.conftest import LONG, Shelf, assert_searchable_once
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
        document = shelf.add("a.txt", LONG)
        assert embedder.reached.wait(20)
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
