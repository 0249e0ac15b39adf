"""What holds for every call: the size of its body, and how what is wrong with it is told."""

import gzip
import re
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from ingest.database import Database
from serving.keys import KeyStore
from serving.settings import ServingSettings
from tests.serving.application import Application, assert_refused, serve

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


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="deep"),
        pytest.param('{"user": "Größe"}'.encode("latin-1"), id="not in UTF-8"),
        pytest.param(gzip.compress(b'{"messages": []}'), id="compressed"),
    ],
)
def test_body_that_nobody_can_read(application: Application, body: bytes) -> None:
    response = application.http.post(CHAT, content=body, headers=JSON)
    says = "cannot be read. Send JSON in UTF-8, not compressed"
    assert_refused(response, 400, "invalid_value", None, says)


def test_json_of_any_depth_is_answered(application: Application) -> None:
    """Close to the depth that Python's reader takes, its writer may take no more."""
    for depth in range(800, 1100, 5):
        content = b'{"a": ' * depth + b"1" + b"}" * depth
        assert application.http.post(CHAT, content=content, headers=JSON).status_code == 400


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ('{"a": ' * 101 + "1" + "}" * 101, "nested more than 100 deep"),
        ('{"a": ' * 100 + "NaN" + "}" * 100, "NaN and Infinity"),
        ('{"maximum": NaN}', "NaN and Infinity are no numbers of JSON"),
    ],
    ids=["deep", "less deep", "NaN"],
)
def test_schema_that_cannot_be_passed_on(application: Application, schema: str, says: str) -> None:
    shape = f'{{"type": "json_schema", "json_schema": {{"name": "a", "schema": {schema}}}}}'
    content = f'{{"messages": [{{"role": "user", "content": "Why?"}}], "response_format": {shape}}}'
    response = application.http.post(CHAT, content=content, headers=JSON)
    field = "response_format.json_schema.schema"
    assert_refused(response, 400, "invalid_value", field, says)


PAGE = "https://chat.example"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type, x-stainless-os",
}


@pytest.fixture
def allowing(application: Application, database: Database) -> Iterator[Application]:
    """A service with a key that pages of two origins may call."""
    service, origins = application.service, f"http://localhost:3000, {PAGE}/"
    serving = service.settings.serving.model_copy(update={"allowed_origins": origins})
    settings = replace(service.settings, serving=serving)
    keys = KeyStore(database, "k-4711")
    with serve(replace(service, settings=settings, keys=keys), "k-4711") as allowing:
        yield allowing


def test_page_of_an_allowed_origin_may_call(allowing: Application) -> None:
    asked = httpx.options(f"{allowing.url}{CHAT}", headers=PREFLIGHT)
    assert asked.status_code == 200
    assert asked.headers["Access-Control-Allow-Origin"] == PAGE
    assert "x-stainless-os" in asked.headers["Access-Control-Allow-Headers"]

    answer = allowing.http.get("/v1/models", headers={"Origin": PAGE})
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
    refused = httpx.get(f"{allowing.url}/v1/models", headers={"Origin": PAGE})
    assert_refused(refused, 401, "invalid_api_key", None, "Bearer KEY")
    assert refused.headers["Access-Control-Allow-Origin"] == PAGE  # or no page could read why


def test_page_of_another_origin_may_not(allowing: Application, application: Application) -> None:
    other = {**PREFLIGHT, "Origin": "https://news.example"}
    for url, headers in ((allowing.url, other), (application.url, PREFLIGHT)):
        asked = httpx.options(f"{url}{CHAT}", headers=headers)
        assert asked.status_code in {400, 403, 405}
        assert "Access-Control-Allow-Origin" not in asked.headers


def test_page_of_the_calls_needs_nothing_from_elsewhere(application: Application) -> None:
    page = application.http.get("/docs")
    assert page.status_code == 200
    assert not re.findall(r"https?://", page.text)
    files = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
    assert len(files) == 3
    for path in files:
        assert application.http.get(path).status_code == 200
    missing = application.http.get("/docs/files/nothing.js")
    assert_refused(missing, 404, "path_not_found", None, "")


def test_calls_are_described_with_their_key_and_their_refusals(application: Application) -> None:
    described = application.http.get("/openapi.json").json()
    [(scheme, what)] = described["components"]["securitySchemes"].items()
    assert (what["type"], what["scheme"]) == ("http", "bearer")
    calls = {
        f"{method.upper()} {path}": call
        for path, methods in described["paths"].items()
        for method, call in methods.items()
    }
    assert {name for name, call in calls.items() if call.get("security") != [{scheme: []}]} == {
        "GET /healthz",
        "GET /readyz",
    }
    for call in calls.values():
        assert {"4XX", "5XX"} <= call["responses"].keys()
        assert "422" not in call["responses"]
    error = described["components"]["schemas"]["ErrorView"]
    refused = application.http.get("/v1/nothing").json()["error"]
    assert refused.keys() == error["properties"].keys()
