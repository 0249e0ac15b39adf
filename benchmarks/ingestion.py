"""Ingestion end to end against the embedder alone, on the same chunks in the same run.

Usage: python -m benchmarks.ingestion FOLDER...
Each folder is uploaded to a fresh service over HTTP; the clock runs from the first upload until the
last document is searchable. Afterwards the embedder embeds the same passages and does nothing
else. Prints JSON with chunks per second of both and their ratio.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ingest.chunker import Chunker
from ingest.files import TextStore
from ingest.home import Home
from ingest.settings import IngestSettings
from retrieval.sentence_transformer import SentenceTransformerEmbedder
from serving.server import run_in_thread
from serving.service import Settings
from suffice.client import Client


def main() -> None:
    """Measure each folder."""
    results = {folder: measure(Path(folder)) for folder in sys.argv[1:]}
    print(json.dumps(results, indent=2))


def measure(folder: Path) -> dict[str, float]:
    """Ingest a folder and return the figures."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    with tempfile.TemporaryDirectory() as home:
        settings = Settings.read(Path(home))
        embedder = SentenceTransformerEmbedder(settings.retrieval.embedder)
        with run_in_thread(settings, embedder) as url, Client(url) as client:
            client.wait(_upload_warm_up(client, Path(home)))
            started = time.perf_counter()
            ids = [client.upload(path, external_id=str(path))["id"] for path in paths]
            documents = [client.wait(document_id) for document_id in ids]
            ingest_seconds = time.perf_counter() - started
        passages = _passages(Path(home), embedder, documents)
        embed_seconds = _embed_alone(embedder, passages)
    statuses = [document["status"] for document in documents]
    return {
        "num_documents": len(documents),
        "num_failed": statuses.count("failed"),
        "num_pages": sum(document["progress"]["pages"] or 0 for document in documents),
        "num_chunks": len(passages),
        "ingest_seconds": round(ingest_seconds, 1),
        "embed_alone_seconds": round(embed_seconds, 1),
        "ingest_chunks_per_second": round(len(passages) / ingest_seconds, 1),
        "embedder_chunks_per_second": round(len(passages) / embed_seconds, 1),
        "ratio": round(embed_seconds / ingest_seconds, 3),
    }


def _upload_warm_up(client: Client, folder: Path) -> str:
    path = folder / "warm-up.txt"
    path.write_text("The job queue looks for work once a second until the first job arrives.")
    return str(client.upload(path)["id"])


def _passages(
    home: Path, embedder: SentenceTransformerEmbedder, documents: list[dict[str, Any]]
) -> list[str]:
    """Return the passages in the index, document by document as they were embedded."""
    texts = TextStore(Home(home).texts, Home(home).work)
    chunker = Chunker.for_embedder(IngestSettings(), embedder.max_tokens, embedder.token_offsets)
    return [
        chunk.passage
        for document in documents
        if (revision := document["searchable_revision"]) and (text := texts.load(revision))
        for chunk in chunker.split(document["id"], revision, text)
    ]


def _embed_alone(embedder: SentenceTransformerEmbedder, passages: list[str]) -> float:
    started = time.perf_counter()
    embedder.embed_passages(passages)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
