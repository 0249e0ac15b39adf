"""Who may call, and where the service may listen."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from ingest.home import Home
from serving.errors import ExposedWithoutKeyError
from serving.server import run
from tests.serving.application import Application, assert_refused, make_settings, serve

KEY = "k-4711-ü"
CALLS = [
    ("GET", "/v1/documents"),
    ("POST", "/v1/documents"),
    ("GET", "/v1/documents/x/content"),
    ("DELETE", "/v1/documents/x"),
    ("GET", "/v1/collections"),
    ("POST", "/v1/search"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/v1/models"),
]


@pytest.fixture(scope="module")
def locked(application: Application, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with a key."""
    service = application.service
    serving = service.settings.serving.model_copy(update={"api_key": SecretStr(KEY)})
    home = Home(tmp_path_factory.mktemp("locked"))
    settings = replace(service.settings, serving=serving)
    with serve(replace(service, settings=settings, home=home)) as locked:
        yield locked.url


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="no key"),
        pytest.param("Bearer wrong", id="wrong key"),
        pytest.param("Bearer", id="empty key"),
        pytest.param(f"Bearer {KEY}x", id="longer"),
        pytest.param(f"Bearer {KEY[:-1]}", id="shorter"),
        pytest.param(f"Basic {KEY}", id="other scheme"),
    ],
)
def test_call_without_the_key_is_refused(
    locked: str, method: str, path: str, value: str | None
) -> None:
    headers = {b"Authorization": value.encode()} if value is not None else None
    response = httpx.request(method, f"{locked}{path}", headers=headers)
    assert_refused(response, 401, "invalid_api_key", None, "Authorization: Bearer KEY")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_call_with_the_key_is_served(locked: str, scheme: str) -> None:
    headers = {b"Authorization": f"{scheme} {KEY}".encode()}
    assert httpx.get(f"{locked}/v1/documents", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/v1/search", "/v1/chat/completions", "/v1/documents"])
def test_body_is_not_looked_at_without_the_key(locked: str, path: str) -> None:
    headers = {"Content-Type": "application/json"}
    response = httpx.post(f"{locked}{path}", content=b"{", headers=headers)
    assert_refused(response, 401, "invalid_api_key", None, "Authorization: Bearer KEY")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_open(locked: str, path: str) -> None:
    assert httpx.get(f"{locked}{path}").status_code == 200


def test_without_a_key_everybody_is_served(application: Application) -> None:
    headers = {"Authorization": "Bearer anything"}
    assert application.http.get("/v1/documents", headers=headers).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])  # noqa: S104
def test_exposed_service_without_a_key_does_not_start(tmp_path: Path, host: str) -> None:
    with pytest.raises(ExposedWithoutKeyError, match="set SERVING_API_KEY, or listen on 127"):
        run(make_settings(tmp_path / "home", host=host), on_start=pytest.fail)
    assert not (tmp_path / "home").exists()


def test_second_process_on_the_same_home_is_refused(application: Application) -> None:
    home = application.service.home.path
    program = "import sys, pathlib, ingest.home as h; h.Home(pathlib.Path(sys.argv[1])).__enter__()"
    process = subprocess.run(
        [sys.executable, "-c", program, str(home)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 1
    assert "StoreLockedError" in process.stderr
    assert f"in use by another Suffice process (a service at {application.url})" in process.stderr
    assert application.http.get("/healthz").status_code == 200
