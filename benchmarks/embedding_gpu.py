"""Embedding and reranking on a GPU: how near they come to the model alone.

Usage: python -m benchmarks.embedding_gpu [--device cuda] [--passages N] [--out FILE]
Passages are pieces of the bundled documents, again and again until there are enough, of 16 to 200
tokens. The model alone, which is the limit, is given batches that lie on the GPU as tokens already;
its batches are those of our embedder. The others start from text and end with vectors in main
memory. Embedders take turns; each figure is the median of the rounds. Writes embedding_gpu.json to
benchmarks/results.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.util import batch_to_device
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from retrieval.cross_encoder import CrossEncoderReranker
from retrieval.index import BATCH_SIZE
from retrieval.sentence_transformer import (
    DTYPES,
    GPU_BATCH_TOKENS,
    SentenceTransformerEmbedder,
    device_name,
    find_model,
)
from retrieval.settings import RetrievalSettings

RESULTS = Path(__file__).resolve().parent / "results"
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NUM_ROUNDS = 3
FEWEST_TOKENS, MOST_TOKENS = 16, 200
QUERY = "What is the effect of vitamin D on bone density?"
PLAIN_BATCHES = (32, 256)
NUM_RERANKED = 30


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--passages", type=int, default=8192)
    parser.add_argument("--out", type=Path, default=RESULTS / "embedding_gpu.json")
    arguments = parser.parse_args()
    name = RetrievalSettings().embedder
    passages = _passages(SentenceTransformerEmbedder(name, arguments.device), arguments.passages)
    figures = {
        "gpu": device_name(),
        "num_passages": len(passages),
        "embedding": _measure_embedding(name, arguments.device, passages),
        "reranking": _measure_reranking(name, arguments.device, passages),
    }
    arguments.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


def _passages(embedder: SentenceTransformerEmbedder, number: int) -> list[str]:
    """Cut the bundled texts at random lengths, the same in each run."""
    chance = random.Random(0)  # noqa: S311 - not for secrets
    pieces = []
    for path in sorted((EXAMPLES / "library").glob("*.md")):
        text = path.read_text()
        starts = [*embedder.token_starts(text), len(text)]
        while len(starts) > 1:
            num_tokens = min(chance.randint(FEWEST_TOKENS, MOST_TOKENS), len(starts) - 1)
            pieces.append(text[starts[0] : starts[num_tokens]].rstrip())
            starts = starts[num_tokens:]
    return [pieces[i % len(pieces)] for i in range(number)]


def _measure_embedding(name: str, device: str, passages: Sequence[str]) -> dict[str, Any]:
    runs: dict[str, Callable[[], object]] = {}
    for precision in ("fp32", "bf16", "fp16"):
        embedder = SentenceTransformerEmbedder(name, device, precision)
        runs[f"model alone, {precision}"] = _model_alone(
            _load(name, device, precision), embedder, passages
        )
        runs[f"ours, {precision}"] = partial(embedder.embed_passages, passages)
        runs[f"ours, {precision}, {BATCH_SIZE} at a time"] = partial(
            _embed_in_batches, embedder, passages
        )
    for size in PLAIN_BATCHES:
        for precision in ("fp32", "bf16"):
            model = _load(name, device, precision)
            runs[f"sentence-transformers, {precision}, batches of {size}"] = partial(
                model.encode_document,
                list(passages),
                batch_size=size,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
    return _take_turns(runs, len(passages))


def _embed_in_batches(embedder: SentenceTransformerEmbedder, passages: Sequence[str]) -> None:
    """As ingestion does."""
    for start in range(0, len(passages), BATCH_SIZE):
        embedder.embed_passages(passages[start : start + BATCH_SIZE])


def _load(name: str, device: str, precision: str) -> SentenceTransformer:
    kwargs = {"dtype": DTYPES[precision]}
    return SentenceTransformer(str(find_model(name)), device=device, model_kwargs=kwargs).eval()


def _model_alone(
    model: SentenceTransformer, embedder: SentenceTransformerEmbedder, passages: Sequence[str]
) -> Callable[[], object]:
    lengths = {i: embedder.count_tokens(text) for i, text in enumerate(passages)}
    batches: list[list[str]] = []
    room = 0
    for i in sorted(lengths, key=lambda i: -lengths[i]):
        if not batches or len(batches[-1]) == room:
            room = max(1, GPU_BATCH_TOKENS // (lengths[i] + 2))
            batches.append([])
        batches[-1].append(passages[i])
    tokens = [batch_to_device(model.preprocess(batch), model.device) for batch in batches]

    def run() -> object:
        with torch.inference_mode():
            return [model(dict(batch))["sentence_embedding"] for batch in tokens]

    return run


def _measure_reranking(name: str, device: str, passages: Sequence[str]) -> dict[str, Any]:
    """With random weights of the size of ms-marco-MiniLM-L6-v2, one query and its best hits."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = AutoTokenizer.from_pretrained(find_model(name), model_max_length=512)
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=384,
            intermediate_size=1536,
            num_hidden_layers=6,
            num_attention_heads=12,
        )
        config.num_labels = 1
        BertForSequenceClassification(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        ours = CrossEncoderReranker(folder, device)
        plain = CrossEncoder(folder, device=device)
    texts = list(passages[:NUM_RERANKED])
    pairs = [(QUERY, text) for text in texts]
    tokens = plain.tokenizer(pairs, padding=True, return_tensors="pt").to(device)

    def alone() -> object:
        with torch.inference_mode():
            return [plain.model(**tokens) for _ in range(10)]

    runs: dict[str, Callable[[], object]] = {
        "model alone": alone,
        "ours": lambda: [list(ours.score(QUERY, texts, float("inf"))) for _ in range(10)],
        "sentence-transformers": lambda: [
            plain.predict(pairs, batch_size=NUM_RERANKED, show_progress_bar=False)
            for _ in range(10)
        ],
    }
    return _take_turns(runs, 10 * NUM_RERANKED)


def _take_turns(runs: dict[str, Callable[[], object]], number: int) -> dict[str, Any]:
    """Return passages per second of each run, and its share of the first run's."""
    seconds: dict[str, list[float]] = {run: [] for run in runs}
    for round_number in range(NUM_ROUNDS + 1):
        for run, work in runs.items():
            _synchronize()
            started = time.perf_counter()
            work()
            _synchronize()
            if round_number:  # the first is to warm up
                seconds[run].append(time.perf_counter() - started)
    medians = {run: statistics.median(own) for run, own in seconds.items()}
    return {
        run: {
            "passages_per_second": round(number / median, 1),
            "slowest": round(number / max(seconds[run]), 1),
            "fastest": round(number / min(seconds[run]), 1),
        }
        for run, median in medians.items()
    }


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
