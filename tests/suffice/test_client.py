"""The Python client against the running service, and against what is no service."""

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from suffice.bulk import OPEN_STATES
from suffice.client import FINAL_STATES, Client
from suffice.errors import FileChangedError, ServiceError
from suffice.session import open_client
from suffice.settings import SufficeSettings
from tests.serving.application import Application, run_application
from tests.serving.documents import BEES, LIGHTHOUSE, make_scan

QUESTION = "How many kilograms of honey does one hive give each year?"


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with run_application(tmp_path_factory.mktemp("home")) as application:
        yield application


@pytest.fixture(scope="module")
def client(application: Application) -> Iterator[Client]:
    with Client(application.url) as client:
        yield client


@pytest.fixture
def bees(client: Client, tmp_path: Path) -> str:
    """The id of a searchable document."""
    path = tmp_path / "bees.md"
    path.write_text(BEES)
    return str(client.wait(client.upload(path)["id"])["id"])


def test_health(client: Client) -> None:
    assert client.health() == {"status": "ok"}


def test_document_from_upload_to_deletion(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "lighthouse.pdf"
    path.write_bytes(LIGHTHOUSE)
    accepted = client.upload(path, "coast", external_id="light/1", metadata={"year": 1891})
    document = client.wait(accepted["id"])
    assert document == client.document(accepted["id"])
    fields = {name: document[name] for name in ("status", "collection", "external_id", "metadata")}
    assert fields == {
        "status": "searchable",
        "collection": "coast",
        "external_id": "light/1",
        "metadata": {"year": 1891},
    }
    assert "granite" in client.text(document["id"])
    assert client.search("granite", "coast", top_k=1, mode="lexical")["hits"][0]["page_start"] == 1
    assert client.delete(document["id"]) == {"id": document["id"], "deleted": True}
    with pytest.raises(ServiceError, match="There is no document") as caught:
        client.document(document["id"])
    assert caught.value.status == 404


def test_language_of_a_collection(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "fristen.txt"
    path.write_text("Die Kündigungsfristen.")
    client.wait(client.upload(path, "recht", language="german")["id"])

    def find() -> int:
        return len(client.search("Kündigungsfrist", "recht", mode="lexical")["hits"])

    assert find() == 1
    with pytest.raises(ServiceError, match="is german, not french"):
        client.upload(path, "recht", language="french")
    assert client.reindex("recht", language="none")["reindexing"]["language"] == "none"
    while client.reindex("recht")["reindexing"]:
        time.sleep(0.05)
    assert find() == 0


def test_upload_of_bytes_that_are_expected(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "oak.txt"
    path.write_text("Oak.")
    revision = hashlib.sha256(b"Oak.").hexdigest()
    assert client.upload(path, "sealed", revision=revision)["revision"] == revision


@pytest.mark.parametrize("now", ["Oak. Elm.", "Elm.", "Oak", ""])
def test_upload_of_bytes_that_have_changed_is_broken_off(
    now: str, client: Client, tmp_path: Path
) -> None:
    path = tmp_path / "oak.txt"
    path.write_text(now)
    with pytest.raises(FileChangedError):
        client.upload(path, "changed", revision=hashlib.sha256(b"Oak.").hexdigest())
    assert list(client.documents("changed")) == []


def test_failed_document_is_retried(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "scan.pdf"
    path.write_bytes(make_scan())
    document = client.wait(client.upload(path)["id"])
    assert document["error"]["code"] == "no_text"
    assert client.retry(document["id"])["status"] == "queued"
    assert client.wait(document["id"])["status"] == "failed"


def test_ask_and_stream_give_the_same_answer(client: Client, bees: str) -> None:
    message = client.ask(QUESTION, top_k=1)["choices"][0]["message"]
    assert message["annotations"][0]["file_citation"]["document_id"] == bees
    chunks = list(client.stream(QUESTION, top_k=1))
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == message["content"]
    assert deltas[-1]["annotations"] == message["annotations"]


@pytest.mark.usefixtures("bees")
def test_refusal_carries_the_message_of_the_service(client: Client) -> None:
    for call in (client.search, client.ask, lambda *given: list(client.stream(*given))):
        with pytest.raises(ServiceError, match="no collection 'nowhere'") as caught:
            call("bees", "nowhere")
        assert caught.value.status == 404


def test_wait_ends_for_a_document_that_does_not_exist(client: Client) -> None:
    with pytest.raises(ServiceError, match="There is no document"):
        client.wait("nonsense")


def test_running_service_on_the_home_folder_is_used(application: Application) -> None:
    settings = SufficeSettings.model_construct(home=application.service.home.path)
    with open_client(settings) as found:
        assert found.health() == {"status": "ok"}


def test_given_address_outweighs_the_home_folder(application: Application) -> None:
    home = application.service.home.path
    settings = SufficeSettings.model_construct(home=home, url="http://127.0.0.1:1")
    with open_client(settings) as found, pytest.raises(ServiceError, match=r"127\.0\.0\.1:1"):
        found.health()


def test_unreachable_service() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with Client(url) as client:
        for call in (client.health, lambda: list(client.stream("bees"))):
            with pytest.raises(
                ServiceError, match=f"No Suffice service answers at {url}"
            ) as caught:
                call()
            assert caught.value.status is None


@pytest.mark.parametrize(
    "url", ["localhost:8321", "nonsense", "http://", "http://[::1", "http://x y"]
)
def test_address_that_is_none(url: str) -> None:
    with pytest.raises(ServiceError, match="No Suffice service answers at"), Client(url) as client:
        client.health()


def test_listing_goes_on_page_by_page(
    client: Client, application: Application, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.txt" for number in range(101)]
    files = [("file", (path.name, path.name.encode())) for path in paths]
    application.http.post("/v1/documents", files=files, data={"collection": "many"})
    listed = [document["filename"] for document in client.documents("many")]
    assert sorted(listed) == sorted(path.name for path in paths)
    assert list(client.documents("many", status="failed")) == []
    assert len(list(client.documents("many", status=[*OPEN_STATES, *FINAL_STATES]))) == 101


@pytest.fixture
def website(tmp_path: Path) -> Iterator[str]:
    """The address of a server that answers every path with a web page."""
    for name in ("healthz", "v1"):
        (tmp_path / name).write_text("<html>It works!</html>")

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_website_is_no_service(website: str) -> None:
    with Client(website) as client:
        with pytest.raises(ServiceError, match="No Suffice service answers at"):
            client.health()
        with pytest.raises(ServiceError, match=r"answered 501") as caught:
            list(client.stream("bees"))
        assert caught.value.status == 501
