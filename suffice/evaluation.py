"""What `suffice eval` runs: evaluations on a temporary index, or on a running service."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from rich.table import Table

from eval.anchoring import Anchored, anchor
from eval.beir import load_dataset
from eval.chunk_count import MAX_K, ChunkCountReport, evaluate_chunk_count
from eval.counted import counted
from eval.progress import Progress, silent
from eval.questions import load_questions
from eval.ranking import RankingReport, Splitter, evaluate_dataset
from eval.spans import RetrievedSpan
from eval.temporary_index import temporary_index
from ingest.chunker import Chunker
from ingest.settings import IngestSettings
from ingest.texts import CanonicalText, Heading
from retrieval.bm25 import RankBM25Index
from retrieval.chunks import Chunk
from retrieval.embedding import Embedder
from retrieval.settings import RetrievalSettings
from serving.settings import ServingSettings
from suffice.client import Client
from suffice.options import console
from suffice.snapshots import read_collection


def rank_dataset(folder: Path, *, chunked: bool, progress: Progress) -> RankingReport:
    """Evaluate ranking on a data set in BEIR layout, with the settings of the service.

    Args:
        folder: corpus.jsonl, queries.jsonl and qrels/test.tsv.
        chunked: cut documents as the service does instead of one vector for each.
        progress: told how far it is.
    """
    from serving.service import load_embedder  # noqa: PLC0415 - takes a second

    dataset = load_dataset(folder)
    settings = RetrievalSettings()
    embedder = load_embedder(settings, settings.embedder)
    with temporary_index(embedder.dimension, settings.language) as engine:
        index = RankBM25Index(engine) if settings.lexical == "rank_bm25" else engine
        splitter = _service_splitter(embedder) if chunked else None
        return evaluate_dataset(
            dataset, embedder, settings.profile(), index, splitter=splitter, progress=progress
        )


def _service_splitter(embedder: Embedder) -> Splitter:
    chunker = Chunker.for_embedder(IngestSettings(), embedder.max_tokens, embedder.token_starts)

    def split(document_id: str, title: str, text: str) -> Sequence[Chunk]:
        headings = (Heading(0, len(title), 1, title),) if title else ()
        whole = CanonicalText(f"{title}\n\n{text}" if title else text, headings=headings)
        chunks = chunker.split(str(uuid5(NAMESPACE_OID, document_id)), "", whole)
        return [replace(chunk, document_id=document_id) for chunk in chunks]

    return split


@dataclass(frozen=True, slots=True)
class MeasuredChunkCount:
    """The curve over k, and what became of the questions."""

    report: ChunkCountReport
    anchored: Anchored

    def to_json(self) -> dict[str, Any]:
        """Return both as JSON types."""
        return {
            **self.report.to_json(),
            "spans": {
                "kept": self.anchored.num_kept,
                "moved": self.anchored.num_moved,
                "fuzzy": self.anchored.num_fuzzy,
                "dropped": self.anchored.num_dropped,
            },
            "dropped_questions": {
                dropped.question_id: dropped.reason for dropped in self.anchored.dropped
            },
        }


def measure_chunk_count(
    client: Client, path: Path, collection: str, progress: Progress = silent
) -> MeasuredChunkCount:
    """Measure how much evidence the first 1 to 20 chunks of a running service's search hold."""
    questions = load_questions(path)
    snapshot = read_collection(client, collection, progress).snapshot
    names = snapshot.names
    anchored = anchor(questions, snapshot.texts_by_name)

    def retrieve(question: str, top_k: int) -> list[RetrievedSpan]:
        hits = client.search(question, collection, top_k=top_k)["hits"]
        return [
            RetrievedSpan(names[hit["document_id"]], hit["start"], hit["end"], hit["token_count"])
            for hit in hits
        ]

    default_k = min(ServingSettings().top_k, MAX_K)
    report = evaluate_chunk_count(
        anchored.questions, retrieve, default_k=default_k, progress=progress
    )
    return MeasuredChunkCount(report, anchored)


def print_chunk_count(measured: MeasuredChunkCount) -> None:
    """Print the curve and the hint."""
    report, anchored = measured.report, measured.anchored
    table = Table("k", "tokens", "evidence found", "all evidence found", "precision")
    for point in report.points:
        style = "bold green" if point.k == report.smallest_k else None
        shares = (f"{v:.3f}" for v in (point.recall, point.sufficient, point.precision))
        table.add_row(str(point.k), f"{point.tokens:.0f}", *shares, style=style)
    console.print(table)
    coverage = "  ".join(f"{tokens}: {value:.3f}" for tokens, value in report.coverage.items())
    console.print(f"Evidence found within T tokens - {coverage}")
    for dropped in anchored.dropped:
        console.print(f"Left out: {dropped.question_id} ({dropped.reason})", markup=False)
    console.print(_hint(report))


def _hint(report: ChunkCountReport) -> str:
    k = report.smallest_k
    deeper = (
        f" The evidence still grows at k={report.best_k}, the largest that was tried."
        if report.best_k == len(report.points)
        else ""
    )
    return (
        f"[bold]k={k}[/] ({report.tokens(k):.0f} tokens) finds at most 0.03 less evidence than the "
        f"best, k={report.best_k}, over {counted(report.num_questions, 'question')}; "
        f"{_against_default(report)}.{deeper}\n"
        "A first hint, not certified: it was chosen and measured on the same questions. Tokens are "
        "counted by the embedder's tokenizer."
    )


def _against_default(report: ChunkCountReport) -> str:
    k = report.default_k
    if report.smallest_k < k:
        saved = report.share_saved(k)
        return f"{saved:.0%} fewer tokens than the {report.tokens(k):.0f} of the default, k={k}"
    lost = report.points[report.best_k - 1].recall - report.points[k - 1].recall
    return (
        f"the default, k={k}, finds {lost:.3f} less than the best in {report.tokens(k):.0f} tokens"
    )
