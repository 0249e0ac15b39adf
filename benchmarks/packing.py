"""Evidence in a context of T tokens: hits one by one, as they were found, against packed ones.

Usage: python -m benchmarks.packing DATA [--cache FILE]
DATA holds the folders chunking_eval, squad2_dev, scifact and uda_pdf, FILE keeps vectors between
runs. All contexts are made from the same ranking, the first 50 of our hybrid search over our
chunks, and counted alike: the embedder's tokens of head and text, and 8 for the label of each chunk
or passage. Evidence of chunking_eval that stands word for word in other places, too, counts as
found in any of them. The questions of squad2_dev are asked twice, with its paragraphs as documents
and with its articles. Writes benchmarks/results/packing.json and packing.md.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.evidence_sets import EvidenceSet, chunking_eval, scifact, squad, uda_pdf
from eval.grid import NUM_IN_SENTENCES, SENTENCE_DENSE_WEIGHT
from eval.intervals import MeanInterval, cluster_t_interval
from eval.questions import Question
from eval.spans import RetrievedSpan, coverage_at, score_spans
from eval.temporary_index import temporary_index
from ingest.chunker import Chunker
from ingest.sections import make_heads_in
from ingest.settings import IngestSettings
from ingest.titles import make_title
from retrieval.analyzer import get_analyzer
from retrieval.chunks import Chunk, Hit
from retrieval.embedding import Embedder
from retrieval.index import BATCH_SIZE
from retrieval.packing import PackingPolicy, pack
from retrieval.search import Searcher
from retrieval.sentence_ranking import SentenceRanker
from retrieval.sentence_transformer import SentenceTransformerEmbedder
from retrieval.settings import RetrievalSettings
from retrieval.vector_cache import CachingEmbedder, open_cache

RESULTS = Path(__file__).resolve().parent / "results"
BUDGETS = (256, 512, 1024, 2048)
DEPTH = 50
LABEL_TOKENS = 8
# Hits from which the context is widened to their parent windows, to see whether that pays.
NUM_EXPANDED = 3
# Each way to make a context, with the one that it is compared with.
WAYS = {
    "plain": "plain",
    "packed": "plain",
    "expanded": "plain",
    "sentences": "packed",
    "vectors": "sentences",
}
# Questions whose evidence begins in the same so many characters are about the same text.
CLUSTER_CHARACTERS = 5000


def main() -> None:
    """Measure all data sets; write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    settings = RetrievalSettings()
    embedder: Embedder = SentenceTransformerEmbedder(
        settings.embedder, settings.device, settings.embedder_precision
    )
    if arguments.cache is None:
        results = _measure_all(arguments.data, embedder, settings)
    else:
        with open_cache(arguments.cache, settings.vector_cache_bytes) as vectors:
            if vectors is not None:
                embedder = CachingEmbedder(embedder, vectors)
            results = _measure_all(arguments.data, embedder, settings)
    (RESULTS / "packing.json").write_text(json.dumps(results, indent=2) + "\n")
    table = _table(results)
    (RESULTS / "packing.md").write_text(table)
    print(table)


def _measure_all(
    data: Path, embedder: Embedder, settings: RetrievalSettings
) -> dict[str, dict[str, Any]]:
    datasets = (
        chunking_eval(data / "chunking_eval", CLUSTER_CHARACTERS),
        squad(data / "squad2_dev", whole_articles=False),
        squad(data / "squad2_dev", whole_articles=True),
        scifact(data / "scifact", rationales_only=True),
        uda_pdf(data / "uda_pdf"),
    )
    return {dataset.name: measure(dataset, embedder, settings) for dataset in datasets}


def measure(
    dataset: EvidenceSet, embedder: Embedder, settings: RetrievalSettings
) -> dict[str, Any]:
    """Return Coverage@T of each way to make a context, and what packing and sentences add."""
    heads_in = make_heads_in(lambda name, _revision: dataset.texts[name])
    ranker = SentenceRanker(get_analyzer(settings.language), heads_in, embedder)

    def text_of(name: str, _revision: str) -> str:
        return dataset.texts[name].text

    def packed(
        hits: Sequence[Hit], policy: PackingPolicy, sentences: Sequence[Chunk] = ()
    ) -> list[RetrievedSpan]:
        count = embedder.count_tokens
        packing = pack(hits, text_of, count, policy, lambda _: LABEL_TOKENS, sentences)
        return [
            RetrievedSpan(one.document_id, one.start, one.end, one.num_tokens)
            for one in packing.passages
        ]

    coverage: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    for question, hits in _rankings(dataset, embedder, settings):
        plain = [
            RetrievedSpan(
                hit.chunk.document_id,
                hit.chunk.start,
                hit.chunk.end,
                hit.chunk.token_count + LABEL_TOKENS,
            )
            for hit in hits
        ]
        first = hits[:NUM_IN_SENTENCES]
        chunks = [hit.chunk for hit in first]
        by_words = ranker.rank(question.text, chunks)
        by_vectors = ranker.rank(question.text, chunks, dense_weight=SENTENCE_DENSE_WEIGHT)
        for budget in BUDGETS:
            ways = {
                "packed": packed(hits, PackingPolicy(max_tokens=budget)),
                "expanded": packed(
                    hits[:NUM_EXPANDED], PackingPolicy(max_tokens=budget, expand=True)
                ),
                "sentences": packed(
                    first, PackingPolicy(max_tokens=budget, sentences=True), by_words
                ),
                "vectors": packed(
                    first, PackingPolicy(max_tokens=budget, sentences=True), by_vectors
                ),
            }
            coverage["plain", budget].append(coverage_at(question.facts, plain, budget))
            for way, spans in ways.items():
                coverage[way, budget].append(score_spans(question.facts, spans).recall)
    clusters = [question.cluster for question in dataset.questions]
    return {
        "num_documents": len(dataset.texts),
        "num_questions": len(clusters),
        "num_clusters": len(set(clusters)),
        "coverage": {
            str(budget): {
                way: _against(coverage[way, budget], coverage[other, budget], clusters)
                for way, other in WAYS.items()
            }
            for budget in BUDGETS
        },
    }


def _against(
    values: Sequence[float], others: Sequence[float], clusters: Sequence[str]
) -> dict[str, Any]:
    differences = [value - other for value, other in zip(values, others, strict=True)]
    return {
        "coverage": asdict(_interval(values, clusters)),
        "difference": asdict(_interval(differences, clusters)),
    }


def _interval(values: Sequence[float], clusters: Sequence[str]) -> MeanInterval:
    interval = cluster_t_interval(values, clusters)
    if interval is None:
        raise ValueError("an interval needs two clusters")
    return interval


def _rankings(
    dataset: EvidenceSet, embedder: Embedder, settings: RetrievalSettings
) -> Iterator[tuple[Question, list[Hit]]]:
    chunker = Chunker.for_embedder(IngestSettings(), embedder.max_tokens, embedder.token_starts)
    chunks = [
        chunk
        for name, text in dataset.texts.items()
        for chunk in chunker.split(name, "", text, make_title(name, name))
    ]
    profile = settings.profile()
    with (
        closing(Searcher()) as searcher,
        temporary_index(embedder.dimension, settings.language) as index,
    ):
        for start in range(0, len(chunks), BATCH_SIZE):
            batch = chunks[start : start + BATCH_SIZE]
            index.upsert(batch, embedder.embed_passages([chunk.passage for chunk in batch]))
        for question in dataset.questions:
            yield (
                question,
                searcher.search(index, embedder, question.text, profile, DEPTH).hits,
            )


def _table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures as Markdown."""
    lines = [
        "| data set | tokens | plain | packed | packed - plain, 95 % | "
        f"{NUM_EXPANDED} hits expanded | sentences | sentences - packed, 95 % | by vectors, too "
        "| more, 95 % |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        for budget, ways in result["coverage"].items():
            plain, packed, expanded, sentences, vectors = (ways[way] for way in WAYS)
            gain, more = packed["difference"], sentences["difference"]
            most = vectors["difference"]
            lines.append(
                f"| {name} | {budget} | {plain['coverage']['mean']:.3f} "
                f"| {packed['coverage']['mean']:.3f} "
                f"| {gain['mean']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f}) "
                f"| {expanded['coverage']['mean']:.3f} | {sentences['coverage']['mean']:.3f} "
                f"| {more['mean']:+.3f} ({more['low']:+.3f} to {more['high']:+.3f}) "
                f"| {vectors['coverage']['mean']:.3f} "
                f"| {most['mean']:+.3f} ({most['low']:+.3f} to {most['high']:+.3f}) |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
