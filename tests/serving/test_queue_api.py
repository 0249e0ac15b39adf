"""Uploads while too many documents are waiting, and calls while the catalog does not answer."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import serving.responses
from serving.service import open_service
from suffice.bulk import BulkIngestion
from suffice.client import Client
from suffice.folders import File
from tests.fakes import GatedEmbedder
from tests.serving.application import Application, assert_refused, make_settings, serve


@pytest.fixture
def embedder() -> GatedEmbedder:
    return GatedEmbedder()


@pytest.fixture
def application(tmp_path: Path, embedder: GatedEmbedder) -> Iterator[Application]:
    """A service that works on one document at a time and lets one more wait."""
    settings = make_settings(tmp_path / "home")
    limits = {"concurrent_jobs": 1, "max_queued": 1, "max_upload_bytes": 10_000_000}
    settings = replace(settings, ingest=settings.ingest.model_copy(update=limits))
    with open_service(settings, embedder) as service, serve(service) as application:
        yield application
        embedder.gate.set()


@pytest.fixture
def waiting(application: Application, embedder: GatedEmbedder) -> list[str]:
    """The ids of the document that is worked on and of the one that waits."""
    embedder.close()
    ids = []
    for name in ("first.txt", "second.txt"):
        response = application.upload(name, f"The text of {name}.")
        assert response.status_code == 202, response.text
        ids.append(response.json()["documents"][0]["id"])
        assert embedder.reached.wait(20)
    return ids


@pytest.mark.parametrize("size", [10, 9_000_000], ids=["small", "larger than all buffers"])
def test_an_upload_is_refused_and_not_stored(
    application: Application, waiting: list[str], size: int
) -> None:
    response = application.upload("third.txt", b"x" * size)
    assert_refused(response, 429, "queue_full", None, "1 documents are waiting.*INGEST_MAX_QUEUED")
    assert response.headers["Retry-After"] == "5"
    listed = application.http.get("/v1/documents").json()["documents"]
    assert sorted(one["id"] for one in listed) == sorted(waiting)
    home = application.service.home
    assert len([path for path in home.files.rglob("*") if path.is_file()]) == 2
    assert [path.name for path in home.work.iterdir() if path.name.startswith("upload")] == []
    # The connection is still in order, and nothing else is refused.
    assert application.http.get(f"/v1/documents/{waiting[0]}").status_code == 200


def test_bulk_ingestion_waits_and_tries_again(
    application: Application,
    waiting: list[str],
    embedder: GatedEmbedder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving.responses, "RETRY_AFTER_SECONDS", 1)
    path = tmp_path / "third.txt"
    path.write_text("The xyzzy text.")
    threading.Timer(0.5, embedder.gate.set).start()
    with Client(application.url) as client:
        [outcome] = BulkIngestion(client, "default").run([File(path, "third.txt")]).outcomes
        assert outcome.status == "searchable"
        assert client.text(outcome.document["id"]) == "The xyzzy text."


def test_calls_while_the_catalog_does_not_answer(application: Application) -> None:
    application.ingest("first.txt", "The xyzzy text.")
    catalog = application.service.library._catalog
    database = application.service.home.path / "catalog.sqlite"
    catalog.close()
    database.rename(database.with_suffix(".away"))
    database.mkdir()
    for response in (
        application.http.get("/v1/documents"),
        application.upload("second.txt", "More text."),
    ):
        assert_refused(response, 503, "catalog_unavailable", None, "Try again.*unable to open")
        assert response.headers["Retry-After"] == "5"
    database.rmdir()
    database.with_suffix(".away").rename(database)
    assert application.ingest("second.txt", "More text.")["status"] == "searchable"
