"""The real application over real HTTP, with a fake embedder, for tests to talk to."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from ingest.settings import IngestSettings
from retrieval.settings import RetrievalSettings
from serving.server import Server
from serving.service import Service, Settings, open_service
from serving.settings import ServingSettings
from tests.fakes import HashEmbedder

WAIT_SECONDS = 30.0
FINAL_STATES = {"searchable", "partial", "failed"}
MAX_UPLOAD_BYTES = 100_000
# Texts that share no word have a similarity of 0 +- 0.04 with this many dimensions; a question
# shares at least two words with the sentence that answers it, which gives more than 0.25.
DIMENSION = 512
REFUSAL_THRESHOLD = 0.25


@dataclass(frozen=True, slots=True)
class Application:
    """A running service.

    Attributes:
        url: where it answers.
        http: a client of that address.
        service: what it serves.
    """

    url: str
    http: httpx.Client
    service: Service

    def upload(self, name: str, content: str | bytes, **fields: str) -> httpx.Response:
        data = content.encode() if isinstance(content, str) else content
        return self.http.post("/v1/documents", files={"file": (name, data)}, data=fields)

    def ingest(self, name: str, content: str | bytes, **fields: str) -> dict[str, Any]:
        """Upload a file and return its document in its final state."""
        response = self.upload(name, content, **fields)
        assert response.status_code in {200, 202}, response.text
        return self.wait(response.json()["documents"][0]["id"])

    def wait(self, document_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            document: dict[str, Any] = self.http.get(f"/v1/documents/{document_id}").json()
            if document["status"] in FINAL_STATES:
                return document
            time.sleep(0.03)
        raise TimeoutError(f"still {document['status']}")

    def search(self, query: str, **options: Any) -> list[dict[str, Any]]:
        response = self.http.post("/v1/search", json={"query": query, **options})
        assert response.status_code == 200, response.text
        hits: list[dict[str, Any]] = response.json()["hits"]
        return hits

    def ask(self, question: str, **options: Any) -> httpx.Response:
        messages = [{"role": "user", "content": question}]
        return self.http.post("/v1/chat/completions", json={"messages": messages, **options})

    def stream(self, question: str, **options: Any) -> list[dict[str, Any]]:
        """Ask with `stream` and return the events; the last one was [DONE]."""
        return read_events(self.ask(question, stream=True, **options))


def make_settings(home: Path, **serving: Any) -> Settings:
    """Return settings that depend on nothing around the test, such as a .env file."""
    return Settings(
        home,
        RetrievalSettings.model_construct(),
        IngestSettings.model_construct(max_upload_bytes=MAX_UPLOAD_BYTES, chunk_tokens=32),
        ServingSettings.model_construct(
            **{"port": 0, "refusal_threshold": REFUSAL_THRESHOLD, **serving}
        ),
    )


@contextmanager
def run_application(home: Path) -> Iterator[Application]:
    """Open a service on a folder and serve it. One at a time: its jobs are global."""
    with (
        open_service(make_settings(home), embedder=HashEmbedder(dimension=DIMENSION)) as service,
        serve(service) as application,
    ):
        yield application


@contextmanager
def serve(service: Service, key: str | None = None) -> Iterator[Application]:
    """Serve an open service; several may serve the same library, with other settings."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with (
        run_in_thread(Server(service, on_start=lambda _url: None)) as url,
        httpx.Client(base_url=url, headers=headers, timeout=WAIT_SECONDS) as http,
    ):
        yield Application(url, http, service)


@contextmanager
def run_in_thread(server: uvicorn.Server) -> Iterator[str]:
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + WAIT_SECONDS
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def read_events(response: httpx.Response) -> list[dict[str, Any]]:
    """Return the JSON of each server-sent event of an answer; the last one must be [DONE]."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    events = response.text.split("\n\n")
    assert events.pop() == ""
    assert events.pop() == "data: [DONE]"
    assert all(event.startswith("data: {") for event in events)
    return [json.loads(event.removeprefix("data: ")) for event in events]


def assert_refused(
    response: httpx.Response, status: int, code: str | None, param: str | None, says: str
) -> None:
    """Check that a request was refused in the one shape of errors.

    Args:
        response: to the request.
        status: of HTTP.
        code: machine-readable reason.
        param: the field at fault.
        says: pattern of a part of the message, which tells what to do.
    """
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    kinds = {
        401: "authentication_error",
        402: "budget_error",
        403: "permission_error",
        404: "not_found_error",
        409: "conflict_error",
        429: "rate_limit_error",
    }
    kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
    assert (body["error"]["type"], body["error"]["code"]) == (kind, code), body
    assert body["error"]["param"] == param, body
    assert re.search(says, body["error"]["message"]), body["error"]["message"]
