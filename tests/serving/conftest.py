"""Fixtures of the tests over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.database import Database
from ingest.home import Home
from ingest.settings import IngestSettings
from serving.database import open_database
from serving.settings import ServingSettings
from tests.serving.application import Application, run_application
from tests.serving.documents import BEES, LIGHTHOUSE, ROPES, TIDES
from tests.serving.upstream import Upstream, run_upstream


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """A running service without documents, anew for each module."""
    with run_application(tmp_path_factory.mktemp("home")) as application:
        yield application


@pytest.fixture(scope="module")
def documents(application: Application) -> dict[str, str]:
    """The id of each of four searchable documents in the collection `default`, by file name."""
    contents: dict[str, str | bytes] = {
        "bees.md": BEES,
        "tides.html": TIDES,
        "ropes.txt": ROPES,
        "lighthouse.pdf": LIGHTHOUSE,
    }
    for name, content in contents.items():
        application.upload(name, content)
    found = application.http.get("/v1/documents").json()["documents"]
    ids = {document["filename"]: document["id"] for document in found}
    assert {application.wait(ids[name])["status"] for name in contents} == {"searchable"}
    return ids


@pytest.fixture(scope="module")
def running_upstream() -> Iterator[Upstream]:
    with run_upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(running_upstream: Upstream) -> Upstream:
    """A scripted model server, anew for each test."""
    running_upstream.reset()
    return running_upstream


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """The database of keys and usage of a home folder without a service."""
    settings = (ServingSettings.model_construct(), IngestSettings.model_construct())
    with open_database(*settings, Home(tmp_path)) as database:
        yield database
