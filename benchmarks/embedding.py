"""Embedding on this machine: speed and agreement of precisions, and one query.

Usage: python -m benchmarks.embedding CORPUS_JSONL
Passages are the texts of a corpus in BEIR's layout, cut at random lengths from 16 tokens to what
the embedder reads. Compared are plain `encode` of sentence-transformers with its defaults (fp32,
all cores on one batch) on batches of 32 as they come, the same on all passages at once (it sorts
them), and our embedder in fp32 and, where it computes it faster, bf16. Each round runs all of them
one after the other; the best round counts, because other work on the machine only lengthens it.
Prints JSON.
"""

import json
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from retrieval.embedding import Matrix
from retrieval.sentence_transformer import NUM_CORES, SentenceTransformerEmbedder, find_model
from retrieval.settings import RetrievalSettings

NUM_PASSAGES = 64
NUM_ROUNDS = 9
NUM_QUERIES = 50
QUERY = "What is the effect of vitamin D on bone density?"
PLAIN_BATCH_SIZE = 32


def main() -> None:
    """Measure and print."""
    name = RetrievalSettings().embedder
    default = SentenceTransformerEmbedder(name)
    embedders = {"fp32": SentenceTransformerEmbedder(name, precision="fp32"), "auto": default}
    passages = mixed_lengths(default, Path(sys.argv[1]))
    plain = SentenceTransformer(str(find_model(name)), model_kwargs={"dtype": torch.float32})

    def plain_as_they_come() -> Matrix:
        starts = range(0, len(passages), PLAIN_BATCH_SIZE)
        batches = [passages[start : start + PLAIN_BATCH_SIZE] for start in starts]
        return np.concatenate([encode(plain, batch) for batch in batches])

    runs: dict[str, Callable[[], Matrix]] = {
        "sentence-transformers, batches as they come": plain_as_they_come,
        "sentence-transformers, sorted": lambda: encode(plain, passages),
    }
    for precision, embedder in embedders.items():
        runs[precision] = partial(embedder.embed_passages, passages)
    print(json.dumps(measure(runs, len(passages)) | measure_query(default, plain), indent=2))


def mixed_lengths(embedder: SentenceTransformerEmbedder, corpus: Path) -> list[str]:
    """Cut texts at random lengths, the same in each run."""
    chance = random.Random(0)  # noqa: S311 - not for secrets
    passages = []
    with corpus.open(encoding="utf-8") as lines:
        for line in islice(lines, NUM_PASSAGES):
            text = json.loads(line)["text"]
            starts = [*embedder.token_starts(text), len(text)]
            num_tokens = min(chance.randint(16, embedder.max_tokens), len(starts) - 1)
            passages.append(text[: starts[num_tokens]].rstrip())
    return passages


def encode(model: SentenceTransformer, texts: list[str]) -> Matrix:
    """Embed as sentence-transformers does it, on all cores."""
    torch.set_num_threads(NUM_CORES)
    vectors = model.encode_document(texts, normalize_embeddings=True, show_progress_bar=False)
    torch.set_num_threads(1)
    return np.asarray(vectors)


def measure(runs: dict[str, Callable[[], Matrix]], num_passages: int) -> dict[str, Any]:
    """Return passages per second, and how near the vectors are to those of the first run."""
    seconds: dict[str, list[float]] = {run: [] for run in runs}
    vectors: dict[str, Matrix] = {}
    for _ in range(NUM_ROUNDS):
        for run, embed in runs.items():
            started = time.perf_counter()
            vectors[run] = embed()
            seconds[run].append(time.perf_counter() - started)
    first = next(iter(runs))
    results = {}
    for run in runs:
        cosines = (vectors[run] * vectors[first]).sum(axis=1)
        ratios = [one / other for one, other in zip(seconds[first], seconds[run], strict=True)]
        results[run] = {
            "passages_per_second": round(num_passages / min(seconds[run]), 1),
            "times_the_first": round(statistics.median(ratios), 2),
            "cosine_mean": round(float(cosines.mean()), 6),
            "cosine_min": round(float(cosines.min()), 6),
        }
    return {
        "machine": f"{platform.machine()}, {NUM_CORES} cores, "
        f"{torch.backends.cpu.get_cpu_capability()}",
        "num_passages": num_passages,
        "passages": results,
    }


def measure_query(
    embedder: SentenceTransformerEmbedder, plain: SentenceTransformer
) -> dict[str, Any]:
    """Return milliseconds for one short query."""
    runs: dict[str, Callable[[], Any]] = {
        "sentence-transformers": lambda: plain.encode_query(QUERY, show_progress_bar=False),
        "ours": lambda: embedder.embed_query(QUERY),
    }
    results = {}
    for run, embed in runs.items():
        seconds = []
        for _ in range(NUM_QUERIES):
            started = time.perf_counter()
            embed()
            seconds.append(time.perf_counter() - started)
        results[run] = {
            "median_ms": round(statistics.median(seconds) * 1000, 1),
            "best_ms": round(min(seconds) * 1000, 1),
        }
    return {"query": results}


if __name__ == "__main__":
    main()
