"""Starting and stopping: no other service of this process runs meanwhile."""

import socket
import threading
from pathlib import Path
from queue import Queue

import httpx
import pytest

from ingest.home import Home
from serving.database import open_database
from serving.errors import AddressInUseError
from serving.keys import KeyStore, Scope
from serving.server import Server, run
from serving.service import open_service
from tests.fakes import HashEmbedder
from tests.serving.application import make_settings, run_in_thread
from tests.serving.documents import BEES


def test_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = make_settings(tmp_path, port=port)
        with pytest.raises(
            AddressInUseError, match=rf"127.0.0.1:{port} .*another with --host and --port"
        ):
            run(settings, on_start=pytest.fail, embedder=HashEmbedder())


def test_exposed_service_with_a_key_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = make_settings(tmp_path, host="0.0.0.0", port=port)  # noqa: S104
        with open_database(settings.serving, settings.ingest, Home(tmp_path)) as database:
            KeyStore(database).create("web page", [Scope.READ])
        with pytest.raises(AddressInUseError):  # so far it has come
            run(settings, on_start=pytest.fail, embedder=HashEmbedder())


def test_a_candidate_that_is_not_there_is_told_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = make_settings(tmp_path, port=port, shadow_profile="small")
        with pytest.raises(AddressInUseError):  # so far it has come
            run(settings, on_start=pytest.fail, embedder=HashEmbedder())
    [line] = [one.getMessage() for one in caplog.records if one.name == "serving.server"]
    assert line == (
        "no question is answered twice until this is mended: SERVING_SHADOW_PROFILE: There is no "
        "profile 'small'. Saved ones: default."
    )


def test_address_is_announced_while_the_service_runs(tmp_path: Path) -> None:
    started: Queue[str] = Queue()
    assert Home(tmp_path).service_url() is None
    with (
        open_service(make_settings(tmp_path), HashEmbedder()) as service,
        run_in_thread(Server(service, on_start=started.put)) as url,
    ):
        assert started.get(timeout=5) == url
        assert Home(tmp_path).service_url() == url
        assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}
    assert Home(tmp_path).service_url() is None


def test_documents_outlive_a_restart_and_open_jobs_are_finished(tmp_path: Path) -> None:
    for _ in range(2):
        with (
            open_service(make_settings(tmp_path), HashEmbedder()) as service,
            run_in_thread(Server(service, on_start=lambda _url: None)) as url,
        ):
            response = httpx.post(f"{url}/v1/documents", files={"file": ("bees.md", BEES)})
    assert response.json()["documents"][0]["filename"] == "bees.md"
    assert response.status_code == 200  # known already

    with (
        open_service(make_settings(tmp_path), HashEmbedder()) as service,
        run_in_thread(Server(service, on_start=lambda _url: None)) as url,
    ):
        (document,) = httpx.get(f"{url}/v1/documents").json()["documents"]
        events = httpx.get(f"{url}/v1/documents/{document['id']}/events", timeout=30).text
        assert '"status":"searchable"' in events.strip().rpartition("\n")[2]
    assert not any(thread.name.startswith("dbos") for thread in threading.enumerate())
