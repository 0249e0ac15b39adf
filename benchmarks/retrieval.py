"""Our hybrid search beside that of four libraries: quality, latency, ingestion, memory.

Usage: python -m benchmarks.retrieval SCIFACT_FOLDER
Each system runs in a process of its own (see systems/), our own with this Python, the libraries in
an environment that is made at first (`.venv-peers`, or PEERS_VENV; 3 GB). All get the same texts,
queries and vectors. Two parts:
- quality: SciFact, every judged document and others up to 2,000, embedded with the default model;
  nDCG@10 and R@10 over all judged queries.
- speed: 50,000 synthetic chunks (see synthetic.py). The systems answer 40 queries each in turn, so
  that what else the machine does falls on all of them. The first 20 of a turn meet caches that the
  others have emptied, and are told apart. `engine` is our engine without us.
Results go to benchmarks/results/retrieval.json, .md and .svg. A part that is in retrieval.json
already is not run again: delete the file to start afresh.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice, product
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from benchmarks.peers import ROOT, peers_python, run
from benchmarks.synthetic import Collection
from eval.beir import Dataset, load_dataset
from eval.measures import measure_rankings
from retrieval.embedding import Matrix
from retrieval.sentence_transformer import SentenceTransformerEmbedder
from retrieval.settings import RetrievalSettings

RESULTS = Path(__file__).with_name("results")
PEERS = ("langchain", "llama_index", "haystack", "txtai")
NUM_DOCUMENTS = 2_000
NUM_CHUNKS = int(os.environ.get("NUM_CHUNKS", "50000"))
NUM_TURNS = 6
# Of a turn, in each of its halves.
NUM_QUERIES = 20
WARM_UP = 3

Seconds = npt.NDArray[np.float64]


class System:
    """A running worker."""

    def __init__(self, name: str, process: "subprocess.Popen[str]") -> None:
        self.name = name
        self._process = process

    def answer(self) -> dict[str, Any]:
        """Wait for its next line."""
        line = _pipe(self._process.stdout).readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, query: int) -> dict[str, Any]:
        """Let it answer a query."""
        questions = _pipe(self._process.stdin)
        questions.write(f"{query}\n")
        questions.flush()
        return self.answer()


def main() -> None:
    """Run the parts that are missing, and write the results."""
    path = RESULTS / "retrieval.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    pythons = {"suffice": Path(sys.executable)} | dict.fromkeys(PEERS, peers_python())
    if "quality" not in results:
        results["quality"] = measure_quality(load_dataset(Path(sys.argv[1])), pythons)
        path.write_text(json.dumps(results, indent=2) + "\n")
    if "speed" not in results:
        pythons["engine"] = Path(sys.executable)
        results["speed"] = measure_speed(pythons)
        path.write_text(json.dumps(results, indent=2) + "\n")
    path.with_suffix(".md").write_text(to_markdown(results))
    run(peers_python(), "-m", "benchmarks.plots", "retrieval")
    print(path.with_suffix(".md").read_text())


def measure_quality(dataset: Dataset, pythons: Mapping[str, Path]) -> dict[str, Any]:
    """Return each system's measures over the judged queries of a part of the corpus."""
    judged = {document_id for grades in dataset.qrels.values() for document_id in grades}
    documents = [one for one in dataset.documents() if one.document_id in judged]
    others = (one for one in dataset.documents() if one.document_id not in judged)
    documents += islice(others, NUM_DOCUMENTS - len(documents))
    embedder = SentenceTransformerEmbedder(RetrievalSettings().embedder)
    # A text that is there twice would be two answers to the libraries, which know texts by it.
    texts = {one.passage: one.document_id for one in documents}
    queries = {query.text: query.query_id for query in dataset.queries}
    ids = list(texts.values())
    vectors = embedder.embed_passages(list(texts))
    query_vectors = np.stack([embedder.embed_query(text) for text in queries])
    measures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(Path(folder), list(texts), vectors, list(queries), query_vectors)
        for name, python in pythons.items():
            with running(name, python, Path(folder)) as system:
                system.answer()
                rankings = {
                    query_id: _distinct(ids[n] for n in system.ask(number)["found"])
                    for number, query_id in enumerate(queries.values())
                }
            found = measure_rankings(dataset.qrels, rankings)
            measures[name] = {measure: round(found[measure], 4) for measure in ("nDCG@10", "R@10")}
            print(name, measures[name], file=sys.stderr)
    return {"num_documents": len(ids), "num_queries": len(queries), "systems": measures}


def measure_speed(pythons: Mapping[str, Path]) -> dict[str, Any]:
    """Return each system's latency, rate of ingestion and memory."""
    collection = Collection(NUM_CHUNKS)
    queries = collection.queries(WARM_UP + NUM_TURNS * 2 * NUM_QUERIES)
    texts, parts = [], []
    for chunks, vectors in collection.batches():
        texts += [chunk.text for chunk in chunks]
        parts.append(vectors)
    query_vectors = np.stack([query.vector for query in queries])
    query_texts = [query.text for query in queries]
    rates: dict[str, float] = {}
    seconds = {name: np.empty((NUM_TURNS, 2, NUM_QUERIES)) for name in pythons}
    memory: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        write_inputs(Path(folder), texts, np.concatenate(parts), query_texts, query_vectors)
        systems = []
        for name, python in pythons.items():
            systems.append(stack.enter_context(running(name, python, Path(folder))))
            rates[name] = len(texts) / systems[-1].answer()["seconds"]
            print(name, f"{rates[name]:.0f} chunks/s", file=sys.stderr)
        for system in systems:
            for number in range(WARM_UP):
                system.ask(number)
        for turn, system in product(range(NUM_TURNS), systems):
            taken = seconds[system.name][turn].reshape(-1)
            for place in range(len(taken)):
                answer = system.ask(WARM_UP + turn * len(taken) + place)
                taken[place] = answer["seconds"]
            memory[system.name] = answer["bytes"]
    return {
        "num_chunks": len(texts),
        "num_turns": NUM_TURNS,
        "num_queries": NUM_QUERIES,
        "load_average": round(os.getloadavg()[0], 1),
        "systems": {
            name: {
                **_latency(taken[:, 1], seconds["suffice"][:, 1]),
                "after_others": _latency(taken[:, 0], seconds["suffice"][:, 0]),
                "chunks_per_second": round(rates[name]),
                "memory_mb": round(memory[name] / 1e6),
            }
            for name, taken in seconds.items()
        },
    }


def _latency(seconds: Seconds, ours: Seconds) -> dict[str, float]:
    """Return medians and the like, and how many times those of Suffice the seconds are.

    Args:
        seconds: of each query.
        ours: of the same queries, by Suffice.
    """
    return {
        "p50_ms": round(float(np.median(seconds)) * 1000, 2),
        "p95_ms": round(float(np.quantile(seconds, 0.95)) * 1000, 2),
        "times_suffice": round(float(np.median(seconds / ours)), 2),
    }


def write_inputs(
    folder: Path,
    texts: Sequence[str],
    vectors: Matrix,
    queries: Sequence[str],
    query_vectors: Matrix,
) -> None:
    """Write what every worker reads."""
    (folder / "texts.json").write_text(json.dumps(list(texts)))
    (folder / "queries.json").write_text(json.dumps(list(queries)))
    np.save(folder / "texts.npy", vectors)
    np.save(folder / "queries.npy", query_vectors)


@contextmanager
def running(name: str, python: Path, folder: Path) -> Iterator[System]:
    """Start a worker, and stop it."""
    command = [str(python), "-m", "benchmarks.systems.worker", name, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    log = folder / f"{name}.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            env=environment,
            text=True,
        ) as process,
    ):
        try:
            yield System(name, process)
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{log.read_text()[-3000:]}") from error
        finally:
            process.kill()


def to_markdown(results: Mapping[str, Any]) -> str:
    """Return both parts as one table."""
    quality, speed = results["quality"], results["speed"]
    lines = [
        "# Hybrid retrieval beside four libraries",
        "",
        f"Quality: SciFact, {quality['num_documents']:,} documents, {quality['num_queries']} "
        f"queries. Speed: {speed['num_chunks']:,} synthetic chunks, {speed['num_turns']} turns of "
        f"2 x {speed['num_queries']} queries, of which the first half meets the caches that the "
        "others left; embedding left out everywhere; load of the machine at the end "
        f"{speed['load_average']}. `engine`: the two queries of our engine without us.",
        "",
        "| system | nDCG@10 | R@10 | p50, ms | p95, ms | times Suffice | p50 after others, ms "
        "| times Suffice | chunks/s | memory, MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, one in speed["systems"].items():
        found = quality["systems"].get(name, {"nDCG@10": "-", "R@10": "-"})
        first = one["after_others"]
        lines.append(
            f"| {name} | {found['nDCG@10']} | {found['R@10']} | {one['p50_ms']} | {one['p95_ms']} "
            f"| {one['times_suffice']} | {first['p50_ms']} | {first['times_suffice']} "
            f"| {one['chunks_per_second']:,} | {one['memory_mb']:,} |"
        )
    return "\n".join([*lines, ""])


def _distinct(ids: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(ids))


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None  # noqa: S101 - opened by `running`
    return stream


if __name__ == "__main__":
    main()
