"""The index on a server, over the wire: limits, other tries, keys, versions and layouts."""

import json
import socket
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, Thread
from typing import Any

import grpc
import httpx
import pytest
from pydantic import SecretStr
from qdrant_client import grpc as wire
from qdrant_client import models
from qdrant_client.http.exceptions import UnexpectedResponse

from retrieval import qdrant_connection
from retrieval.analyzer import FINGERPRINT
from retrieval.errors import ForeignIndexError, IndexUnavailableError
from retrieval.payload import VECTOR
from retrieval.profiles import RetrievalProfile
from retrieval.qdrant import Layout, QdrantStore
from retrieval.qdrant_connection import answer, connect
from retrieval.search import Searcher
from retrieval.settings import Quantization, RetrievalSettings
from tests.fakes import HashEmbedder
from tests.qdrant_server import TestServer, run_qdrant
from tests.retrieval.test_index import add_texts

EMBEDDER = HashEmbedder()
OpenStore = Callable[..., QdrantStore]


@pytest.fixture(autouse=True)
def no_notes() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Payload indexes have no effect")
        warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
        yield


@pytest.fixture
def server() -> Iterator[TestServer]:
    with run_qdrant() as server:
        yield server


@pytest.fixture
def open_store() -> Iterator[OpenStore]:
    stores = []

    def open_one(server: TestServer, owner: str = "me", **options: Any) -> QdrantStore:
        settings = settings_for(server, **options)
        stores.append(
            QdrantStore(
                connect(settings),
                EMBEDDER.dimension,
                "english",
                Layout.of(settings),
                owner=owner,
                prefix=settings.qdrant_prefix or "",
            )
        )
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


def settings_for(server: TestServer, **options: Any) -> RetrievalSettings:
    return RetrievalSettings(qdrant_url=server.url, qdrant_grpc_port=server.port, **options)


def test_a_server_that_is_away_for_a_moment_is_asked_again(
    server: TestServer, open_store: OpenStore
) -> None:
    index = open_store(server).open("default")
    server.faults += [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED]
    add_texts(index, "cat one", "cat two")
    server.faults += [grpc.StatusCode.UNAVAILABLE] * 3
    assert index.count() == 2
    assert len(index.rank_lexical("cat", 5)) == 2


@pytest.mark.parametrize(
    ("state", "num_calls"),
    [(429, 2), (503, 2), (0, 2), (500, 1)],
    ids=["busy", "away", "hangs up", "broken"],
)
def test_over_http_a_server_that_is_busy_or_away_is_asked_again(state: int, num_calls: int) -> None:
    with run_http() as (url, states):
        client = connect(RetrievalSettings(qdrant_url=url, qdrant_grpc_port=0))
        states += [state, 200]
        outcome = pytest.raises(IndexUnavailableError) if num_calls == 1 else nullcontext()
        with outcome:
            assert answer(lambda: client.collection_exists("default"))
        assert len(states) == 2 - num_calls
        client.close()


@pytest.mark.parametrize("content", [b"", b"<html>", b"\xff\xfe\0", b'{"result": null}'])
def test_over_http_an_answer_that_is_not_of_qdrant_is_told(content: bytes) -> None:
    with run_http() as (url, states):
        client = connect(RetrievalSettings(qdrant_url=url, qdrant_grpc_port=0))
        states.append(content)
        with pytest.raises(IndexUnavailableError, match="Check RETRIEVAL_QDRANT_URL"):
            answer(lambda: client.collection_exists("default"))
        client.close()


def test_over_http_a_slow_server_is_waited_for_no_longer_than_the_setting_says() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = RetrievalSettings(qdrant_url=url, qdrant_grpc_port=0, qdrant_timeout_seconds=1)
        with pytest.raises(IndexUnavailableError, match="in time"):
            connect(settings)


@contextmanager
def run_http() -> Iterator[tuple[str, list[int | bytes]]]:
    """Run a server that has every collection, and answers with what is put in.

    That is a status, 0 for none at all, or the content.
    """
    states: list[int | bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = {"title": "qdrant", "version": "1.20.0", "result": {"exists": True}}
            state = states.pop(0) if states else 200
            if state == 0:
                return
            content = state if isinstance(state, bytes) else json.dumps(body).encode()
            self.send_response(state if isinstance(state, int) else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", states
        finally:
            server.shutdown()
            thread.join()


def test_other_tries_end_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.setattr("time.sleep", lambda _: None)

    def fail_after_3_seconds() -> None:
        clock[0] += 3.0
        raise UnexpectedResponse(503, "Service Unavailable", b"", httpx.Headers())

    with pytest.raises(IndexUnavailableError):
        answer(fail_after_3_seconds)
    # After two tries the 5 seconds are over, so that the third one is the last.
    assert clock[0] == 9.0


def test_a_server_that_stays_away_is_given_up(
    server: TestServer, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_store(server).open("default")
    server.faults += [grpc.StatusCode.UNAVAILABLE] * 5
    server.calls.clear()
    with pytest.raises(IndexUnavailableError, match=r"did not answer.*_QDRANT_URL.*a fault"):
        index.count()
    assert server.calls == ["Count"] * 4
    monkeypatch.setattr(qdrant_connection, "RETRY_LIMIT_SECONDS", -1.0)
    with pytest.raises(IndexUnavailableError):
        index.count()
    assert server.calls == ["Count"] * 5


def test_what_another_try_does_not_mend_is_told_at_once(
    server: TestServer, open_store: OpenStore
) -> None:
    index = open_store(server).open("default")
    server.calls.clear()
    server.faults += [grpc.StatusCode.INVALID_ARGUMENT]
    with pytest.raises(IndexUnavailableError, match="a fault"):
        index.count()
    assert server.calls == ["Count"]


def test_a_slow_server_is_waited_for_no_longer_than_the_setting_says(
    server: TestServer, open_store: OpenStore
) -> None:
    index = open_store(server, qdrant_timeout_seconds=1).open("default")
    server.delay_seconds = 3.0
    with pytest.raises(IndexUnavailableError, match=r"in time.*RETRIEVAL_QDRANT_TIMEOUT_SECONDS"):
        index.rank_lexical("cat", 5)


def test_both_searches_are_on_their_way_at_once(server: TestServer, open_store: OpenStore) -> None:
    index = open_store(server).open("default")
    add_texts(index, "cat one", "cat two")
    server.meeting = Barrier(2)  # no call is answered before both are there
    with ThreadPoolExecutor(2) as threads:
        lexical = threads.submit(index.rank_lexical, "cat", 5)
        dense = threads.submit(index.rank_dense, EMBEDDER.embed_query("cat"), 5)
        assert lexical.result().keys() == dense.result().keys() != set()


def test_a_search_takes_two_calls_and_one_for_its_hits(
    server: TestServer, open_store: OpenStore
) -> None:
    index = open_store(server).open("default")
    add_texts(index, "cat one", "cat two")
    server.calls.clear()
    searcher = Searcher()
    found = searcher.search(index, EMBEDDER, "cat", RetrievalProfile(), 2)
    searcher.close()
    assert len(found.hits) == 2
    assert server.calls == ["QueryBatch", "QueryBatch", "Get"]


def test_a_port_without_a_server() -> None:
    settings = RetrievalSettings(qdrant_url="http://127.0.0.1:1", qdrant_grpc_port=1)
    with pytest.raises(IndexUnavailableError, match="Check RETRIEVAL_QDRANT_URL") as raised:
        connect(settings)
    assert "127.0.0.1:1" in str(raised.value)
    assert "127.0.0.1" not in raised.value.public


def test_services_that_share_a_server_do_not_touch_each_others_collections(
    server: TestServer, open_store: OpenStore
) -> None:
    add_texts(open_store(server).open("default"), "a cat of mine")
    stranger = open_store(server, owner="another")
    calls_so_far = len(server.calls)
    for use in (stranger.open, stranger.find):
        with pytest.raises(ForeignIndexError, match=r"'default'.*Set RETRIEVAL_QDRANT_PREFIX"):
            use("default")
    stranger.drop("default")
    assert stranger.names() == set()
    assert set(server.calls[calls_so_far:]) == {"CollectionExists", "Get", "List"}  # none writes
    assert open_store(server).open("default").count() == 1


def test_services_with_prefixes_have_collections_of_the_same_name(
    server: TestServer, open_store: OpenStore
) -> None:
    mine, theirs = (
        open_store(server, owner=owner, qdrant_prefix=f"{owner}-") for owner in ("me", "them")
    )
    add_texts(mine.open("default"), "a cat of mine")
    add_texts(theirs.open("default"), "a cat of theirs", "a dog of theirs")
    assert (mine.open("default").count(), theirs.open("default").count()) == (1, 2)
    assert server.fields.keys() == {"me-default", "them-default"}
    assert (mine.names(), theirs.names()) == ({"default"}, {"default"})
    theirs.drop("default")
    assert (mine.names(), theirs.find("default")) == ({"default"}, None)


def test_a_collection_without_an_owner_is_taken_over(
    server: TestServer, open_store: OpenStore
) -> None:
    vectors = models.VectorParams(size=EMBEDDER.dimension, distance=models.Distance.DOT)
    made = {"language": "german", "analyzer": FINGERPRINT}
    server.engine.create_collection("default", vectors_config={VECTOR: vectors}, metadata=made)
    server.fields["default"] = {}
    assert open_store(server, owner="first").names() == {"default"}
    open_store(server, owner="first").open("default")
    with pytest.raises(ForeignIndexError):
        open_store(server, owner="second").open("default")
    taken_over = server.engine.get_collection("default").config.metadata
    assert taken_over == made | {"owner": "first"}


def test_the_key_opens_and_a_wrong_one_is_named(open_store: OpenStore) -> None:
    with run_qdrant(key="secret") as server:
        open_store(server, qdrant_api_key=SecretStr("secret")).open("default")
        for wrong in (None, SecretStr("guess")):
            with pytest.raises(IndexUnavailableError, match="RETRIEVAL_QDRANT_API_KEY"):
                connect(settings_for(server, qdrant_api_key=wrong))


@pytest.mark.parametrize("version", ["1.19.3", "1", "dev"])
def test_an_old_server_is_refused(version: str) -> None:
    with (
        run_qdrant(version=version) as server,
        pytest.raises(IndexUnavailableError, match=rf"is version {version}; 1\.20 or newer"),
    ):
        connect(settings_for(server))


@pytest.mark.parametrize("url", ["ftp://server", "server:6333x", "http://server:99999"])
def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(IndexUnavailableError, match="RETRIEVAL_QDRANT_URL must be an address"):
        connect(RetrievalSettings(qdrant_url=url))


def test_a_collection_is_made_when_only_the_answer_was_lost(
    server: TestServer, open_store: OpenStore
) -> None:
    server.lost = ["Create"]
    index = open_store(server).open("default")
    assert server.calls.count("Create") == 2
    add_texts(index, "cat one")
    assert len(index.rank_lexical("cat", 5)) == 1


def test_collections_are_laid_out_as_the_settings_say(
    server: TestServer, open_store: OpenStore
) -> None:
    store = open_store(
        server,
        qdrant_quantization="scalar",
        qdrant_on_disk=True,
        qdrant_shards=3,
        qdrant_replicas=2,
        qdrant_write_consistency=2,
    )
    index = store.open("default")
    [made] = server.created
    assert (made.shard_number, made.replication_factor, made.write_consistency_factor) == (3, 2, 2)
    assert made.quantization_config.scalar.type == wire.QuantizationType.Int8
    assert made.vectors_config.params_map.map["dense"].on_disk
    add_texts(index, "cat one")
    assert len(index.rank_dense(EMBEDDER.embed_query("cat"), 5)) == 1


@pytest.mark.parametrize("quantization", ["none", "scalar"])
def test_compressed_vectors_are_compared_again_as_a_whole(
    server: TestServer, open_store: OpenStore, quantization: Quantization
) -> None:
    index = open_store(server, qdrant_quantization=quantization).open("default")
    index.rank_dense(EMBEDDER.embed_query("cat"), 5)
    index.rank_lexical("cat", 5)
    dense, lexical = server.searches
    asked = dense.params.quantization
    expected = (True, 2.0) if quantization == "scalar" else (False, 0.0)  # false and 0: not said
    assert (asked.rescore, asked.oversampling) == expected
    assert not lexical.HasField("params")


def test_without_settings_the_server_decides(server: TestServer, open_store: OpenStore) -> None:
    open_store(server).open("default")
    [made] = server.created
    for name in ("shard_number", "replication_factor", "quantization_config"):
        assert not made.HasField(name)


def test_fields_are_indexed_before_the_first_point(
    server: TestServer, open_store: OpenStore
) -> None:
    index = open_store(server).open("default")
    index.set_attributes("nothing", {"year": (2024.0,), "lang": ("de",)})
    assert server.fields["default"].keys() == {
        "document_id",
        "revision",
        "tokens",
        "attributes.keys",
        "attributes.values",
        "attributes.number.year",
    }
    assert "Upsert" not in server.calls


def test_an_opened_collection_is_not_indexed_anew(
    server: TestServer, open_store: OpenStore
) -> None:
    open_store(server).open("default").set_attributes("nothing", {"odd key_": (1.0,)})
    server.calls.clear()
    open_store(server).open("default").set_attributes("nothing", {"odd key_": (2.0,)})
    assert "CreateFieldIndex" not in server.calls
