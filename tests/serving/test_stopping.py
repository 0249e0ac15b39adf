"""What becomes of answers when the service is stopped: in a process of its own, by SIGTERM."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai

from tests.serving.documents import BEES
from tests.serving.upstream import DONE, LONG_SECONDS, START, Reply, Upstream, chunk

QUESTION = "How many kilograms of honey does one hive give each year?"
CUT_SECONDS = 1
WAIT_SECONDS = 60
# Seeds of questions that are answered after the service was cut, and before.
LATE, IN_TIME = 1, 2
SLOWLY = "slowly"
PROGRAM = f"""
import sys
import time
from pathlib import Path
from serving import server
from tests.fakes import HashEmbedder
from tests.serving.application import make_settings
server.ANSWER_SECONDS = {CUT_SECONDS}

class Embedder(HashEmbedder):
    def embed_passages(self, texts):
        if any("{SLOWLY}" in text for text in texts):
            time.sleep({WAIT_SECONDS})
        return super().embed_passages(texts)

settings = make_settings(Path(sys.argv[1]), llm_url=sys.argv[2])
server.run(settings, on_start=lambda url: print(url, flush=True), embedder=Embedder())
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A service in a process of its own."""

    process: subprocess.Popen[str]
    http: httpx.Client

    def ask(self, **options: Any) -> httpx.Response:
        body = {"messages": [{"role": "user", "content": QUESTION}], **options}
        return self.http.post("/v1/chat/completions", json=body)


@contextmanager
def run_service(home: Path, llm_url: str) -> Iterator[Running]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(home), llm_url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, process.communicate()[1]
        with httpx.Client(base_url=url, timeout=WAIT_SECONDS) as http:
            document = http.post("/v1/documents", files={"file": ("bees.md", BEES)}).json()
            [known] = document["documents"]
            # Ends when the document is searchable.
            assert "searchable" in http.get(f"/v1/documents/{known['id']}/events").text
            yield Running(process, http)
    finally:
        process.kill()
        process.communicate()


def stream(running: Running, seed: int) -> list[str]:
    lines = running.ask(seed=seed, stream=True).text.split("\n\n")
    return [line.removeprefix("data: ") for line in lines if line]


def stream_by_client(running: Running) -> list[str | None]:
    url = f"{running.http.base_url}/v1"
    with openai.OpenAI(base_url=url, api_key="unused", max_retries=0) as client:
        pieces = client.chat.completions.create(
            model="suffice", messages=[{"role": "user", "content": QUESTION}], stream=True
        )
        return [piece.choices[0].delta.content for piece in pieces]


def test_answers_that_are_cut_say_so_and_those_in_time_are_whole(
    tmp_path: Path, upstream: Upstream
) -> None:
    begins = [START, chunk({"content": "Twenty "})]

    def respond(request: dict[str, Any]) -> Reply:
        if request.get("seed") == IN_TIME:
            return Reply([*begins, CUT_SECONDS / 4, chunk({"content": "kg."}, "stop"), DONE])
        return Reply([*begins, LONG_SECONDS, DONE])

    upstream.respond = respond
    with run_service(tmp_path, upstream.url) as running, ThreadPoolExecutor() as threads:
        late = threads.submit(stream, running, LATE)
        by_client = threads.submit(stream_by_client, running)
        whole = threads.submit(running.ask, seed=LATE)
        in_time = threads.submit(stream, running, IN_TIME)
        deadline = time.monotonic() + WAIT_SECONDS
        while len(upstream.requests) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        running.process.send_signal(signal.SIGTERM)

        *_, twenty, error, done = late.result()
        assert "Twenty" in twenty
        told = json.loads(error)["error"]
        assert (told["type"], told["code"]) == ("server_error", "service_stopping")
        assert "Ask again" in told["message"]
        assert done == "[DONE]"
        assert isinstance(by_client.exception(), openai.APIError)
        assert "is being stopped" in str(by_client.exception())
        refused = whole.result()
        assert (refused.status_code, refused.json()) == (503, {"error": told})
        assert refused.headers["Retry-After"]
        *_, ending, done = in_time.result()
        assert json.loads(ending)["choices"][0]["finish_reason"] == "stop"
        assert done == "[DONE]"
        assert running.process.wait(WAIT_SECONDS) == 0
    assert upstream.left.wait(WAIT_SECONDS)


def test_who_watches_a_document_sees_the_stream_end(tmp_path: Path, upstream: Upstream) -> None:
    with run_service(tmp_path, upstream.url) as running:
        files = {"file": ("ivy.md", f"# Ivy\n\nIvy grows {SLOWLY}.\n")}
        [document] = running.http.post("/v1/documents", files=files).json()["documents"]
        with running.http.stream("GET", f"/v1/documents/{document['id']}/events") as response:
            events = response.iter_lines()
            while '"status":"embedding"' not in next(events):
                pass
            running.process.send_signal(signal.SIGTERM)
            left = list(events)  # raises when the connection is cut
    assert "searchable" not in "".join(left)
