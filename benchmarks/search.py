"""Search latency, memory and start of a service with 10,000 chunks, and of `suffice --help`.

Usage: python -m benchmarks.search CORPUS_JSONL
The texts are real (`text` of each line, for example SciFact's corpus.jsonl); their vectors are
random, because the exact search takes the same time for any, and embedding 10,000 chunks takes
minutes. Queries are the titles. Prints JSON.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ingest.home import Home
from retrieval.embedding import Matrix
from retrieval.sentence_transformer import SentenceTransformerEmbedder
from serving.server import run_in_thread
from serving.service import Settings
from suffice.client import Client

NUM_CHUNKS = 10_000
NUM_QUERIES = 300
TEXTS_PER_FILE = 100


class RandomVectors(SentenceTransformerEmbedder):
    """The real embedder, except that passages get random unit vectors."""

    def embed_passages(self, texts: Sequence[str]) -> Matrix:
        """Return (n, dimension) random unit vectors."""
        generator = np.random.default_rng(zlib.crc32("".join(texts).encode()))
        vectors: Matrix = generator.normal(size=(len(texts), self.dimension)).astype(np.float32)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def main() -> None:
    """Measure."""
    lines = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    queries = [line["title"] for line in lines[:NUM_QUERIES]]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        num_chunks = _fill(home, lines)
        figures = {"num_chunks": num_chunks, **_measure_service(home, queries)}
    print(json.dumps({**figures, "help_seconds": _measure_help()}, indent=2))


def _fill(home: Path, lines: list[dict[str, str]]) -> int:
    settings = Settings.read(home)
    num_chunks = 0
    embedder = RandomVectors(settings.retrieval.embedder)
    with run_in_thread(settings, embedder) as url, Client(url) as client:
        for start in range(0, len(lines), TEXTS_PER_FILE):
            part = lines[start : start + TEXTS_PER_FILE]
            path = home / f"part-{start}.md"
            path.write_text("\n\n".join(f"# {one['title']}\n\n{one['text']}" for one in part))
            num_chunks += client.wait(client.upload(path)["id"])["num_chunks"]
            if num_chunks >= NUM_CHUNKS:
                break
    return num_chunks


def _measure_service(home: Path, queries: list[str]) -> dict[str, float]:
    started = time.perf_counter()
    command = [sys.executable, "-m", "suffice", "serve", "--port", "0"]
    environment = {**os.environ, "SUFFICE_HOME": str(home)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:  # noqa: S603
        try:
            while (url := Home(home).read_address()) is None:
                if process.poll() is not None:
                    raise RuntimeError(f"the service ended with {process.returncode}")
                time.sleep(0.05)
            with Client(url) as client:
                client.search(queries[0])
                ready_seconds = time.perf_counter() - started
                timings = [client.search(query, top_k=10)["timings"] for query in queries]
            memory = _resident_bytes(process.pid)
        finally:
            process.terminate()
    search = sorted(timing["search_seconds"] * 1000 for timing in timings)
    embed = sorted(timing["embed_seconds"] * 1000 for timing in timings)
    return {
        "first_answer_seconds": round(ready_seconds, 2),
        "hybrid_search_p50_ms": round(statistics.median(search), 2),
        "hybrid_search_p95_ms": round(search[int(0.95 * len(search))], 2),
        "embed_query_p50_ms": round(statistics.median(embed), 2),
        "server_resident_mb": round(memory / 1e6),
    }


def _resident_bytes(process_id: int) -> int:
    """Return VmRSS of a process and its children (the parser), Linux only."""
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    total = 0
    for one in (str(process_id), *children):
        for line in Path(f"/proc/{one}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * 1024
    return total


def _measure_help() -> float:
    command = [str(Path(sys.executable).parent / "suffice"), "--help"]
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        seconds.append(time.perf_counter() - started)
    return round(statistics.median(seconds), 2)


if __name__ == "__main__":
    main()
