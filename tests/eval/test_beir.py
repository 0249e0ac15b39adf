"""A folder is read whole or refused with the file and line that is wrong."""

import json
from pathlib import Path

import pytest

from eval.beir import Dataset, Document, Query, load_dataset
from eval.errors import DatasetError, NoQuestionsError

CORPUS = [
    {"_id": "d1", "title": "Ships", "text": "They float."},
    {"_id": "d2", "title": "", "text": "Stones sink."},
    {"_id": "d3", "text": "No title at all."},
]
QUERIES = [
    {"_id": "q1", "text": "What floats?", "metadata": {}},
    {"_id": "q2", "text": "What sinks?"},
    {"_id": "q3", "text": "Nobody judged this."},
]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t2\nq2\td1\t0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, CORPUS)))
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, QUERIES)))
    (tmp_path / "qrels" / "test.tsv").write_text(QRELS)
    return tmp_path


def test_a_folder_is_read(folder: Path) -> None:
    assert load_dataset(folder) == Dataset(
        folder=folder,
        name=folder.name,
        num_documents=3,
        queries=(Query("q1", "What floats?"), Query("q2", "What sinks?")),
        qrels={"q1": {"d1": 1}, "q2": {"d2": 2, "d1": 0}},
        num_missing_queries=0,
        num_missing_documents=0,
    )


def test_documents_come_in_file_order(folder: Path) -> None:
    documents = list(load_dataset(folder).documents())
    assert [document.document_id for document in documents] == ["d1", "d2", "d3"]


@pytest.mark.parametrize(
    ("title", "text", "passage"),
    [("Ships", "They float.", "Ships They float."), ("", "Stones.", "Stones."), ("A", "", "A")],
)
def test_passage_is_title_space_text(title: str, text: str, passage: str) -> None:
    assert Document("d", title, text).passage == passage


def test_judgements_of_what_is_missing_stay_and_are_counted(folder: Path) -> None:
    qrels = folder / "qrels" / "test.tsv"
    qrels.write_text(QRELS + "q1\tgone\t1\nnobody\td1\t1\n")
    dataset = load_dataset(folder)
    assert (dataset.num_missing_queries, dataset.num_missing_documents) == (1, 1)
    assert dataset.qrels["q1"] == {"d1": 1, "gone": 1}
    assert dataset.qrels["nobody"] == {"d1": 1}


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(DatasetError, match=rf"{name} cannot be read: No such file"):
        load_dataset(folder)


def test_missing_folder_says_what_it_must_hold(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"is no folder\. Name one with corpus\.jsonl"):
        load_dataset(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("corpus.jsonl", b'{"_id": "d4", ', "corpus.jsonl, line 4: this is not JSON"),
        ("corpus.jsonl", b'{"_id": "d4", "text": "\xff"}', "line 4: this is not JSON in UTF-8"),
        ("corpus.jsonl", b"[1]", "line 4: this must be a JSON object"),
        ("corpus.jsonl", b'{"_id": 4, "text": "x"}', "line 4: '_id' must be text"),
        ("corpus.jsonl", b'{"_id": "d4"}', "line 4: 'text' must be text"),
        ("corpus.jsonl", b'{"_id": "d1", "text": "x"}', "the id 'd1' is there twice"),
        ("queries.jsonl", b'{"_id": "q1", "text": "x"}', "line 4: the id 'q1' is there twice"),
        ("queries.jsonl", b'{"_id": " ", "text": "x"}', "line 4: '_id' is empty"),
        ("qrels/test.tsv", b"q1\td1", "line 5: this must be a query id"),
        ("qrels/test.tsv", b"q1\td1\thigh", "line 5: this must be a query id"),
        ("qrels/test.tsv", b"q1\td\xff\t1", "line 5: this is not UTF-8"),
    ],
)
def test_broken_line(folder: Path, name: str, line: bytes, message: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes().rstrip(b"\n") + b"\n" + line + b"\n")
    with pytest.raises(DatasetError, match=message):
        load_dataset(folder)


@pytest.mark.parametrize("content", ["", "q1\td1\t1\n"], ids=["empty", "no header"])
def test_qrels_need_their_header(folder: Path, content: str) -> None:
    (folder / "qrels" / "test.tsv").write_text(content)
    with pytest.raises(DatasetError, match="must be query-id TAB corpus-id TAB score"):
        load_dataset(folder)


def test_nothing_judged(folder: Path) -> None:
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n")
    with pytest.raises(NoQuestionsError, match="No query of"):
        load_dataset(folder)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "num_documents", "num_queries"),
    [("scifact", 5183, 300), ("xquad/en", 240, 1190), ("mtrag_un", 1152, 332)],
)
def test_real_data(data_dir: Path, name: str, num_documents: int, num_queries: int) -> None:
    dataset = load_dataset(data_dir / name)
    assert (dataset.num_documents, len(dataset.queries)) == (num_documents, num_queries)
    assert (dataset.num_missing_queries, dataset.num_missing_documents) == (0, 0)
