"""How long does it take to try five thousand settings on five hundred questions by replay?

Usage: python -m benchmarks.sweep DATA [--cache FILE]
DATA holds the folder chunking_eval, whose 472 questions are asked, and the first of them again
until there are 500; FILE keeps vectors between runs. The record of the searches is made first, and
not counted. Writes benchmarks/results/sweep.json.
"""

import argparse
import json
import os
import platform
import resource
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.evidence_sets import chunking_eval
from benchmarks.packing import RESULTS
from eval.grid import MOST_CHUNKS
from eval.replay import Replay, record
from eval.sweep import PromptTokens, sweep
from eval.temporary_index import snapshot_index
from ingest.chunker import Chunker
from ingest.settings import IngestSettings
from retrieval.embedding import Embedder
from retrieval.packing import PackingPolicy
from retrieval.profiles import RetrievalProfile
from retrieval.sentence_transformer import SentenceTransformerEmbedder
from retrieval.settings import RetrievalSettings
from retrieval.vector_cache import CachingEmbedder, open_cache

NUM_QUESTIONS = 500
WEIGHTS = [weight / 40 for weight in range(41)]
NUM_CHUNKS = range(1, MOST_CHUNKS + 1)
BUDGETS = range(128, 128 * 73, 128)
LABEL_TOKENS = 8


def main() -> None:
    """Record, sweep halves and all of the questions, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, default=None)
    arguments = parser.parse_args()
    settings = RetrievalSettings()
    embedder: Embedder = SentenceTransformerEmbedder(
        settings.embedder, settings.device, settings.embedder_precision
    )
    if arguments.cache is None:
        results = measure(arguments.data, embedder, settings)
    else:
        with open_cache(arguments.cache, 4 * 1024**3) as vectors:
            if vectors is not None:
                embedder = CachingEmbedder(embedder, vectors)
            results = measure(arguments.data, embedder, settings)
    (RESULTS / "sweep.json").write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


def measure(data: Path, embedder: Embedder, settings: RetrievalSettings) -> dict[str, Any]:
    """Return the figures."""
    dataset = chunking_eval(data / "chunking_eval")
    snapshot = dataset.snapshot
    asked = islice(cycle(dataset.questions), NUM_QUESTIONS)
    questions = [replace(one, question_id=str(number)) for number, one in enumerate(asked)]
    chunker = Chunker.for_embedder(IngestSettings(), embedder.max_tokens, embedder.token_starts)
    with snapshot_index(snapshot, chunker, embedder, settings.language) as index:
        replay = Replay(record(index, embedder, questions, "sweep"), embedder)
    tokens = PromptTokens(embedder.count_tokens, lambda _: LABEL_TOKENS, lambda _: 0)
    profiles = list(make_profiles(settings.profile()))
    memory = _peak_mib()

    def measure_seconds(num_questions: int) -> dict[str, float]:
        started, cpu_started = time.perf_counter(), time.process_time()
        sweep(replay, questions[:num_questions], profiles, snapshot, tokens, default_k=10)
        return {
            "seconds": round(time.perf_counter() - started, 1),
            "cpu_seconds": round(time.process_time() - cpu_started, 1),
        }

    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "num_settings": len(profiles),
        "num_questions": NUM_QUESTIONS,
        "half": measure_seconds(NUM_QUESTIONS // 2),
        "whole": measure_seconds(NUM_QUESTIONS),
        "mib_before": round(memory),
        "mib_peak": round(_peak_mib()),
    }


def make_profiles(base: RetrievalProfile) -> Iterator[RetrievalProfile]:
    """Yield 41 ways to rank with 122 amounts of context each."""
    for weight in WEIGHTS:
        ranked = replace_weight(base, weight)
        for top_k in NUM_CHUNKS:
            yield ranked.model_copy(update={"top_k": top_k})
        for max_tokens in BUDGETS:
            packing = PackingPolicy(max_tokens=max_tokens)
            yield ranked.model_copy(update={"top_k": MOST_CHUNKS, "packing": packing})


def replace_weight(base: RetrievalProfile, weight: float) -> RetrievalProfile:
    """Return a profile with another weight, and as many candidates as are ever asked for."""
    return base.model_copy(update={"dense_weight": weight, "num_candidates": MOST_CHUNKS})


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
