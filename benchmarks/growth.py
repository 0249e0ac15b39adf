"""What an embedded index of 10,000 to 250,000 chunks costs: latency, memory, disk, opening.

Usage: python -m benchmarks.growth
Chunks are synthetic (see synthetic.py); queries come embedded. A process for each size writes and
optimises the index, another one opens and asks it: all chunks, then those that a filter leaves, a
tenth, and in turn with both the engine alone, its two queries without us. Results go to
benchmarks/results/growth.json, .md and .svg. A size of which growth.json has all figures is not
measured again.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import peers_python, run
from benchmarks.synthetic import DIMENSION, Collection, Query
from benchmarks.systems.engine import ask_engine
from benchmarks.systems.worker import resident_bytes
from retrieval.edge import EdgeIndex, EdgeStore
from retrieval.embedding import EmbeddedQuery
from retrieval.filters import Comparison, Filter
from retrieval.payload import query_text
from retrieval.search import Searcher
from retrieval.settings import RetrievalSettings

RESULTS = Path(__file__).with_name("results") / "growth.json"
SIZES = tuple(int(n) for n in os.environ.get("SIZES", "10000,50000,100000,250000").split(","))
NUM_QUERIES = 200
WARM_UP = 20
TOP_K = 10
# Batch by batch, so that each tenth is all over the topics.
TENTH = "tenth"
A_TENTH = Comparison(TENTH, "eq", (0.0,))
# The engine answers one query at a time and holds the whole process meanwhile. At 25 ms a service
# answers at most 40 queries a second, on however many cores.
SERVER_FROM_MS = 25
COLUMNS = {
    "num_chunks": "chunks",
    "p50_ms": "p50, ms",
    "p95_ms": "p95, ms",
    "filtered_p50_ms": "p50 within a tenth, ms",
    "engine_p50_ms": "p50 of the engine alone, ms",
    "memory_mb": "memory, MB",
    "disk_mb": "disk, MB",
    "open_seconds": "opening, s",
    "write_seconds": "writing, s",
    "optimise_seconds": "optimising, s",
    "load_average": "load",
}


def main() -> None:
    """Measure the sizes that are missing, and write the results."""
    if len(sys.argv) > 1:
        {"write": write_index, "ask": ask_index}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
        return
    known = json.loads(RESULTS.read_text())["sizes"] if RESULTS.exists() else []
    sizes = {one["num_chunks"]: one for one in known if one.keys() >= COLUMNS.keys()}
    for num_chunks in SIZES:
        if num_chunks not in sizes:
            with tempfile.TemporaryDirectory() as folder:
                written = _in_process("write", folder, num_chunks)
                sizes[num_chunks] = written | _in_process("ask", folder, num_chunks)
            print(sizes[num_chunks], file=sys.stderr)
        ordered = [sizes[number] for number in sorted(sizes)]
        results = {"server_from_chunks": server_from(ordered), "sizes": ordered}
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    RESULTS.with_suffix(".md").write_text(to_markdown(results))
    run(peers_python(), "-m", "benchmarks.plots", "growth")
    print(RESULTS.with_suffix(".md").read_text())


def write_index(root: Path, num_chunks: int) -> None:
    """Write and optimise an index, and print its size."""
    store = EdgeStore(root, DIMENSION, RetrievalSettings().language)
    index = store.open("default")
    started = time.perf_counter()
    for number, (chunks, vectors) in enumerate(Collection(num_chunks).batches()):
        index.upsert(chunks, vectors, {TENTH: (float(number % 10),)})
    upserted = time.perf_counter()
    index.compact()
    compacted = time.perf_counter()
    store.close()
    size = sum(path.stat().st_blocks * 512 for path in root.rglob("*") if path.is_file())
    figures = {
        "num_chunks": num_chunks,
        "write_seconds": round(upserted - started, 1),
        "optimise_seconds": round(compacted - upserted, 1),
        "disk_mb": round(size / 1e6),
    }
    print(json.dumps(figures))


def ask_index(root: Path, num_chunks: int) -> None:
    """Open an index and ask it, and print how long that takes."""
    queries = Collection(num_chunks).queries(3 * (NUM_QUERIES + WARM_UP))
    before = resident_bytes()
    started = time.perf_counter()
    store = EdgeStore(root, DIMENSION, RetrievalSettings().language)
    index = store.open("default")
    opened = time.perf_counter()
    seconds = measure(index, queries)
    p50, p95 = np.quantile(seconds["all"], [0.5, 0.95]) * 1000
    filtered, engine = (np.median(seconds[kind]) * 1000 for kind in ("filtered", "engine"))
    figures = {
        "open_seconds": round(opened - started, 2),
        "p50_ms": round(float(p50), 2),
        "p95_ms": round(float(p95), 2),
        "filtered_p50_ms": round(float(filtered), 2),
        "engine_p50_ms": round(float(engine), 2),
        "memory_mb": round((resident_bytes() - before) / 1e6),
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(figures))
    store.close()


def measure(index: EdgeIndex, queries: Sequence[Query]) -> dict[str, list[float]]:
    """Return the seconds of each query among all chunks, within a tenth, and by the engine."""
    searcher, profile = Searcher(), RetrievalSettings().profile()

    def search(query: Query, where: Filter | None = None) -> None:
        searcher.search(index, EmbeddedQuery(query.vector), query.text, profile, TOP_K, where)

    def ask(query: Query) -> None:
        words = query_text(query.text, index.analyzer)
        ask_engine(index._shard, words, query.vector, profile.num_candidates)

    kinds: dict[str, Callable[[Query], None]] = {
        "all": search,
        "filtered": partial(search, where=A_TENTH),
        "engine": ask,
    }
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    # Each query once: the analyzer remembers words.
    for query, kind in zip(queries, cycle(kinds)):
        started = time.perf_counter()
        kinds[kind](query)
        seconds[kind].append(time.perf_counter() - started)
    searcher.close()
    return {kind: taken[WARM_UP:] for kind, taken in seconds.items()}


def server_from(sizes: Sequence[dict[str, Any]]) -> int:
    """Return the number of chunks at which the median reaches the limit, by a line through all."""
    numbers = np.array([one["num_chunks"] for one in sizes], dtype=float)
    medians = np.array([one["p50_ms"] for one in sizes])
    milliseconds_per_chunk = float((numbers * medians).sum() / (numbers * numbers).sum())
    return int(round(SERVER_FROM_MS / milliseconds_per_chunk, -4))


def to_markdown(results: dict[str, Any]) -> str:
    """Return a table, and where a server should take over."""
    lines = [
        "# Cost of growth",
        "",
        "Embedded index, synthetic chunks, hybrid queries of ten hits, embedding left out. Memory "
        "is what the process has of its own; the files are mapped besides.",
        "",
        f"| {' | '.join(COLUMNS.values())} |",
        f"|{'---|' * len(COLUMNS)}",
        *(f"| {' | '.join(f'{one[key]:,}' for key in COLUMNS)} |" for one in results["sizes"]),
        "",
        f"The median reaches {SERVER_FROM_MS} ms at about {results['server_from_chunks']:,} "
        "chunks. The engine answers one query at a time, so from there on a Qdrant server should "
        "take over.",
        "",
    ]
    return "\n".join(lines)


def _in_process(step: str, folder: str, num_chunks: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.growth", step, folder, str(num_chunks)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


if __name__ == "__main__":
    main()
