"""Does late interaction with the embedder's own token vectors rank better than the fused scores?

Usage: python -m benchmarks.reranking --cache DIR [--documents N] [--queries N] DATASET_DIR...
Each folder has BEIR's layout. The best hits of hybrid search are put in the order of
(1 - weight) * fused + weight * late interaction, at several depths: with weight 1, which is what
the service does, and with the weight that is best on the other data sets. Differences are paired by
query, with intervals of Student's t at 95 %. What was computed is kept in DIR, so that a run that
was stopped goes on. Writes reranking.json and reranking.md to benchmarks/results.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from time import perf_counter
from typing import Any

import ir_measures
from ir_measures import nDCG

from eval.beir import Dataset, Document, Qrels, load_dataset
from eval.intervals import cluster_t_interval
from eval.ranking import whole_document
from eval.temporary_index import temporary_index
from retrieval.chunks import Hit
from retrieval.embedding import Embedder
from retrieval.index import BATCH_SIZE, ChunkIndex
from retrieval.late_interaction import LateInteractionReranker, mean_of_best_matches
from retrieval.reranking import Reranking
from retrieval.search import Searcher
from retrieval.sentence_transformer import SentenceTransformerEmbedder
from retrieval.settings import RetrievalSettings
from retrieval.vector_cache import CachingEmbedder, VectorCache

RESULTS = Path(__file__).resolve().parent / "results"
DEPTHS = (10, 20, 30, 50)
WEIGHTS = tuple(tenth / 10 for tenth in range(11))
MEASURE = nDCG @ 10
CACHE_BYTES = 2 << 30
NUM_TIMED = 10
UNLIMITED_SECONDS = 3600.0

# (query id, document id) -> late interaction.
Scores = dict[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class Judged:
    """A data set with the candidates of each query, in fused order, and their scores."""

    name: str
    qrels: Qrels
    hits: dict[str, list[Hit]]
    scores: Scores
    num_documents: int
    seconds: dict[int, float]

    def ndcg(self, depth: int, weight: float) -> list[float]:
        """Return nDCG@10 of each query when the first `depth` hits are ordered with a weight."""
        run = {}
        for query_id, hits in self.hits.items():

            def score(hit: Hit, query_id: str = query_id) -> float:
                late = self.scores[query_id, hit.chunk.document_id]
                return (1 - weight) * hit.score + weight * late

            ranking = [*sorted(hits[:depth], key=score, reverse=True), *hits[depth:]]
            run[query_id] = {
                hit.chunk.document_id: -float(rank) for rank, hit in enumerate(ranking)
            }
        values = {
            metric.query_id: metric.value
            for metric in ir_measures.iter_calc([MEASURE], self.qrels, run)
        }
        return [values[query_id] for query_id in self.hits]


def main() -> None:
    """Measure all data sets, then choose weights and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DATASET_DIR")
    parser.add_argument("--cache", required=True, type=Path, metavar="DIR")
    parser.add_argument("--documents", type=int, help="the judged ones and as many as make N")
    parser.add_argument("--queries", type=int, help="at most N, evenly spaced")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    model = SentenceTransformerEmbedder(RetrievalSettings().embedder)
    cache = VectorCache(arguments.cache / "vectors.sqlite", CACHE_BYTES)
    judged = [
        _judge(
            load_dataset(folder),
            CachingEmbedder(model, cache),
            arguments.cache / f"{folder.name}-late.jsonl",
            arguments.documents,
            arguments.queries,
        )
        for folder in arguments.folders
    ]
    cache.close()
    figures = {"embedder": model.name, "data_sets": [_figures(one, judged) for one in judged]}
    (RESULTS / "reranking.json").write_text(json.dumps(figures, indent=2) + "\n")
    (RESULTS / "reranking.md").write_text(_markdown(figures))
    print(_markdown(figures))


def _judge(
    dataset: Dataset,
    embedder: Embedder,
    cache: Path,
    num_documents: int | None,
    num_queries: int | None,
) -> Judged:
    documents = _choose_documents(dataset, num_documents)
    step = max(1, len(dataset.queries) // (num_queries or len(dataset.queries)))
    queries = {query.query_id: query.text for query in dataset.queries[::step][:num_queries]}
    settings = RetrievalSettings()
    with (
        temporary_index(embedder.dimension, settings.language) as index,
        closing(Searcher()) as searcher,
    ):
        _fill(index, embedder, documents)
        hits = {
            query_id: searcher.search(index, embedder, text, settings.profile(), DEPTHS[-1]).hits
            for query_id, text in queries.items()
        }
    return Judged(
        name=dataset.name,
        qrels={query_id: dataset.qrels[query_id] for query_id in queries},
        hits=hits,
        scores=_late_scores(embedder, queries, hits, cache),
        num_documents=len(documents),
        seconds=_median_seconds(embedder, queries, hits),
    )


def _choose_documents(dataset: Dataset, limit: int | None) -> list[Document]:
    """Return all documents, or those that are judged and the first others up to the limit."""
    documents = list(dataset.documents())
    if limit is None:
        return documents
    judged = set(chain.from_iterable(dataset.qrels.values()))
    ordered = sorted(documents, key=lambda document: document.document_id not in judged)
    return ordered[:limit]


def _fill(index: ChunkIndex, embedder: Embedder, documents: Sequence[Document]) -> None:
    split = whole_document(embedder)
    for start in range(0, len(documents), BATCH_SIZE):
        batch = documents[start : start + BATCH_SIZE]
        chunks = [split(one.document_id, one.title, one.text)[0] for one in batch]
        index.upsert(chunks, embedder.embed_passages([chunk.passage for chunk in chunks]))


def _late_scores(
    embedder: Embedder, queries: dict[str, str], hits: dict[str, list[Hit]], cache: Path
) -> Scores:
    """Score all candidates, one document at a time, because many queries share it."""
    scores: Scores = {}
    if cache.exists():
        for line in cache.read_text().splitlines():
            query_id, document_id, score = json.loads(line)
            scores[query_id, document_id] = score
    missing: dict[str, dict[str, str]] = {}  # document id -> query id -> passage
    for query_id, found in hits.items():
        for hit in found:
            if (query_id, hit.chunk.document_id) not in scores:
                asked = missing.setdefault(hit.chunk.document_id, {})
                asked[query_id] = hit.chunk.passage
    tokens = {query_id: embedder.embed_query_tokens(text) for query_id, text in queries.items()}
    remaining = iter(missing.items())
    with cache.open("a") as file:
        while batch := list(islice(remaining, BATCH_SIZE)):
            passages = embedder.embed_passage_tokens(
                [next(iter(asked.values())) for _, asked in batch]
            )
            for (document_id, asked), passage in zip(batch, passages, strict=True):
                for query_id in asked:
                    score = mean_of_best_matches(tokens[query_id], passage)
                    scores[query_id, document_id] = score
                    file.write(json.dumps([query_id, document_id, score]) + "\n")
            file.flush()
    return scores


def _median_seconds(
    embedder: Embedder, queries: dict[str, str], hits: dict[str, list[Hit]]
) -> dict[int, float]:
    """Return what reranking adds to a query at each depth, as the service does it."""
    reranker = LateInteractionReranker(embedder)
    seconds: dict[int, list[float]] = {depth: [] for depth in DEPTHS}
    for query_id, text in islice(queries.items(), NUM_TIMED):
        for depth in DEPTHS:
            started = perf_counter()
            Reranking(reranker, depth, UNLIMITED_SECONDS).rerank(text, hits[query_id][:depth])
            seconds[depth].append(perf_counter() - started)
    return {depth: statistics.median(values) for depth, values in seconds.items()}


def _figures(judged: Judged, all_judged: Sequence[Judged]) -> dict[str, Any]:
    fused = judged.ndcg(DEPTHS[0], 0.0)
    others = [one for one in all_judged if one is not judged]
    depths = []
    for depth in DEPTHS:
        weight = max(
            WEIGHTS,
            key=lambda weight, depth=depth: sum(  # type: ignore[misc]
                statistics.mean(one.ndcg(depth, weight)) for one in others
            ),
        )
        depths.append(
            {
                "depth": depth,
                "seconds": judged.seconds[depth],
                "late_interaction": _compare(judged.ndcg(depth, 1.0), fused),
                "weight_chosen_elsewhere": weight,
                "mixed": _compare(judged.ndcg(depth, weight), fused),
                "by_weight": {
                    str(one): statistics.mean(judged.ndcg(depth, one)) for one in WEIGHTS
                },
            }
        )
    return {
        "name": judged.name,
        "num_documents": judged.num_documents,
        "num_queries": len(judged.hits),
        "fused": statistics.mean(fused),
        "depths": depths,
    }


def _compare(values: Sequence[float], fused: Sequence[float]) -> dict[str, float]:
    differences = [value - other for value, other in zip(values, fused, strict=True)]
    interval = cluster_t_interval(differences, [str(i) for i in range(len(differences))])
    if interval is None:
        raise ValueError("an interval needs two queries")
    return {
        "ndcg": statistics.mean(values),
        "difference": interval.mean,
        "low": interval.low,
        "high": interval.high,
    }


def _markdown(figures: dict[str, Any]) -> str:
    lines = [
        f"nDCG@10 with {figures['embedder']}; differences to the fused order with 95 % intervals.",
        "",
        "| data set | fused | depth | late interaction alone | mixed, weight of the others "
        "| s per query |",
        "|---|---|---|---|---|---|",
    ]
    for one in figures["data_sets"]:
        size = f"{one['num_documents']:,} documents, {one['num_queries']} queries"
        for row in one["depths"]:
            lines.append(
                f"| {one['name']} ({size}) | {one['fused']:.4f} | {row['depth']} "
                f"| {_cell(row['late_interaction'])} "
                f"| {row['weight_chosen_elsewhere']}: {_cell(row['mixed'])} "
                f"| {row['seconds']:.2f} |"
            )
    return "\n".join(lines) + "\n"


def _cell(compared: dict[str, float]) -> str:
    return (
        f"{compared['ndcg']:.4f} ({compared['difference']:+.4f}, "
        f"{compared['low']:+.4f} to {compared['high']:+.4f})"
    )


if __name__ == "__main__":
    main()
