"""What clients of a service wait for a search: alone, and eight at a time.

Usage: python -m benchmarks.clients [NUM_CHUNKS]
A service of its own process answers `POST /v1/search` over synthetic chunks (see synthetic.py; by
default 100,000), with the real embedder. One client and eight take turns, several times; each
sends its next query when it has the answer to the last. Meanwhile a coroutine in the service asks
to be woken every 5 ms: what it is late is how long the event loop was held. Prints JSON.
"""

import asyncio
import gc
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from socket import socket
from typing import Any
from urllib.parse import urlsplit

from benchmarks.synthetic import Collection
from ingest.home import Home
from retrieval.edge import EdgeStore
from serving.server import Server, run_in_thread
from serving.service import Settings, open_service
from suffice.client import Client

DEFAULT_CHUNKS = 100_000
NUM_DOCUMENTS = 20
NUM_CLIENTS = 8
NUM_ROUNDS = 4
QUERIES_PER_ROUND = 120
TICK_SECONDS = 0.005
LAGS = "lags.json"


def main() -> None:
    """Fill a home folder, serve it, and ask."""
    if sys.argv[1:2] == ["serve"]:
        serve(Path(sys.argv[2]))
        return
    num_chunks = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_CHUNKS
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        collection = Collection(num_chunks)
        fill(home, collection)
        print(json.dumps({"num_chunks": num_chunks, **measure(home, collection)}, indent=2))


def fill(home: Path, collection: Collection) -> None:
    """Upload some documents, and put the chunks into the index as if they were theirs."""
    settings = Settings.read(home)
    documents = []
    with run_in_thread(settings) as url, Client(url) as client:
        for number in range(NUM_DOCUMENTS):
            path = home / f"document-{number}.md"
            path.write_text(f"# Document {number}\n\nIt has {number} chapters.\n")
            documents.append(client.wait(client.upload(path)["id"])["id"])
        dimension = len(collection.queries(1)[0].vector)
    store = EdgeStore(Home(home).index, dimension, settings.retrieval.language)
    index = store.open("default")
    for chunks, vectors in collection.batches():
        index.upsert(
            [
                replace(chunk, document_id=documents[number % NUM_DOCUMENTS])
                for number, chunk in enumerate(chunks)
            ],
            vectors,
        )
    index.compact()
    store.close()


class TickingServer(Server):
    """Writes down by how many seconds a coroutine that sleeps was woken too late."""

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start to tick, too."""
        await super().startup(sockets)
        self._ticking = asyncio.create_task(self._tick())

    async def _tick(self) -> None:
        path = self._service.home.path / LAGS
        while True:
            lags: list[float] = []
            for _ in range(100):
                started = time.perf_counter()
                await asyncio.sleep(TICK_SECONDS)
                lags.append(time.perf_counter() - started - TICK_SECONDS)
            with path.open("a") as file:
                file.write("".join(f"{lag}\n" for lag in lags))


def serve(home: Path) -> None:
    """Serve until killed."""
    with open_service(Settings.read(home)) as service:
        server = TickingServer(service, lambda _url: None)
        gc.collect()  # as `suffice serve` does
        gc.freeze()
        server.run()


@contextmanager
def running(home: Path) -> Iterator[str]:
    """Serve in a process of its own, and yield the address."""
    command = [sys.executable, "-m", "benchmarks.clients", "serve", str(home)]
    environment = {**os.environ, "SERVING_PORT": "0"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:  # noqa: S603
        try:
            while (url := Home(home).read_address()) is None:
                if process.poll() is not None:
                    raise RuntimeError(f"the service ended with {process.returncode}")
                time.sleep(0.05)
            yield url
        finally:
            process.terminate()


def measure(home: Path, collection: Collection) -> dict[str, Any]:
    """Return latencies and throughput of one client and of several, and the loop's lags."""
    queries = iter(
        [query.text for query in collection.queries(2 * NUM_ROUNDS * QUERIES_PER_ROUND + 50)]
    )
    seconds: dict[int, list[float]] = {1: [], NUM_CLIENTS: []}
    rates: dict[int, list[float]] = {1: [], NUM_CLIENTS: []}
    lags: dict[int, list[float]] = {1: [], NUM_CLIENTS: []}
    with running(home) as url:
        ask(url, [next(queries) for _ in range(50)])
        for _ in range(NUM_ROUNDS):
            for num_clients in seconds:
                take_lags(home)
                shares = [
                    [next(queries) for _ in range(QUERIES_PER_ROUND // num_clients)]
                    for _ in range(num_clients)
                ]
                started = time.perf_counter()
                with ThreadPoolExecutor(num_clients) as clients:
                    answers = list(clients.map(lambda share: ask(url, share), shares))
                rates[num_clients].append(QUERIES_PER_ROUND / (time.perf_counter() - started))
                seconds[num_clients] += [one for answer in answers for one in answer]
                lags[num_clients] += take_lags(home)
    ratios = [many / one for one, many in zip(rates[1], rates[NUM_CLIENTS], strict=True)]
    return {
        "throughput_of_eight_by_that_of_one": round(statistics.median(ratios), 2),
        **{
            f"clients_{num_clients}": {
                "p50_ms": percentile(seconds[num_clients], 0.5),
                "p95_ms": percentile(seconds[num_clients], 0.95),
                "queries_per_second": round(statistics.median(rates[num_clients]), 1),
                "loop_held_p99_ms": percentile(lags[num_clients], 0.99),
                "loop_held_longest_ms": percentile(lags[num_clients], 1),
            }
            for num_clients in seconds
        },
        "load_average": round(os.getloadavg()[0], 1),
    }


def ask(url: str, queries: list[str]) -> list[float]:
    """Send queries one after the other on one connection, and return the seconds of each."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    seconds = []
    for query in queries:
        started = time.perf_counter()
        body = json.dumps({"query": query})
        connection.request("POST", "/v1/search", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:  # noqa: PLR2004 - HTTP
            raise RuntimeError(answer.decode())
        seconds.append(time.perf_counter() - started)
    connection.close()
    return seconds


def take_lags(home: Path) -> list[float]:
    """Return the lags written since this was called last."""
    path = home / LAGS
    lags = [float(line) for line in path.read_text().splitlines()] if path.exists() else []
    path.write_text("")
    return lags


def percentile(seconds: list[float], share: float) -> float:
    """Return a percentile in milliseconds."""
    ordered = sorted(seconds)
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)] * 1000, 1)


if __name__ == "__main__":
    main()
