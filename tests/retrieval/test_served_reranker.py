"""The client of /v1/rerank against a scripted server, well and sick."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from retrieval.calibration import CalibratedReranker, Calibration
from retrieval.errors import RerankerFailedError
from retrieval.reranking import Outcome, Reranking
from retrieval.served_reranker import ServedReranker
from tests.retrieval.test_reranking import make_hits

SOON = 30.0
PASSAGES = ["zero", "one", "two"]


def result(index: object, score: object) -> dict[str, object]:
    """Return one result in the shape of vLLM 0.32."""
    document = {"text": "...", "multi_modal": None}
    return {"index": index, "document": document, "relevance_score": score}


def results(*scores: float) -> dict[str, object]:
    """Return an answer, best first, as servers give it."""
    best_first = sorted(enumerate(scores), key=lambda pair: -pair[1])
    usage = {"prompt_tokens": 30, "total_tokens": 30}
    listed = [result(index, score) for index, score in best_first]
    return {"id": "rerank-1", "model": "judge", "usage": usage, "results": listed}


@dataclass
class Server:
    """The server: answers as told, and remembers what it was asked.

    Attributes:
        body: the answer to the next reranking, text or JSON.
        status: its status.
        seconds: the time it takes before it answers.
        seconds_between: the same before each third of the answer.
    """

    url: str = ""
    body: object = field(default_factory=lambda: results(0.1, 0.9, 0.5))
    status: int = 200
    seconds: float = 0.0
    seconds_between: float = 0.0
    models: object = field(default_factory=lambda: {"object": "list", "data": [{"id": "judge"}]})
    requests: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    script = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(script.models if self.path == "/v1/models" else {}, 200)

        def do_POST(self) -> None:
            script.authorizations.append(self.headers["Authorization"])
            content = self.rfile.read(int(self.headers["Content-Length"]))
            script.requests.append({"path": self.path, **json.loads(content)})
            time.sleep(script.seconds)
            with suppress(BrokenPipeError):  # the client did not wait
                self._answer(script.body, script.status)

        def _answer(self, body: object, status: int) -> None:
            content = (body if isinstance(body, str) else json.dumps(body)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            third = len(content) // 3
            for piece in (content[:third], content[third : 2 * third], content[2 * third :]):
                time.sleep(script.seconds_between)
                self.wfile.write(piece)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}).start()
        script.url = f"http://127.0.0.1:{http.server_port}/v1"
        yield script
        http.shutdown()


@pytest.fixture
def reranker(server: Server) -> Iterator[ServedReranker]:
    reranker = ServedReranker(server.url, "judge", "secret")
    yield reranker
    reranker.close()


def score(reranker: ServedReranker, seconds: float = SOON) -> list[list[float]]:
    return list(reranker.score("query", PASSAGES, time.monotonic() + seconds))


def test_scores_come_in_the_order_of_the_passages(server: Server, reranker: ServedReranker) -> None:
    assert score(reranker) == [[0.1, 0.9, 0.5]]
    assert server.requests == [
        {
            "path": "/v1/rerank",
            "model": "judge",
            "query": "query",
            "documents": PASSAGES,
            "top_n": 3,
        }
    ]
    assert server.authorizations == ["Bearer secret"]


def test_first_listed_model_is_asked_if_none_is_configured(server: Server) -> None:
    reranker = ServedReranker(server.url + "/", None, None)
    score(reranker)
    reranker.close()
    assert server.requests[0]["model"] == "judge"
    assert server.authorizations == [None]


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        pytest.param(401, {"error": "Unauthorized"}, "RETRIEVAL_RERANKER_API_KEY", id="wrong key"),
        pytest.param(
            400,
            {"error": {"message": "maximum context length is 512 tokens", "code": 400}},
            "answered 400.*maximum context length is 512 tokens",
            id="too long",
        ),
        pytest.param(404, {"detail": "Not Found"}, "RETRIEVAL_RERANKER_URL", id="unknown route"),
        pytest.param(503, {"error": "busy"}, "answered 503.*busy", id="busy"),
        pytest.param(200, "<html>Hello</html>", "does not rerank.*said: <html>", id="HTML"),
        pytest.param(200, {"hello": "world"}, "does not rerank", id="other JSON"),
        pytest.param(200, {"results": None}, "does not rerank", id="null"),
        pytest.param(200, {"results": [{"index": 0}]}, "does not rerank", id="no score"),
        pytest.param(200, {"results": [result(0, "high")]}, "does not rerank", id="text"),
        pytest.param(200, results(0.5, 0.7), "each of 3", id="one missing"),
        pytest.param(200, results(0.5, 0.7, 0.1, 0.2), "each of 3", id="one too many"),
        pytest.param(200, {"results": [result(0, 0.1)] * 3}, "each of 3", id="one three times"),
        pytest.param(
            200,
            {"results": [result(index, 0.5) for index in (0, 1, 2, 0)]},
            "each of 3",
            id="one twice",
        ),
    ],
)
def test_sick_server(
    server: Server, reranker: ServedReranker, status: int, body: object, says: str
) -> None:
    server.status, server.body = status, body
    with pytest.raises(RerankerFailedError, match=says) as raised:
        score(reranker)
    assert f"The server: {server.url}" in str(raised.value)
    # Not what the server said either, which may name other addresses.
    for secret in (server.url, "512 tokens", "busy", "<html>"):
        assert secret not in raised.value.public


def test_answer_that_comes_piece_by_piece_has_no_more_time(
    server: Server, reranker: ServedReranker
) -> None:
    server.seconds_between = 0.2
    assert score(reranker, seconds=0.5) == []
    assert score(reranker) == [[0.1, 0.9, 0.5]]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_score_that_is_no_number_leaves_the_order(
    server: Server, reranker: ServedReranker, number: str
) -> None:
    server.body = json.dumps(results(0.1, 0.75, 0.5)).replace("0.75", number)
    hits = make_hits(0, 1, 2)
    scores, relevant = [0.0, 1.0, 2.0], [False, True, True]
    calibration = Calibration.fit(reranker.name, scores, relevant, date(2026, 11, 27))
    for judge in (reranker, CalibratedReranker(reranker, calibration)):
        reranked = Reranking(judge, 3, SOON).rerank("query", hits)
        assert reranked.hits == hits
        assert reranked.outcome is Outcome.FAILED


def test_no_model_listed(server: Server) -> None:
    server.models = {"data": []}
    reranker = ServedReranker(server.url, None, None)
    with pytest.raises(RerankerFailedError, match="lists no model"):
        score(reranker)
    reranker.close()


def test_slow_server_is_not_waited_for(server: Server, reranker: ServedReranker) -> None:
    server.seconds = 1.0
    hits = make_hits(0, 1, 2)
    reranked = Reranking(reranker, 3, 0.1).rerank("query", hits)
    assert reranked.hits == hits
    assert reranked.outcome is Outcome.OUT_OF_TIME
    assert reranked.reason == "0.1 s were enough for 0 of 3 passages."


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "no url", "http://[bad/v1"])
def test_server_that_is_not_there(url: str) -> None:
    reranker = ServedReranker(url, "judge", None)
    with pytest.raises(RerankerFailedError, match="RETRIEVAL_RERANKER_URL") as raised:
        score(reranker)
    assert raised.value.details == f"The server: {url}"
    reranker.close()


def test_a_model_that_is_not_named_is_called_by_its_server_without_the_address() -> None:
    names = [ServedReranker(f"http://gpu-{n}:8001/v1", None, None).name for n in (1, 1, 2)]
    assert names[0] == names[1] != names[2]
    assert [name for name in names if "gpu" in name or not name.startswith("server ")] == []
