"""A service whose index is on a Qdrant server: readiness, and other services beside it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from retrieval.settings import RetrievalSettings
from serving import readiness
from serving.service import open_service
from tests.fakes import HashEmbedder
from tests.qdrant_server import TestServer, run_qdrant
from tests.serving.application import DIMENSION, Application, make_settings, serve

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect")


@pytest.fixture
def server() -> Iterator[TestServer]:
    with run_qdrant() as server:
        yield server


@contextmanager
def run_on(server: TestServer, home: Path, **options: Any) -> Iterator[Application]:
    retrieval = RetrievalSettings.model_construct(
        qdrant_url=server.url, qdrant_grpc_port=server.port, **options
    )
    settings = replace(make_settings(home), retrieval=retrieval)
    with (
        open_service(settings, HashEmbedder(dimension=DIMENSION)) as service,
        serve(service) as application,
    ):
        yield application


def test_readiness_asks_the_server(
    server: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "KEEP_SECONDS", -1.0)
    with run_on(server, tmp_path) as application:

        def ask() -> tuple[int, Any, str]:
            response = application.http.get("/readyz")
            body = response.json()
            assert body["parts"]["model"] == "ok"
            assert ("retry-after" in response.headers) is not body["ready"]
            return response.status_code, body["ready"], body["parts"]["index"]

        assert ask() == (200, True, "ok")
        server.faulty = "HealthCheck"
        server.faults += [grpc.StatusCode.UNAVAILABLE]  # one call, not several tries
        status, ready, says = ask()
        assert (status, ready, "RETRIEVAL_QDRANT_URL" in says) == (503, False, True)
        assert ask() == (200, True, "ok")
        monkeypatch.setattr(readiness, "MAX_SECONDS", 0.1)
        server.delay_seconds = 0.5
        status, ready, says = ask()
        assert (status, ready, "within 0.1 s" in says) == (503, False, True)


def test_many_who_ask_for_readiness_cost_one_call(
    server: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "KEEP_SECONDS", 600.0)
    with run_on(server, tmp_path) as application:
        calls_so_far = len(server.calls)
        for _ in range(3):
            assert application.http.get("/readyz").status_code == 200
        assert server.calls[calls_so_far:] == ["HealthCheck"]


def test_two_services_on_one_server_keep_their_documents(
    server: TestServer, tmp_path: Path
) -> None:
    with run_on(server, tmp_path / "a") as first:
        first.ingest("report.txt", "Company A earned 5 million dollars with pumps.")
    with run_on(server, tmp_path / "b") as second:
        theirs = "Company B lost 9 million dollars, which is confidential."
        refused = second.ingest("report.txt", theirs)
        assert refused["status"] == "failed"
        assert "Set RETRIEVAL_QDRANT_PREFIX" in refused["error"]["reason"]
        answer = second.http.post("/v1/search", json={"query": "million dollars"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "foreign_index")
    with run_on(server, tmp_path / "b", qdrant_prefix="b-") as second:
        second.http.post(f"/v1/documents/{refused['id']}/retry").raise_for_status()
        assert second.wait(refused["id"])["status"] == "searchable"
        assert [hit["text"] for hit in second.search("million dollars")] == [theirs]
    with run_on(server, tmp_path / "a") as first:
        [hit] = first.search("million dollars")
        assert hit["text"].startswith("Company A")


def test_an_answer_stands_when_the_server_is_gone_before_its_trace_is_written(
    server: TestServer, tmp_path: Path
) -> None:
    with run_on(server, tmp_path) as application:
        application.ingest("bees.txt", "Bees sleep five to eight hours each night.")
        application.ingest("ants.txt", "Ants sleep a minute at a time, many times each night.")

        def ask() -> tuple[dict[str, Any], dict[str, Any]]:
            response = application.ask("How many hours do bees sleep?", suffice={"top_k": 1})
            assert response.status_code == 200, response.text
            answer = response.json()
            trace = application.http.get(f"/v1/traces/{answer['suffice']['trace_id']}").json()
            return answer["choices"][0]["message"], trace["body"]

        calls_so_far = len(server.calls)
        message, whole = ask()
        reads = server.calls[calls_so_far:].count("Get")
        server.faulty = "Get"
        server.faults += [None] * (reads - 1) + [grpc.StatusCode.INTERNAL]  # the last one
        message_without, trace = ask()
        assert message_without == message
        hit, other = trace["candidates"]
        assert (hit["filename"], "filename" in other) == ("bees.txt", False)
        assert other.items() <= whole["candidates"][1].items()
        assert [whole["warnings"], len(trace["warnings"])] == [[], 1]
        assert "did not answer while the trace was written" in trace["warnings"][0]


def test_only_admins_are_told_what_the_server_said(server: TestServer, tmp_path: Path) -> None:
    with run_on(server, tmp_path) as application:
        application.ingest("bees.txt", "Bees sleep five to eight hours each night.")
        http = application.http
        for scope in ("admin", "read"):
            body = {"name": scope, "scopes": [scope]}
            secret = http.post("/v1/keys", json=body).json()["secret"]
            http.headers["Authorization"] = f"Bearer {secret}"
            server.faulty, server.faults = "QueryBatch", [grpc.StatusCode.INTERNAL]
            answer = http.post("/v1/search", json={"query": "bees", "mode": "dense"}).json()
            told = answer["error"]["message"]
            assert told.startswith("Qdrant did not answer. Check RETRIEVAL_QDRANT_URL")
            assert ("a fault" in told) is (scope == "admin")
        server.faults = [grpc.StatusCode.INTERNAL]
        [warning] = http.post("/v1/search", json={"query": "bees"}).json()["warnings"]
        assert warning.endswith(f" search failed, so the other one ranks alone: {told}")
