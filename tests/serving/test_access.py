"""Who may call, and where the service may listen."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from ingest.database import Database
from ingest.home import Home
from serving.access import CALLS as ACCESS
from serving.access import Access
from serving.answering import Answerer
from serving.app import create_app
from serving.backends import Backend
from serving.breaker import CircuitBreaker
from serving.database import open_database
from serving.errors import ExposedWithoutKeyError
from serving.finding import search_library
from serving.keys import KeyStore, Scope
from serving.models import Models
from serving.openai_server import OpenAIGenerator
from serving.profiles import AnsweringProfile
from serving.served_tokens import ServedTokenCounter
from serving.server import run
from tests.serving.application import Application, assert_refused, make_settings, serve
from tests.serving.certified import certified_profile
from tests.serving.documents import BEES

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
    """The address of a service with the key of SERVING_API_KEY."""
    service = application.service
    home = Home(tmp_path_factory.mktemp("locked"))
    with (
        open_database(service.settings.serving, service.settings.ingest, home) as database,
        serve(replace(service, keys=KeyStore(database, KEY), home=home)) as locked,
    ):
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


def test_without_a_key_everybody_on_this_machine_is_served(application: Application) -> None:
    headers = {"Authorization": "Bearer anything"}
    assert application.http.get("/v1/documents", headers=headers).status_code == 200


# What keys may do


@dataclass(frozen=True, slots=True)
class Guarded:
    """A service with keys."""

    application: Application
    store: KeyStore

    def call(self, method: str, path: str, secret: str | None, **arguments: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        return self.application.http.request(method, path, headers=headers, **arguments)

    def secret(self, *scopes: Scope, collections: list[str] | None = None) -> str:
        return self.store.create("test", scopes, collections)[1]


@pytest.fixture(scope="module")
def guarded(
    application: Application, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    """The service of the other tests with keys of its own, and two documents."""
    home = Home(tmp_path_factory.mktemp("guarded"))
    service = application.service
    for collection in ("laws", "contracts"):
        application.ingest("bees.md", BEES, collection=collection)
    with open_database(service.settings.serving, service.settings.ingest, home) as database:
        store = KeyStore(database)
        store.create("first", [Scope.ADMIN])
        with serve(replace(service, keys=store, home=home)) as served:
            yield Guarded(served, store)


DECLARED = {call.replace(":path}", "}"): scope for scope, calls in ACCESS.items() for call in calls}


def test_every_route_declares_its_scope(application: Application) -> None:
    paths = create_app(application.service).openapi()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert routes == {*DECLARED, "GET /healthz", "GET /readyz"}


@pytest.mark.parametrize("call", DECLARED)
@pytest.mark.parametrize("scopes", [(), *((scope,) for scope in Scope)], ids=str)
def test_only_the_scope_of_a_call_lets_it_in(
    guarded: Guarded, call: str, scopes: tuple[Scope, ...]
) -> None:
    method, path = call.split()
    secret = guarded.secret(*scopes) if scopes else None
    response = guarded.call(method, re.sub(r"{\w+}", "x", path), secret)
    if not scopes:
        assert_refused(response, 401, "invalid_api_key", None, "Bearer KEY")
        assert response.headers["WWW-Authenticate"] == "Bearer"
    elif DECLARED[call] in scopes or Scope.ADMIN in scopes:
        assert response.status_code not in {401, 403}
    else:
        says = f"needs a key with the scope {DECLARED[call]}; this one has {scopes[0]}"
        assert_refused(response, 403, "permission_denied", None, says)


NOBODY = "http://127.0.0.1:9/v1"


@pytest.fixture
def orphaned(guarded: Guarded) -> Iterator[Application]:
    """The service with models whose server does not run."""
    backend = Backend(url=NOBODY, model="tiny")
    counter = ServedTokenCounter(NOBODY, "tiny", None)
    generator = OpenAIGenerator("fast", backend, counter, None, 1.0, breaker=CircuitBreaker(5))
    models = Models({"fast": generator, "strong": generator})
    service = guarded.application.service
    find = partial(search_library, service.library, service.searcher)
    answerer = Answerer(service.library, find, models, b"a secret of this test")
    with (
        TemporaryDirectory() as home,
        serve(replace(service, models=models, answerer=answerer, home=Home(Path(home)))) as served,
    ):
        yield served


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_only_admins_are_told_where_the_model_should_be(
    orphaned: Application, guarded: Guarded, documents: dict[str, str], *, stream: bool
) -> None:
    assert documents
    messages = [{"role": "user", "content": "How much honey does one hive give each year?"}]

    def ask(*scopes: Scope) -> str:
        headers = {"Authorization": f"Bearer {guarded.secret(*scopes)}"}
        body = {"messages": messages, "stream": stream}
        response = orphaned.http.post("/v1/chat/completions", json=body, headers=headers)
        assert_refused(response, 503, "model_unavailable", None, "The model server does not answer")
        return response.text

    assert "127.0.0.1" not in ask(Scope.READ)
    assert NOBODY in ask(Scope.ADMIN)


def test_only_admins_are_told_what_is_not_ready(orphaned: Application, guarded: Guarded) -> None:
    def parts(secret: str) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        response = orphaned.http.get("/readyz", headers=headers)
        assert response.status_code == 503
        told: dict[str, str] = response.json()["parts"]
        return told

    reader = guarded.secret(Scope.READ, Scope.WRITE)
    for secret in ("", "wrong", reader):
        states = {"model": "unavailable", "index": "ok", "model strong": "unavailable"}
        assert parts(secret) == states
    told = parts(guarded.secret(Scope.ADMIN))
    assert NOBODY in told["model"]
    assert NOBODY in told["model strong"]


@pytest.mark.parametrize("path", ["/v1/search", "/v1/documents"])
def test_body_is_not_looked_at_without_the_scope(guarded: Guarded, path: str) -> None:
    scope = Scope.WRITE if path == "/v1/search" else Scope.READ
    headers = {"Content-Type": "application/json"}
    secret = guarded.secret(scope)
    response = httpx.post(
        f"{guarded.application.url}{path}",
        content=b"{" * 5_000_000,
        headers={**headers, "Authorization": f"Bearer {secret}"},
    )
    assert_refused(response, 403, "permission_denied", None, "needs a key with the scope")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "path_not_found"),
        ("GET", "/secret", 404, "path_not_found"),
        ("PATCH", "/v1/documents", 405, "method_not_allowed"),
    ],
)
def test_unknown_call(guarded: Guarded, method: str, path: str, status: int, code: str) -> None:
    assert guarded.call(method, path, None).status_code == 401
    assert_refused(guarded.call(method, path, guarded.secret(Scope.READ)), status, code, None, "")


def test_route_that_declares_no_scope_answers_nobody(guarded: Guarded) -> None:
    app = FastAPI()
    app.add_api_route("/v1/new", lambda: "served")
    app.add_middleware(Access, keys=guarded.store, is_loopback=True)
    assert call_app(app, "/v1/new", guarded.secret(Scope.ADMIN)) == 404


def test_service_that_others_can_reach_lets_nobody_in_without_a_key(database: Database) -> None:
    app = FastAPI()
    app.add_api_route("/v1/models", lambda: "served")
    app.add_middleware(Access, keys=KeyStore(database), is_loopback=False)
    assert call_app(app, "/v1/models", "") == 401


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({}, None),
        ({"Host": "localhost:8321", "Origin": "http://localhost:3000"}, None),
        ({"Host": "[::1]:8321", "Origin": "http://127.0.0.1:8321"}, None),
        ({"Origin": "https://news.example"}, "https://news.example"),
        ({"Origin": "null"}, "null"),
        ({"Origin": "http://[half"}, "http://[half"),
        ({"Host": "rebound.example:8321"}, "rebound.example:8321"),
        ({"Host": "localhost.example"}, "localhost.example"),
    ],
)
def test_page_from_elsewhere_may_not_use_the_open_door_of_this_machine(
    application: Application, headers: dict[str, str], refused: str | None
) -> None:
    response = httpx.get(f"{application.url}/v1/documents", headers=headers)
    if refused is None:
        assert response.status_code == 200
    else:
        says = f"only this machine may call, not {re.escape(refused)}"
        assert_refused(response, 403, "permission_denied", None, says)


def test_page_from_elsewhere_may_call_with_a_key(locked: str) -> None:
    headers = {b"Origin": b"https://news.example", b"Authorization": f"Bearer {KEY}".encode()}
    assert httpx.get(f"{locked}/v1/documents", headers=headers).status_code == 200


def call_app(app: FastAPI, path: str, secret: str) -> int:
    """Return the status with which an application answers."""

    async def call() -> int:
        headers = {"Authorization": f"Bearer {secret}"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return (await client.get(path, headers=headers)).status_code

    return asyncio.run(call())


@pytest.mark.parametrize("collection", ["contracts", "nowhere", "No Name"])
def test_collection_of_others_is_refused_whether_it_exists_or_not(
    guarded: Guarded, collection: str
) -> None:
    secret = guarded.secret(Scope.READ, Scope.WRITE, collections=["laws"])
    calls: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/v1/search", {"json": {"query": "bees", "collection": collection}}),
        ("GET", "/v1/documents", {"params": {"collection": collection}}),
        (
            "POST",
            "/v1/documents",
            {"files": {"file": ("a.txt", b"Oak.")}, "data": {"collection": collection}},
        ),
    ]
    for method, path, arguments in calls:
        response = guarded.call(method, path, secret, **arguments)
        says = "^This key is only for: laws.$"
        assert_refused(response, 403, "permission_denied", "collection", says)


def test_question_about_a_collection_of_others_is_refused(guarded: Guarded) -> None:
    secret = guarded.secret(Scope.READ, collections=["laws"])
    body = {
        "messages": [{"role": "user", "content": "Bees?"}],
        "suffice": {"collection": "contracts"},
    }
    response = guarded.call("POST", "/v1/chat/completions", secret, json=body)
    assert_refused(response, 403, "permission_denied", "suffice.collection", "only for: laws")


def test_lists_show_only_what_the_key_may_see(guarded: Guarded) -> None:
    def listed(*collections: str) -> tuple[set[str], set[str]]:
        secret = guarded.secret(Scope.READ, collections=list(collections) or None)
        documents = guarded.call("GET", "/v1/documents", secret).json()["documents"]
        names = guarded.call("GET", "/v1/collections", secret).json()["collections"]
        return {one["collection"] for one in documents}, {one["name"] for one in names}

    assert listed("laws") == ({"laws"}, {"laws"})
    assert listed("laws", "contracts") == ({"laws", "contracts"}, {"laws", "contracts"})
    assert listed("nowhere") == (set(), set())
    everything = listed()
    assert everything[0] >= {"laws", "contracts"} <= everything[1]


def test_certificate_about_a_collection_of_others_is_not_shown(
    guarded: Guarded, application: Application
) -> None:
    application.ingest("bees.md", BEES)
    profiles = guarded.application.service.profiles
    certified = AnsweringProfile.model_validate(certified_profile(application))
    assert certified.certificate is not None
    about = {"certificate": certified.certificate.model_copy(update={"collection": "contracts"})}
    profiles.save("tuned", certified.model_copy(update=about))
    ask = {
        "messages": [{"role": "user", "content": "Bees?"}],
        "suffice": {"collection": "laws", "profile": "tuned"},
    }
    try:
        for collection, is_told in (("laws", False), ("contracts", True)):
            secret = guarded.secret(Scope.READ, collections=[collection])
            for path in ("/v1/profiles", "/v1/profiles/tuned"):
                shown = guarded.call("GET", path, secret)
                assert shown.status_code == 200
                assert ("contracts" in shown.text) == is_told
        secret = guarded.secret(Scope.READ, collections=["laws"])
        answer = guarded.call("POST", "/v1/chat/completions", secret, json=ask).json()
        differences = answer["suffice"]["profile"]["certificate"]["differences"]
        assert differences[0] == "another collection"
        assert "contracts" not in str(answer)
        trace = guarded.call("GET", f"/v1/traces/{answer['suffice']['trace_id']}", secret)
        assert trace.json()["body"]["profile_name"] == "tuned"
        assert "contracts" not in trace.text
        search = {"query": "Bees?", "collection": "laws", "profile": "tuned", "explain": True}
        found = guarded.call("POST", "/v1/search", secret, json=search)
        assert found.json()["explain"]["profile"]["top_k"] == 2
        assert "contracts" not in found.text
    finally:
        profiles.delete("tuned")


@pytest.mark.parametrize("call", [call for call in DECLARED if "{document_id}" in call], ids=str)
def test_document_of_others_does_not_exist(guarded: Guarded, call: str) -> None:
    own, other = (
        document["id"]
        for collection in ("laws", "contracts")
        for document in guarded.call(
            "GET", f"/v1/documents?collection={collection}", guarded.secret(Scope.READ)
        ).json()["documents"]
    )
    method, path = call.split()
    secret = guarded.secret(Scope.READ, Scope.WRITE, collections=["laws"])
    refused = guarded.call(method, path.format(document_id=other), secret)
    missing = guarded.call(method, path.format(document_id="x"), secret)
    assert_refused(refused, 404, "document_not_found", None, "There is no document")
    assert refused.text == missing.text.replace("'x'", f"'{other}'")
    assert refused.headers.keys() == missing.headers.keys()
    if method != "DELETE":
        assert guarded.call(method, path.format(document_id=own), secret).is_success


def test_key_that_is_over_is_told_so(guarded: Guarded) -> None:
    key, secret = guarded.store.create("guest", [Scope.READ])
    assert guarded.call("GET", "/v1/models", secret).status_code == 200
    guarded.store.revoke(key.id)
    response = guarded.call("GET", "/v1/models", secret)
    assert_refused(response, 401, "invalid_api_key", None, "'guest' was revoked on 20")


# Where the service may listen


HOSTS = ["0.0.0.0", "::", "192.0.2.1", "example.org"]  # noqa: S104


@pytest.mark.parametrize("host", HOSTS)
def test_exposed_service_without_a_key_does_not_start(tmp_path: Path, host: str) -> None:
    settings = make_settings(tmp_path / "home", host=host)
    for _ in range(2):
        with pytest.raises(ExposedWithoutKeyError, match="set SERVING_API_KEY, or listen on 127"):
            run(settings, on_start=pytest.fail)
        # A key that is over lets nobody in.
        with open_database(settings.serving, settings.ingest, Home(settings.home)) as database:
            store = KeyStore(database)
            store.revoke(store.create("web page", [Scope.READ])[0].id)
    assert not (tmp_path / "home" / "catalog.sqlite").exists()


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


def test_metrics_are_of_all_collections(guarded: Guarded) -> None:
    everything = guarded.call("GET", "/metrics", guarded.secret(Scope.READ))
    assert everything.status_code == 200
    refused = guarded.call("GET", "/metrics", guarded.secret(Scope.READ, collections=["laws"]))
    assert_refused(refused, 403, "permission_denied", None, "all collections; .* for: laws")
