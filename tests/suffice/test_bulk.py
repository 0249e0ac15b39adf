"""Bulk ingestion against the running service, and against one that is full, away or interrupted."""

import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from suffice import bulk, patience
from suffice.bulk import BulkIngestion, BulkReport
from suffice.client import Client
from suffice.folders import File
from tests.ingest.parsers.pdf_files import damage, pdf, writer_with
from tests.serving.application import Application, run_application
from tests.serving.documents import make_encrypted_pdf, make_gif, make_scan
from tests.suffice.trees import files_of, states, write

TREES = {"oak.txt": "Oak.", "deep/elm.md": "# Elm", "deep/er/birch.txt": "Birch."}


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with run_application(tmp_path_factory.mktemp("home")) as application:
        yield application


@pytest.fixture
def client(application: Application) -> Iterator[Client]:
    with Client(application.url) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "trees", TREES)


@pytest.fixture
def collection(request: pytest.FixtureRequest) -> str:
    """A collection of the test's own."""
    return hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]


def codes(report: BulkReport) -> dict[str, str]:
    return {
        outcome.file.external_id: outcome.document["error"]["code"]
        for outcome in report.outcomes
        if outcome.status == "failed"
    }


def unchanged(report: BulkReport) -> set[str]:
    return {outcome.file.external_id for outcome in report.outcomes if outcome.is_unchanged}


@dataclass
class Proxy:
    """A service in front of the real one that fails as it is told.

    Attributes:
        url: where it listens.
        troubles: answers to the next uploads: a status, or None to hang up; then they get through.
        uploads: how many uploads got through.
    """

    url: str
    troubles: list[int | None] = field(default_factory=list)
    uploads: int = 0


@contextmanager
def run_proxy(application: Application) -> Iterator[Proxy]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._forward()

        def do_POST(self) -> None:
            with lock:
                trouble = proxy.troubles.pop(0) if proxy.troubles else 200
                proxy.uploads += trouble == 200
            if trouble is None:
                self.close_connection = True
            elif trouble == 200:
                self._forward()
            else:
                self._send(trouble, json.dumps({"error": {"message": "Full."}}).encode())

        def _forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kind = {"Content-Type": self.headers.get("Content-Type", "")}
            answer = application.http.request(self.command, self.path, content=body, headers=kind)
            self._send(answer.status_code, answer.content)

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    lock = threading.Lock()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        proxy = Proxy(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield proxy
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(application: Application, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    monkeypatch.setattr(patience, "MIN_PAUSE_SECONDS", 0.01)
    with run_proxy(application) as proxy:
        yield proxy


def test_second_run_sends_nothing(proxy: Proxy, folder: Path, collection: str) -> None:
    with Client(proxy.url) as client:
        first = BulkIngestion(client, collection).run(files_of(folder))
        assert states(first) == dict.fromkeys(sorted(TREES), "searchable")
        assert (unchanged(first), proxy.uploads) == (set(), 3)
        second = BulkIngestion(client, collection).run(files_of(folder))
        assert states(second) == states(first)
        assert (unchanged(second), proxy.uploads) == (set(TREES), 3)


def test_changed_file_replaces_its_old_self(client: Client, folder: Path, collection: str) -> None:
    ingestion = BulkIngestion(client, collection)
    ingestion.run(files_of(folder))
    write(folder, {"oak.txt": "Acorns grow on oaks.", "new.txt": "Beech."})
    for another in (ingestion, BulkIngestion(client, collection)):
        report = another.run(files_of(folder))
        assert set(states(report).values()) == {"searchable"}
    assert unchanged(report) == {*TREES, "new.txt"}
    hits = client.search("acorns", collection, mode="lexical")["hits"]
    assert [hit["text"] for hit in hits] == ["Acorns grow on oaks."]
    assert len(list(client.documents(collection))) == 4


def test_what_is_refused_or_fails_does_not_stop_the_others(
    client: Client, tmp_path: Path, collection: str
) -> None:
    contents: dict[str, str | bytes] = {
        "a.gif": make_gif(),
        "b.pdf": make_scan(),
        "c.txt": "",
        "d.txt": "Oak.",
    }
    files = [*files_of(write(tmp_path, contents)), File(tmp_path / "gone.txt", "gone.txt")]
    report = BulkIngestion(client, collection).run(files)
    assert states(report)["d.txt"] == "searchable"
    assert codes(report) == {
        "a.gif": "refused",
        "b.pdf": "no_text",
        "c.txt": "refused",
        "gone.txt": "vanished",
    }
    assert all(outcome.reason for outcome in report.outcomes if outcome.status == "failed")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_file_that_cannot_be_read_is_reported(client: Client, collection: str) -> None:
    report = BulkIngestion(client, collection).run([File(Path("/proc/self/mem"), "mem")])
    assert codes(report) == {"mem": "unreadable"}
    assert "Input/output error" in report.outcomes[0].reason


def test_failed_document_is_tried_again_when_asked(
    client: Client, tmp_path: Path, collection: str
) -> None:
    files = files_of(write(tmp_path, {"scan.pdf": make_scan()}))
    attempts = []
    for retry_failed in (False, False, True):
        report = BulkIngestion(client, collection, retry_failed=retry_failed).run(files)
        assert codes(report) == {"scan.pdf": "no_text"}
        attempts.append(report.outcomes[0].document["updated_at"])
    assert attempts[0] == attempts[1] < attempts[2]


def test_password_opens_what_failed_without_it(
    client: Client, tmp_path: Path, collection: str
) -> None:
    write(tmp_path, {"locked.pdf": make_encrypted_pdf("acorn"), "open.txt": "Elm."})
    reports = [
        BulkIngestion(client, collection, password=password).run(files_of(tmp_path))
        for password in (None, "wrong", "acorn", "acorn")
    ]
    assert [states(report)["locked.pdf"] for report in reports] == [
        "failed",
        "failed",
        "searchable",
        "searchable",
    ]
    assert [unchanged(report) for report in reports[1:]] == [
        {"open.txt"},
        {"open.txt"},
        {"open.txt", "locked.pdf"},
    ]


def test_password_comes_with_a_partial_file_that_is_tried_again(
    client: Client, tmp_path: Path, collection: str
) -> None:
    writer = writer_with(["The first page", ""])
    damage(writer, writer.pages[1])
    writer.encrypt("acorn", algorithm="AES-256")
    files = files_of(write(tmp_path, {"locked.pdf": pdf(writer)}))
    reasons = []
    for password, retry_failed in (("acorn", False), (None, True), ("acorn", True)):
        bulk_run = BulkIngestion(client, collection, password=password, retry_failed=retry_failed)
        report = bulk_run.run(files)
        assert states(report) == {"locked.pdf": "partial"}
        reasons.append(report.outcomes[0].reason)
    assert "Reading it anew failed: The PDF is locked" in reasons[1]
    assert reasons[0] == reasons[2] != reasons[1]


def test_a_bad_collection_name_ends_the_run_with_one_error(client: Client, folder: Path) -> None:
    report = BulkIngestion(client, "No such name").run(files_of(folder))
    assert "'No such name' is no collection name" in str(report.error)
    assert (len(report.outcomes), report.is_early) == (0, True)


@pytest.mark.parametrize("trouble", [None, 429, 503])
def test_service_that_is_full_or_away_for_a_while(
    trouble: int | None, proxy: Proxy, folder: Path, collection: str
) -> None:
    proxy.troubles += [trouble] * 6
    obstacles = []
    with Client(proxy.url) as client:
        report = BulkIngestion(client, collection).run(
            files_of(folder), lambda progress: obstacles.append(progress.obstacle)
        )
    assert states(report) == dict.fromkeys(sorted(TREES), "searchable")
    assert ("no service answers" if trouble is None else "Full.") in obstacles


def test_service_that_fails_on_one_file(proxy: Proxy, folder: Path, collection: str) -> None:
    proxy.troubles.append(500)
    with Client(proxy.url) as client:
        report = BulkIngestion(client, collection).run(files_of(folder))
    assert sorted(states(report).values()) == ["failed", "searchable", "searchable"]
    assert list(codes(report).values()) == ["internal"]


@pytest.mark.parametrize("status", [401, 409])
def test_refusal_that_meets_all_files_ends_the_run(
    status: int, proxy: Proxy, tmp_path: Path, collection: str
) -> None:
    files = files_of(write(tmp_path, {f"{number}.txt": "Oak." for number in range(30)}))
    proxy.troubles += [status] * 30
    with Client(proxy.url) as client:
        report = BulkIngestion(client, collection).run(files)
    assert report.is_early
    assert str(report.error) == "Full."
    assert (len(report.outcomes), report.num_files) == (0, 30)
    assert len(proxy.troubles) >= 30 - bulk.NUM_UPLOADS


def test_service_that_stays_away_ends_the_run(
    proxy: Proxy, folder: Path, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.2)
    proxy.troubles += [None] * 1000
    with Client(proxy.url) as client:
        report = BulkIngestion(client, collection).run(files_of(folder))
        assert f"No Suffice service answers at {proxy.url}" in str(report.error)
        proxy.troubles.clear()
        again = BulkIngestion(client, collection).run(files_of(folder))
    assert states(again) == dict.fromkeys(sorted(TREES), "searchable")


class BusyClient(Client):
    """Finds that each file has grown since it was compared, a number of times."""

    num_left = 0

    def upload(self, path: Path, *arguments: Any, **options: Any) -> dict[str, Any]:
        if self.num_left:
            self.num_left -= 1
            with path.open("a") as file:
                file.write("Another line.\n")
        return super().upload(path, *arguments, **options)


@pytest.mark.parametrize("num_lines", [1, bulk.MAX_READINGS - 1, bulk.MAX_READINGS])
def test_file_that_grows_is_never_accepted_in_parts(
    num_lines: int,
    application: Application,
    tmp_path: Path,
    collection: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bulk, "READING_PAUSE_SECONDS", 0.01)
    files = files_of(write(tmp_path, {"log.txt": "A line.\n"}))
    with BusyClient(application.url) as client:
        client.num_left = num_lines
        report = BulkIngestion(client, collection).run(files)
        texts = [client.text(document["id"]) for document in client.documents(collection)]
    if num_lines < bulk.MAX_READINGS:
        assert texts == ["A line.\n" + "Another line.\n" * num_lines]
    else:
        assert codes(report) == {"log.txt": "changing"}
        assert texts == []
