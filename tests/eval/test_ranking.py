"""A small test collection goes through a real index with a fake embedder."""

from collections.abc import Iterator
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import pytest

from eval.beir import Dataset, load_dataset
from eval.ranking import evaluate_dataset
from eval.temporary_index import temporary_index
from retrieval.chunks import Chunk
from retrieval.index import BATCH_SIZE, ChunkIndex
from retrieval.profiles import Mode, RetrievalProfile
from tests.fakes import HashEmbedder
from tests.rankings import search_lexical

EMBEDDER = HashEmbedder()
PROFILE = RetrievalProfile(num_candidates=100)
CORPUS = """
{"_id": "ships", "title": "Ships", "text": "Vessels of steel float on water."}
{"_id": "stones", "title": "Stones", "text": "Granite sinks."}
{"_id": "clouds", "title": "Clouds", "text": "Vapour drifts in the sky."}
"""
QUERIES = """
{"_id": "q1", "text": "vessels float"}
{"_id": "q2", "text": "granite sinks"}
{"_id": "q3", "text": "zebra"}
"""
QRELS = "query-id\tcorpus-id\tscore\nq1\tships\t1\nq2\tstones\t1\nq3\tclouds\t1\n"


@pytest.fixture
def index() -> Iterator[ChunkIndex]:
    with temporary_index(HashEmbedder().dimension, "english") as index:
        yield index


def write_dataset(folder: Path, corpus: str, queries: str, qrels: str) -> Dataset:
    (folder / "qrels").mkdir()
    (folder / "corpus.jsonl").write_text(corpus)
    (folder / "queries.jsonl").write_text(queries)
    (folder / "qrels" / "test.tsv").write_text(qrels)
    return load_dataset(folder)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return write_dataset(tmp_path, CORPUS, QUERIES, QRELS)


def test_report(dataset: Dataset, index: ChunkIndex) -> None:
    report = evaluate_dataset(dataset, EMBEDDER, PROFILE, index).to_json()
    timings = report.pop("timings")
    # Lexical search finds nothing for the zebra, which counts as 0.
    lexical = {measure: (1 + 1 + 0) / 3 for measure in ("nDCG@10", "R@10", "R@100", "RR@10")}
    assert report.pop("modes")["lexical"] == pytest.approx(lexical)
    assert report == {
        "dataset": dataset.name,
        "num_queries": 3,
        "num_missing_queries": 0,
        "num_documents": 3,
        "num_missing_documents": 0,
        "num_cut": 0,
        "embedder": "hash-embedder",
    }
    assert list(timings) == [
        "embed_documents_seconds",
        "index_seconds",
        "embed_queries_seconds",
        "search_seconds",
    ]
    assert min(timings.values()) > 0


def test_judged_query_without_a_text_counts_as_zero(tmp_path: Path, index: ChunkIndex) -> None:
    dataset = write_dataset(tmp_path, CORPUS, QUERIES, QRELS + "q4\tships\t1\n")
    report = evaluate_dataset(dataset, EMBEDDER, PROFILE, index)
    assert (report.num_queries, report.num_missing_queries) == (4, 1)
    assert report.modes["lexical"]["R@10"] == pytest.approx((1 + 1 + 0 + 0) / 4)


def test_every_mode_ranks(dataset: Dataset, index: ChunkIndex) -> None:
    modes = evaluate_dataset(dataset, EMBEDDER, PROFILE, index).modes
    assert list(modes) == ["dense", "lexical", "hybrid"]
    assert modes["dense"]["R@10"] == modes["hybrid"]["R@10"] == 1


def test_title_and_text_are_one_passage(dataset: Dataset, index: ChunkIndex) -> None:
    evaluate_dataset(dataset, EMBEDDER, PROFILE, index)
    (hit,) = search_lexical(index, "granite", 10)
    assert hit.chunk.passage == "Stones Granite sinks."
    assert search_lexical(index, "clouds", 10)[0].chunk.document_id == "clouds"


@pytest.mark.parametrize(("num_words", "num_cut"), [(253, 0), (254, 1)])
def test_cut_documents_are_counted(
    tmp_path: Path, index: ChunkIndex, num_words: int, num_cut: int
) -> None:
    text = "word " * num_words
    corpus = f'{{"_id": "long", "title": "Title", "text": "{text}"}}\n'
    dataset = write_dataset(tmp_path, CORPUS + corpus, QUERIES, QRELS)
    assert EMBEDDER.max_tokens == 1 + 253
    assert evaluate_dataset(dataset, EMBEDDER, PROFILE, index).num_cut == num_cut


def test_progress_after_each_batch_and_query(tmp_path: Path, index: ChunkIndex) -> None:
    num_documents = BATCH_SIZE + 1
    corpus = "".join(f'{{"_id": "d{i}", "text": "word{i}"}}\n' for i in range(num_documents))
    qrels = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n"
    dataset = write_dataset(tmp_path, corpus, QUERIES, qrels)
    steps: list[tuple[str, int, int]] = []
    evaluate_dataset(dataset, EMBEDDER, PROFILE, index, progress=lambda *step: steps.append(step))
    assert steps == [
        ("documents", BATCH_SIZE, num_documents),
        ("documents", num_documents, num_documents),
        ("queries", 1, 2),
        ("queries", 2, 2),
    ]


def split_words(document_id: str, title: str, text: str) -> list[Chunk]:
    """One chunk per word, the title as its heading."""
    return [
        Chunk(
            chunk_id=str(uuid5(NAMESPACE_URL, f"{document_id}/{position}")),
            document_id=document_id,
            revision="",
            start=position,
            end=position + len(word),
            text=word,
            headings=(title,),
            page_start=None,
            page_end=None,
            token_count=2,
            parent_start=position,
            parent_end=position + len(word),
        )
        for position, word in enumerate(text.split())
    ]


def test_a_document_scores_as_its_best_chunk(dataset: Dataset, index: ChunkIndex) -> None:
    report = evaluate_dataset(dataset, EMBEDDER, PROFILE, index, splitter=split_words)
    assert index.count() == 6 + 2 + 5
    assert report.modes[Mode.HYBRID]["R@10"] == 1
    assert report.modes[Mode.LEXICAL]["RR@10"] == pytest.approx((1 + 1 + 0) / 3)


def test_chunks_are_fetched_until_they_are_of_enough_documents(
    tmp_path: Path, index: ChunkIndex
) -> None:
    # All 300 chunks of the wordy document are better than the only one of each other document.
    wordy = f'{{"_id": "wordy", "text": "{"vessels " * 300}"}}\n'
    others = "".join(f'{{"_id": "d{i}", "text": "vessels{i}"}}\n' for i in range(99))
    qrels = "query-id\tcorpus-id\tscore\n" + "".join(f"q1\td{i}\t1\n" for i in range(99))
    queries = '{"_id": "q1", "text": "vessels"}\n'
    dataset = write_dataset(tmp_path, wordy + others, queries, qrels)
    report = evaluate_dataset(dataset, EMBEDDER, PROFILE, index, splitter=split_words)
    assert report.modes[Mode.DENSE]["R@100"] == 1
