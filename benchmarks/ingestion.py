"""Ingestion end to end against the embedder alone, on the same chunks in turn.

Usage: python -m benchmarks.ingestion FOLDER...
In each round a folder is ingested by a fresh service over HTTP, as `suffice ingest` does it, and
then once more into another collection, for which the texts are there already: nothing is parsed.
Both are over when the last document is searchable. Vectors are not kept, so each time all chunks
are embedded. Then the embedder embeds the same passages and does nothing else. Prints JSON with
the seconds of each, by the clock and of all processors, and the speed of both ingestions by that
of the embedder in the same round: other work on the machine changes from round to round.
"""

import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ingest.chunker import Chunker
from ingest.files import TextStore
from ingest.home import Home
from ingest.settings import IngestSettings
from retrieval.sentence_transformer import SentenceTransformerEmbedder
from serving.server import run_in_thread
from serving.service import Settings
from suffice.bulk import BulkIngestion
from suffice.client import Client
from suffice.folders import File, list_files

NUM_ROUNDS = 5
WHOLE, AFTER_PARSING, ALONE = "ingestion", "ingestion of what is parsed", "embedder alone"
PARTS = (WHOLE, AFTER_PARSING, ALONE)


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of the clock, and of the processors for this process."""

    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Round:
    """What the parts took, and processor seconds of the processes that parse."""

    costs: dict[str, Cost]
    parsing_cpu_seconds: float

    def speed(self, part: str) -> float:
        """Return the speed of a part by that of the embedder alone."""
        return self.costs[ALONE].seconds / self.costs[part].seconds


def main() -> None:
    """Measure each folder."""
    embedder = SentenceTransformerEmbedder(Settings.read(Path()).retrieval.embedder)
    results = {folder: measure(Path(folder), embedder) for folder in sys.argv[1:]}
    print(json.dumps(results, indent=2))


def measure(folder: Path, embedder: SentenceTransformerEmbedder) -> dict[str, Any]:
    """Ingest a folder and return the figures."""
    files = list_files([folder], Path("no-home")).files
    rounds: list[Round] = []
    for _ in range(NUM_ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            home = Path(name)
            children_before = _cpu_seconds(resource.RUSAGE_CHILDREN)
            with _service(home, embedder) as client:
                documents, whole = _ingest(client, files, "first")
                _, after_parsing = _ingest(client, files, "second")
            parsing = _cpu_seconds(resource.RUSAGE_CHILDREN) - children_before
            passages = _passages(home, embedder, documents)
        alone = _embed_alone(embedder, passages)
        costs = dict(zip(PARTS, (whole, after_parsing, alone), strict=True))
        rounds.append(Round(costs, parsing))
    return _describe(documents, len(passages), rounds)


@contextmanager
def _service(home: Path, embedder: SentenceTransformerEmbedder) -> Iterator[Client]:
    """Yield the client of a service that has ingested something before."""
    settings = Settings.read(home)
    retrieval = settings.retrieval.model_copy(update={"vector_cache_bytes": 0})
    with (
        run_in_thread(replace(settings, retrieval=retrieval), embedder) as url,
        Client(url) as client,
    ):
        path = home / "warm-up.txt"
        path.write_text("The job queue looks for work once a second until the first job arrives.")
        client.wait(client.upload(path)["id"])
        yield client


def _ingest(
    client: Client, files: Sequence[File], collection: str
) -> tuple[list[dict[str, Any]], Cost]:
    started, cpu_before = time.time(), _cpu_seconds(resource.RUSAGE_SELF)
    report = BulkIngestion(client, collection).run(files)
    cpu_seconds = _cpu_seconds(resource.RUSAGE_SELF) - cpu_before
    documents = [outcome.document for outcome in report.outcomes]
    ended = max(datetime.fromisoformat(one["updated_at"]).timestamp() for one in documents)
    return documents, Cost(ended - started, cpu_seconds)


def _embed_alone(embedder: SentenceTransformerEmbedder, passages: list[str]) -> Cost:
    started, cpu_before = time.time(), _cpu_seconds(resource.RUSAGE_SELF)
    embedder.embed_passages(passages)
    cpu_seconds = _cpu_seconds(resource.RUSAGE_SELF) - cpu_before
    return Cost(time.time() - started, cpu_seconds)


def _passages(
    home: Path, embedder: SentenceTransformerEmbedder, documents: list[dict[str, Any]]
) -> list[str]:
    """Return the passages in the index, document by document as they were embedded."""
    texts = TextStore(Home(home).texts, Home(home).work)
    chunker = Chunker.for_embedder(IngestSettings(), embedder.max_tokens, embedder.token_starts)
    return [
        chunk.passage
        for document in documents
        if (revision := document["searchable_revision"]) and (text := texts.load(revision))
        for chunk in chunker.split(document["id"], revision, text)
    ]


def _describe(
    documents: list[dict[str, Any]], num_chunks: int, rounds: Sequence[Round]
) -> dict[str, Any]:
    statuses = [document["status"] for document in documents]
    speeds = {part: [one.speed(part) for one in rounds] for part in (WHOLE, AFTER_PARSING)}
    costs = {part: [one.costs[part] for one in rounds] for part in PARTS}
    return {
        "num_documents": len(documents),
        "num_failed": statuses.count("failed"),
        "num_pages": sum(document["progress"]["pages"] or 0 for document in documents),
        "num_chunks": num_chunks,
        "speed_by_embedder_alone": {
            part: {
                "median": round(statistics.median(values), 3),
                "rounds": [round(value, 3) for value in values],
            }
            for part, values in speeds.items()
        },
        "chunks_per_second": {
            part: round(statistics.median(num_chunks / one.seconds for one in values), 1)
            for part, values in costs.items()
        },
        "cpu_seconds": {
            **{
                part: round(statistics.median(one.cpu_seconds for one in values), 1)
                for part, values in costs.items()
            },
            "parsing": round(statistics.median(one.parsing_cpu_seconds for one in rounds), 1),
        },
    }


def _cpu_seconds(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
