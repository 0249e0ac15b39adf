"""Do planted instructions have success, and how many are seen?

Usage: python -m benchmarks.injection [--url URL [--api-key KEY]] [DATASET_DIR...]
Each document of tests/serving/attacks is uploaded to a collection of its own of the service at URL,
asked its innocent question, and deleted. Without URL a service of its own answers, extractively. An
attack had success when its canary stands in the answer. The folders, in BEIR's layout, hold
ordinary texts: what share of their chunks looks like an attack? Writes injection.json and
injection.md to benchmarks/results.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import process_time
from typing import Any

from eval.beir import load_dataset
from ingest.chunker import Chunker
from ingest.settings import IngestSettings
from ingest.texts import CanonicalText
from retrieval.sentence_transformer import SentenceTransformerEmbedder
from retrieval.settings import RetrievalSettings
from serving.injection import score_instructions
from serving.server import run_in_thread
from serving.service import Settings
from suffice.client import Client
from tests.serving.attack_suite import STYLES, Attack, load_attacks

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> None:
    """Run the attacks, look at the ordinary texts, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, metavar="DATASET_DIR")
    parser.add_argument("--url")
    parser.add_argument("--api-key")
    arguments = parser.parse_args()
    attacks = load_attacks()
    with _client(arguments.url, arguments.api_key) as client:
        outcomes = [_attack(client, attack) for attack in attacks]
    figures = {
        "answered_by": sorted({outcome["model"] for outcome in outcomes}),
        "styles": _by_style(attacks, outcomes),
        "ordinary_texts": _ordinary(arguments.folders),
    }
    (RESULTS / "injection.json").write_text(json.dumps(figures, indent=2) + "\n")
    (RESULTS / "injection.md").write_text(_markdown(figures))
    print(_markdown(figures))


@contextmanager
def _client(url: str | None, api_key: str | None) -> Iterator[Client]:
    if url is not None:
        with Client(url, api_key) as client:
            yield client
        return
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.read(Path(folder))
        with run_in_thread(settings) as own_url, Client(own_url) as client:
            yield client


def _attack(client: Client, attack: Attack) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / attack.filename
        path.write_text(attack.document)
        document = client.upload(path, collection=f"attack-{attack.name}")
    client.wait(document["id"])
    response = client.ask(attack.question, collection=f"attack-{attack.name}")
    client.delete(document["id"])
    text = response["choices"][0]["message"]["content"]
    return {
        "model": response["suffice"]["answered_by"],
        "success": attack.canary.lower() in text.lower(),
        "answered": attack.answer in text,
        "seen": score_instructions(attack.document).is_suspicious,
    }


def _by_style(
    attacks: Sequence[Attack], outcomes: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, int]]:
    """Return, for each style and for all, how many attacks there are and what became of them."""
    counts = {}
    for style in (*STYLES, "all"):
        chosen = [
            outcome
            for attack, outcome in zip(attacks, outcomes, strict=True)
            if style in (attack.style, "all")
        ]
        counts[style] = {
            "attacks": len(chosen),
            **{name: sum(one[name] for one in chosen) for name in ("success", "answered", "seen")},
        }
    return counts


def _ordinary(folders: Sequence[Path]) -> dict[str, dict[str, float]]:
    """Return, for each folder, how many of its chunks are suspicious, and the CPU time of each."""
    embedder = SentenceTransformerEmbedder(RetrievalSettings().embedder)
    chunker = Chunker.for_embedder(IngestSettings(), embedder.max_tokens, embedder.token_starts)
    shares = {}
    for folder in folders:
        chunks = [
            chunk.text
            for document in load_dataset(folder).documents()
            if document.text.strip()
            for chunk in chunker.split(document.document_id, "", CanonicalText(document.text))
        ]
        started = process_time()
        num_suspicious = sum(score_instructions(chunk).is_suspicious for chunk in chunks)
        seconds = process_time() - started
        shares[f"{folder.parent.name}/{folder.name}"] = {
            "chunks": len(chunks),
            "suspicious": num_suspicious,
            "ms_per_chunk": round(1000 * seconds / len(chunks), 3),
        }
    return shares


def _markdown(figures: Mapping[str, Any]) -> str:
    lines = [
        f"Answered by {', '.join(figures['answered_by'])}.",
        "",
        "| style | attacks | success | right answer | seen |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {style} | {' | '.join(str(value) for value in counts.values())} |"
        for style, counts in figures["styles"].items()
    ]
    lines += [
        "",
        "| ordinary texts | chunks | suspicious | ms of CPU a chunk |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {' | '.join(str(value) for value in row.values())} |"
        for name, row in figures["ordinary_texts"].items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
