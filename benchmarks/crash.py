"""Uploads, updates, deletions and reindexings under kills: is anything lost, doubled, left over?

Usage: python -m benchmarks.crash [KILLS] [SEED]
The service runs as always, over HTTP and with its parser processes, but with an embedder that needs
no model, so that it is up again within seconds. SIGKILL comes at a random moment of the start or of
the work. In the end one service finishes what is left; then catalog, index, files and answers are
compared with what was accepted.
Prints JSON; exit code 1 when something is wrong.
"""

import hashlib
import json
import multiprocessing
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import httpx

from ingest.documents import make_document_id
from ingest.settings import IngestSettings
from retrieval.edge import EdgeStore
from retrieval.embedding import Matrix
from retrieval.settings import RetrievalSettings
from serving.server import run
from serving.service import Settings
from serving.settings import ServingSettings
from tests.fakes import HashEmbedder

COLLECTIONS = ("one", "two")
NAMES_OF_AN_ACTOR = 8
NUM_ACTORS = 3
LONGEST_START_SECONDS = 60.0
LONGEST_LIFE_SECONDS = 1.5
LONGEST_REST_SECONDS = 300.0
REINDEXING_SHARE = 0.05
FINAL = {"searchable", "partial", "failed"}

# A document is a name in a collection; its content is None when it is not there.
Name = tuple[str, str]
Content = bytes | None


class SlowEmbedder(HashEmbedder):
    """Takes a while for each passage, as models do, so that kills come in the middle."""

    def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """Embed, see `Embedder`."""
        time.sleep(0.001 * len(texts))
        return super().embed_passages(texts)


class Server:
    """The service in a process of its own, on a home folder that outlives it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.url: str | None = None
        # Forked from a process that has imported everything, which takes seconds.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["serving.server", "tests.fakes"])
        self._process: ForkServerProcess | None = None

    def start(self) -> None:
        """Begin; `url` is set once it answers."""
        answers, sender = self._context.Pipe(duplex=False)
        self._process = self._context.Process(target=serve, args=(self.home, sender))
        self._process.start()
        sender.close()
        threading.Thread(target=self._receive_url, args=(answers,), daemon=True).start()

    def end(self, *, by_kill: bool) -> int:
        """Kill the service, or ask it to stop; return its exit code."""
        process = self._process
        if process is None:
            raise RuntimeError("It was not started.")
        if by_kill:
            process.kill()
        else:
            process.terminate()
        process.join()
        self.url = None
        return int(process.exitcode or 0)

    def wait_until_up(self) -> None:
        """Wait for the address."""
        deadline = time.monotonic() + LONGEST_START_SECONDS
        while self.url is None:
            if time.monotonic() > deadline:
                raise TimeoutError("The service did not start.")
            time.sleep(0.01)

    def _receive_url(self, answers: Connection) -> None:
        try:
            url = str(answers.recv())
        except EOFError:  # killed before
            return
        if self._process and self._process.is_alive():
            self.url = url


def serve(home: Path, sender: Connection) -> None:
    """Run a service in this process, and send its address once it listens."""
    settings = Settings(
        home,
        RetrievalSettings(),
        IngestSettings(chunk_tokens=32, database_url=None),
        ServingSettings(port=0),
    )
    run(settings, sender.send, SlowEmbedder())


@dataclass
class Actor:
    """Changes documents of its own, and notes what each may be now.

    Attributes:
        server: what it talks to.
        random: its own, so that a seed repeats what is tried, if not when.
        names: its documents.
        possible: what each document may be: one content, or several after an unanswered call.
        calls: how many of each kind were answered, and how many were not.
    """

    server: Server
    random: random.Random
    names: list[Name]
    possible: dict[Name, set[Content]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    stopping: threading.Event = field(default_factory=threading.Event)

    def act(self) -> None:
        """Go on until told to stop."""
        while not self.stopping.is_set():
            if (url := self.server.url) is None:
                time.sleep(0.01)
                continue
            self._change(url, self.random.choice(self.names))
            time.sleep(self.random.uniform(0, 0.1))

    def _change(self, url: str, name: Name) -> None:
        if self.random.random() < REINDEXING_SHARE:
            self._reindex(url, name[0])
            return
        before = self.possible.setdefault(name, {None})
        is_deletion = self.random.random() < 0.25  # noqa: PLR2004 - a quarter of the calls
        content = None if is_deletion else self._new_content()
        self.possible[name] = before | {content}
        try:
            response = delete(url, name) if content is None else upload(url, name, content)
        except httpx.HTTPError:
            self.calls["unanswered"] += 1
            return
        if response.is_success or response.status_code == httpx.codes.NOT_FOUND:
            self.possible[name] = {content}
            self.calls["deletions" if is_deletion else "uploads"] += 1
        else:
            self.calls[f"answered {response.status_code}"] += 1

    def _reindex(self, url: str, collection: str) -> None:
        try:
            response = httpx.post(f"{url}/v1/collections/{collection}/reindex?force=1", timeout=60)
        except httpx.HTTPError:
            self.calls["unanswered"] += 1
            return
        known = response.is_success or response.status_code == httpx.codes.NOT_FOUND
        self.calls["reindexings" if known else f"answered {response.status_code}"] += 1

    def _new_content(self) -> bytes:
        """Return a text with a word of its own, now and then a long, shared or unreadable one."""
        # Letters only: what looks like an identifier is found by its parts, too.
        word = "w" + "".join(self.random.choices("bcdfghjk", k=12))
        match self.random.random():
            case share if share < 0.1:  # noqa: PLR2004
                return b" " * self.random.randint(1, 10_000)  # fails: there is no text in it
            case share if share < 0.3:  # noqa: PLR2004
                paragraphs = (f"Paragraph {n} says {word} and word{n}." for n in range(300))
                return "\n\n".join(paragraphs).encode()
            case share if share < 0.4:  # noqa: PLR2004
                return f"Shared text {self.random.randint(1, 3)} says wshared.".encode()
        return f"This file says {word} and nothing else.".encode()


def upload(url: str, name: Name, content: bytes) -> httpx.Response:
    """Upload one document."""
    files, data = {"file": (name[1], content)}, {"collection": name[0]}
    return httpx.post(f"{url}/v1/documents", files=files, data=data, timeout=60)


def delete(url: str, name: Name) -> httpx.Response:
    """Delete one document."""
    return httpx.delete(f"{url}/v1/documents/{make_document_id(*name)}", timeout=60)


def main() -> None:
    """Kill, compare, print."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1  # noqa: PLR2004
    with tempfile.TemporaryDirectory() as home:
        report = torture(Path(home), kills, seed)
    print(json.dumps(report, indent=2))
    sys.exit(bool(report["wrong"]))


def torture(home: Path, kills: int, seed: int) -> dict[str, Any]:
    """Change documents while the service is killed; return what came of it."""
    server, chance = Server(home), random.Random(seed)  # noqa: S311 - no secret
    actors = [
        Actor(
            server,
            random.Random(seed * 1000 + number),  # noqa: S311
            [(chance.choice(COLLECTIONS), f"{number}-{n}.txt") for n in range(NAMES_OF_AN_ACTOR)],
        )
        for number in range(NUM_ACTORS)
    ]
    threads = [threading.Thread(target=actor.act) for actor in actors]
    for thread in threads:
        thread.start()
    started = time.monotonic()
    num_in_start = 0
    for _ in range(kills):
        server.start()
        if chance.random() < 0.8:  # noqa: PLR2004 - the others die while they start
            server.wait_until_up()
            wait_for_answers(actors, chance.randint(0, 6))
        time.sleep(chance.uniform(0, LONGEST_LIFE_SECONDS))
        num_in_start += server.url is None
        server.end(by_kill=True)
    for actor in actors:
        actor.stopping.set()
    for thread in threads:
        thread.join()
    server.start()
    server.wait_until_up()
    possible = {name: contents for a in actors for name, contents in a.possible.items()}
    calls = sum((actor.calls for actor in actors), Counter())
    documents = wait_until_final(str(server.url), home)
    wrong = [*check_catalog(documents, possible), *check_answers(str(server.url), documents)]
    status = server.end(by_kill=False)
    wrong += [f"the last service ended with {status}"] if status else []
    with closing(EdgeStore(home / "index")) as store:
        wrong += check_index(store, documents)
    wrong += check_files(home, documents)
    return {
        "kills": kills,
        "kills_during_start": num_in_start,
        "seconds": round(time.monotonic() - started),
        "seed": seed,
        "calls": dict(calls),
        "documents": dict(Counter(document["status"] for document in documents.values())),
        "wrong": wrong,
    }


def wait_for_answers(actors: Sequence[Actor], number: int) -> None:
    """Wait until so many more calls were answered, or failed: machines are not equally fast."""
    first = sum(actor.calls.total() for actor in actors)
    deadline = time.monotonic() + LONGEST_START_SECONDS
    while sum(actor.calls.total() for actor in actors) < first + number:
        if time.monotonic() > deadline:
            raise TimeoutError("The service does not answer.")
        time.sleep(0.01)


def wait_until_final(url: str, home: Path) -> dict[Name, dict[str, Any]]:
    """Wait until no job is left, and return all documents."""
    deadline = time.monotonic() + LONGEST_REST_SECONDS
    while True:
        found = httpx.get(f"{url}/v1/documents?limit=1000", timeout=60).json()["documents"]
        collections = httpx.get(f"{url}/v1/collections", timeout=60).json()["collections"]
        is_at_rest = {one["status"] for one in found} <= FINAL and not any(
            one["reindexing"] for one in collections
        )
        if is_at_rest and not any((home / "work").iterdir()):
            return {(one["collection"], one["external_id"]): one for one in found}
        if time.monotonic() > deadline:
            raise TimeoutError(f"Jobs go on for ever: {found}, {list((home / 'work').iterdir())}")
        time.sleep(0.2)


def check_catalog(
    documents: dict[Name, dict[str, Any]], possible: dict[Name, set[Content]]
) -> Iterator[str]:
    """Each document is as it was accepted last, searchable or failed with a reason."""
    for name, contents in possible.items():
        revisions = {None if c is None else hashlib.sha256(c).hexdigest() for c in contents}
        document = documents.get(name)
        if (document["revision"] if document else None) not in revisions:
            yield f"{name}: lost or came back: {document}"
    for name, document in documents.items():
        error = document["error"]
        if document["status"] == "failed" and (error or {}).get("code") != "no_text":
            yield f"{name}: failed for no good reason: {error}"
        if document["status"] == "searchable" and (
            error or document["searchable_revision"] != document["revision"]
        ):
            yield f"{name}: searchable, but {document}"
    yield from (f"{name}: nobody uploaded it" for name in documents.keys() - possible.keys())


def check_answers(url: str, documents: dict[Name, dict[str, Any]]) -> Iterator[str]:
    """A search for a document's own word finds it and no other."""
    ids_of_words: dict[tuple[str, str], set[str]] = {}
    for (collection, _), document in documents.items():
        if document["searchable_revision"] is not None:
            content = httpx.get(f"{url}/v1/documents/{document['id']}/content", timeout=60).text
            word = next(w for w in content.split() if w.startswith("w") and w[1:] != "ord0")
            ids_of_words.setdefault((collection, word.strip(".")), set()).add(document["id"])
    for (collection, word), ids in ids_of_words.items():
        body = {"query": word, "collection": collection, "mode": "lexical", "top_k": 200}
        hits = httpx.post(f"{url}/v1/search", json=body, timeout=60).json()["hits"]
        if (found := {hit["document_id"] for hit in hits}) != ids:
            yield f"{collection}: {word} is in {ids}, found in {found}"


def check_index(store: EdgeStore, documents: dict[Name, dict[str, Any]]) -> Iterator[str]:
    """Each chunk is there once, in one index for each collection, and nothing else."""
    collections = {collection for collection, _ in documents}
    indexes = {name.partition("~")[0]: store.find(name) for name in store.names()}
    # A collection whose documents all failed may have none.
    if len(indexes) != len(store.names()) or not indexes.keys() <= collections:
        yield f"indexes {store.names()} of {collections}"
    contents = {name: index.contents() for name, index in indexes.items() if index}
    for (collection, _), document in documents.items():
        if (answering := document["searchable_revision"]) is not None:
            found = contents.get(collection, {}).pop((document["id"], answering), 0)
            if found == 0 or (
                answering == document["revision"] and found != document["num_chunks"]
            ):
                yield f"{collection}: {document['id']} has {found} chunks"
    yield from (f"{name}: chunks of no document: {left}" for name, left in contents.items() if left)


def check_files(home: Path, documents: dict[Name, dict[str, Any]]) -> Iterator[str]:
    """The files of each revision that is wanted or answers are there, and no others."""
    answering = {one["searchable_revision"] for one in documents.values()} - {None}
    wanted = {one["revision"] for one in documents.values()} | answering
    kept = {path.name for path in (home / "files").rglob("*") if path.is_file()}
    texts = {path.name.partition("-")[0] for path in (home / "texts").iterdir()}
    yield from (f"file {name} of no document" for name in kept - wanted)
    yield from (f"file {name} is lost" for name in wanted - kept)
    yield from (f"text {name} of no document" for name in texts - wanted)
    yield from (f"text {name} is lost" for name in answering - texts)


if __name__ == "__main__":
    main()
