"""What holds for every call: the size of its body, and how what is wrong with it is told."""

from collections.abc import Iterator

import httpx
import pytest

from serving.settings import ServingSettings
from tests.serving.application import Application, assert_refused

CHAT = "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}
MAX_BYTES = ServingSettings.model_fields["max_request_bytes"].default


def body_of(num_bytes: int) -> bytes:
    """Return a chat request of so many bytes, with a question that is too long."""
    start, end = b'{"messages": [{"role": "user", "content": "', b'"}]}'
    return start + b"b" * (num_bytes - len(start) - len(end)) + end


def pieces(content: bytes) -> Iterator[bytes]:
    """Yield the content in pieces, so that nobody says beforehand how long it is."""
    for start in range(0, len(content), 100_000):
        yield content[start : start + 100_000]


@pytest.mark.parametrize("in_pieces", [False, True], ids=["with length", "in pieces"])
def test_large_body_is_refused(application: Application, *, in_pieces: bool) -> None:
    def post(num_bytes: int) -> httpx.Response:
        content = body_of(num_bytes)
        sent = pieces(content) if in_pieces else content
        return application.http.post(CHAT, content=sent, headers=JSON)

    says = "1,048,576 bytes. Send less, or raise SERVING_MAX_REQUEST_BYTES"
    for num_bytes in (MAX_BYTES + 1, 3 * MAX_BYTES):
        assert_refused(post(num_bytes), 413, "request_too_large", None, says)
    assert_refused(post(MAX_BYTES), 400, "invalid_value", "messages", "the limit is 8,000")
    assert application.http.get("/healthz").status_code == 200


def test_json_that_is_nested_too_deeply(application: Application) -> None:
    content = b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    response = application.http.post(CHAT, content=content, headers=JSON)
    assert_refused(response, 400, "invalid_value", None, "parsing the body")
