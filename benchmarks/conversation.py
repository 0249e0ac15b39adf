"""What a question in a conversation is best searched with.

Usage: python -m benchmarks.conversation --cache DIR DATASET_DIR
The folder has BEIR's layout, and the earlier turns of each query in the field `history` (MTRAG-UN).
Each passage is one chunk. Differences to the question alone are paired by query, with intervals of
Student's t at 95 %. Vectors are kept in DIR. Writes conversation.json and conversation.md to
benchmarks/results.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import ir_measures
from ir_measures import R, nDCG

from eval.beir import Dataset, load_dataset
from eval.intervals import question_t_interval
from eval.json_lines import read_json_lines
from eval.ranking import whole_document
from eval.temporary_index import temporary_index
from retrieval.embedding import Embedder
from retrieval.index import BATCH_SIZE, ChunkIndex
from retrieval.profiles import Mode
from retrieval.search import Searcher
from retrieval.sentence_transformer import SentenceTransformerEmbedder
from retrieval.settings import RetrievalSettings
from retrieval.vector_cache import CachingEmbedder, VectorCache
from serving.conversation import rewrite
from serving.generation import Turn

RESULTS = Path(__file__).resolve().parent / "results"
MEASURES = (R @ 5, nDCG @ 10)
DEPTH = 10
CACHE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Asked:
    """A question and what was said before it."""

    text: str
    history: Sequence[Turn]

    @property
    def user_texts(self) -> list[str]:
        """The user's turns, this one last."""
        return [*(turn.text for turn in self.history if turn.role == "user"), self.text]


WRITERS: Mapping[str, Callable[[Asked], str]] = {
    "the question alone": lambda asked: asked.text,
    "rules": lambda asked: rewrite(asked.text, asked.history).text,
    "with the user's turn before": lambda asked: " ".join(asked.user_texts[-2:]),
    "with all turns of the user": lambda asked: " ".join(asked.user_texts),
    "with the last answer": lambda asked: " ".join(
        [*(turn.text for turn in asked.history[-1:]), asked.text]
    ),
}


def main() -> None:
    """Search with the query of each writer, measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DATASET_DIR")
    parser.add_argument("--cache", required=True, type=Path, metavar="DIR")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    dataset = load_dataset(arguments.folder)
    asked = _read_conversations(dataset)
    model = SentenceTransformerEmbedder(RetrievalSettings().embedder)
    with closing(VectorCache(arguments.cache / "vectors.sqlite", CACHE_BYTES)) as cache:
        values = _measure(dataset, asked, CachingEmbedder(model, cache))
    methods = Counter(rewrite(one.text, one.history).method for one in asked.values())
    figures = {
        "data_set": dataset.name,
        "embedder": model.name,
        "num_queries": len(asked),
        "num_with_history": sum(bool(one.history) for one in asked.values()),
        "num_rewritten_by_rules": methods["rules"],
        "modes": {mode: _compare(by_writer) for mode, by_writer in values.items()},
    }
    (RESULTS / "conversation.json").write_text(json.dumps(figures, indent=2) + "\n")
    (RESULTS / "conversation.md").write_text(_markdown(figures))
    print(_markdown(figures))


def _read_conversations(dataset: Dataset) -> dict[str, Asked]:
    roles = {"user": "user", "agent": "assistant"}
    return {
        query_id: Asked(
            line.text("text"),
            [Turn(roles[turn["speaker"]], turn["text"]) for turn in line.fields["history"]],
        )
        for line in read_json_lines(dataset.folder / "queries.jsonl")
        if (query_id := line.text("_id")) in dataset.qrels
    }


# Mode -> writer -> measure -> value of each query, in the order of the queries.
Values = dict[str, dict[str, dict[str, list[float]]]]


def _measure(dataset: Dataset, asked: Mapping[str, Asked], embedder: Embedder) -> Values:
    settings = RetrievalSettings()
    values: Values = {}
    with (
        temporary_index(embedder.dimension, settings.language) as index,
        closing(Searcher()) as searcher,
    ):
        _fill(index, embedder, dataset)
        for mode in (Mode.LEXICAL, Mode.DENSE, Mode.HYBRID):
            profile = settings.profile().model_copy(update={"mode": mode})
            values[str(mode)] = {}
            for name, write in WRITERS.items():
                run = {
                    query_id: {
                        hit.chunk.document_id: -float(rank)
                        for rank, hit in enumerate(
                            searcher.search(index, embedder, write(one), profile, DEPTH).hits
                        )
                    }
                    for query_id, one in asked.items()
                }
                values[str(mode)][name] = _values(dataset, run, list(asked))
    return values


def _fill(index: ChunkIndex, embedder: Embedder, dataset: Dataset) -> None:
    split = whole_document(embedder)
    chunks = list(
        chain.from_iterable(
            split(one.document_id, one.title, one.text) for one in dataset.documents()
        )
    )
    for start in range(0, len(chunks), BATCH_SIZE):
        batch = chunks[start : start + BATCH_SIZE]
        index.upsert(batch, embedder.embed_passages([chunk.passage for chunk in batch]))


def _values(
    dataset: Dataset, run: dict[str, dict[str, float]], query_ids: Sequence[str]
) -> dict[str, list[float]]:
    measured = {
        (str(metric.measure), metric.query_id): float(metric.value)
        for metric in ir_measures.iter_calc(MEASURES, dataset.qrels, run)
    }
    return {
        str(measure): [measured.get((str(measure), one), 0.0) for one in query_ids]
        for measure in MEASURES
    }


def _compare(by_writer: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, Any]:
    """Return the means of each writer, and how much more than the question alone it finds."""
    baseline = by_writer["the question alone"]
    return {
        name: {
            measure: {
                "mean": round(sum(values) / len(values), 4),
                "gain": _gain(values, baseline[measure]),
            }
            for measure, values in by_measure.items()
        }
        for name, by_measure in by_writer.items()
    }


def _gain(values: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """Return low, mean and high of the paired difference; each query is its own conversation."""
    differences = [one - other for one, other in zip(values, baseline, strict=True)]
    interval = question_t_interval(differences, [str(i) for i in range(len(differences))])
    return [round(x, 4) for x in (interval.low, interval.mean, interval.high)] if interval else []


def _markdown(figures: Mapping[str, Any]) -> str:
    lines = [
        f"{figures['data_set']}: {figures['num_queries']} judged questions, "
        f"{figures['num_with_history']} with earlier turns, of which rules rewrite "
        f"{figures['num_rewritten_by_rules']}. Gains are to the question alone (95 % intervals).",
        "",
        "| search | query | R@5 | gain | nDCG@10 | gain |",
        "|---|---|---|---|---|---|",
    ]
    for mode, by_writer in figures["modes"].items():
        for name, by_measure in by_writer.items():
            cells = [
                cell
                for one in by_measure.values()
                for cell in (f"{one['mean']:.3f}", _interval(one["gain"]))
            ]
            lines.append(f"| {mode} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _interval(gain: Sequence[float]) -> str:
    low, mean, high = gain
    return f"{mean:+.3f} ± {(high - low) / 2:.3f}"


if __name__ == "__main__":
    main()
