"""`suffice migrate`: an index goes to a server as it is, or the command says what did not."""

import json
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from pydantic import SecretStr
from qdrant_client import models

from ingest.catalog import Catalog
from ingest.home import Home
from retrieval.chunks import Chunk
from retrieval.edge import EdgeStore
from retrieval.filters import parse_filter
from retrieval.qdrant import open_store
from retrieval.settings import RetrievalSettings
from suffice.cli import main
from tests.fakes import HashEmbedder
from tests.qdrant_server import TestServer, run_qdrant

EMBEDDER = HashEmbedder()
SIZES = {"laws": 600, "memos": 3}
Migrate = Callable[..., tuple[int, str, str]]

pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect"),
    pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection"),
]


def settings_for(server: TestServer) -> RetrievalSettings:
    return RetrievalSettings(
        qdrant_url=server.url, qdrant_grpc_port=server.port, qdrant_api_key=SecretStr("secret")
    )


def make_chunk(number: int) -> Chunk:
    text = f"cat number{number}"
    chunk_id = str(uuid.uuid5(uuid.NAMESPACE_OID, text))
    return Chunk(chunk_id, f"doc{number}", "r", 0, len(text), text, ("Ä",), 1, None, 2, 0, 9)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with an index of two collections, one of which had a deletion."""
    path = tmp_path / "home"
    with Home(path) as home:
        store = EdgeStore(home.index, EMBEDDER.dimension, "english")
        for name, size in SIZES.items():
            chunks = [make_chunk(number) for number in range(size + 1)]
            vectors = EMBEDDER.embed_passages([chunk.passage for chunk in chunks])
            store.open(name).upsert(chunks, vectors, {"year": (2024.0,), "tag": (name,)})
            store.open(name).delete(f"doc{size}")
        store.close()
    monkeypatch.setenv("SUFFICE_HOME", str(path))
    return path


@pytest.fixture
def server() -> Iterator[TestServer]:
    with run_qdrant(key="secret") as server:
        yield server


@pytest.fixture
def migrate(
    server: TestServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Migrate:
    """Run the command; return its exit code and what it printed."""
    monkeypatch.setenv("RETRIEVAL_QDRANT_GRPC_PORT", str(server.port))

    def run(*options: str) -> tuple[int, str, str]:
        arguments = ["suffice", "migrate", "--to", server.url, "--api-key", "secret", *options]
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as caught:
            main()
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return run


def test_everything_is_found_on_the_server(
    migrate: Migrate, server: TestServer, home: Path
) -> None:
    code, out, _ = migrate("--json")
    moved = {one["name"]: one for one in json.loads(out)}
    assert code == 0
    assert {name: one["num_chunks"] for name, one in moved.items()} == SIZES
    assert all(one["is_same"] for one in moved.values())
    with closing(Catalog(Home(home).database_url("catalog"))) as catalog:
        store = open_store(settings_for(server), catalog.identity())
    index = store.open("laws")
    chunk = make_chunk(7)
    assert index.fetch([chunk.chunk_id]) == {chunk.chunk_id: chunk}
    assert next(iter(index.rank_dense(EMBEDDER.embed_query(chunk.passage), 1))) == chunk.chunk_id
    where = parse_filter({"type": "gte", "key": "year", "value": 2024})
    assert list(index.rank_lexical("number7", 1, where=where)) == [chunk.chunk_id]
    store.close()


@pytest.mark.usefixtures("home")
def test_nothing_is_written_into_a_collection_of_another_service(
    migrate: Migrate, server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(open_store(settings_for(server), owner="another service")) as others:
        others.open("laws", dimension=EMBEDDER.dimension, language="english")
    code, _, err = migrate()
    assert (code, "belongs to another Suffice service" in err) == (1, True)
    assert server.engine.count("laws").count == 0
    monkeypatch.setenv("RETRIEVAL_QDRANT_PREFIX", "mine-")
    assert migrate()[0] == 0
    assert server.engine.count("mine-laws").count == SIZES["laws"]


@pytest.mark.usefixtures("home")
def test_a_broken_off_migration_goes_on(migrate: Migrate, server: TestServer) -> None:
    server.faulty = "Upsert"
    server.faults += [None, grpc.StatusCode.INVALID_ARGUMENT]
    code, _, err = migrate()
    assert (code, "did not answer" in err) == (1, True)
    assert server.engine.count("laws").count == 256
    code, out, _ = migrate()
    assert (code, out.splitlines()[:2]) == (0, ["laws: 600 chunks", "memos: 3 chunks"])
    assert f"RETRIEVAL_QDRANT_URL={server.url}" in out


@pytest.mark.usefixtures("home")
def test_what_is_there_besides_is_told(migrate: Migrate, server: TestServer) -> None:
    migrate()
    [record] = server.engine.retrieve("laws", [make_chunk(0).chunk_id], with_vectors=True)
    vector: Any = record.vector
    stray = models.PointStruct(id=str(uuid.uuid4()), vector=vector, payload=record.payload)
    server.engine.upsert("laws", [stray])
    code, _, err = migrate()
    assert (code, "laws has 601 chunks instead of 600" in err) == (1, True)
    assert "memos" not in err


def test_a_home_in_use_is_not_touched(migrate: Migrate, home: Path) -> None:
    with Home(home):
        code, _, err = migrate()
    assert (code, "in use by another Suffice process" in err) == (1, True)


def test_without_a_home_there_is_nothing_to_do(
    migrate: Migrate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUFFICE_HOME", str(tmp_path / "nowhere"))
    code, _, err = migrate()
    assert (code, "no folder" in err) == (1, True)
    assert not (tmp_path / "nowhere").exists()
