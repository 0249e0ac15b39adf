"""Retrieval test collections in the folder layout of BEIR (Thakur et al., NeurIPS 2021).

A folder holds `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`, `text`) and
`qrels/test.tsv` (header `query-id corpus-id score`, separated by tabs).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from eval.errors import DatasetError, NoQuestionsError
from eval.json_lines import read_json_lines, read_lines

Qrels = Mapping[str, Mapping[str, int]]

_CORPUS = "corpus.jsonl"
_QUERIES = "queries.jsonl"
_QRELS = "qrels/test.tsv"
_QRELS_HEADER = ["query-id", "corpus-id", "score"]


@dataclass(frozen=True, slots=True)
class Document:
    """What is searched; `title` may be empty."""

    document_id: str
    title: str
    text: str

    @property
    def passage(self) -> str:
        """What BEIR embeds and indexes: the title, a space and the text."""
        return f"{self.title} {self.text}".strip()


@dataclass(frozen=True, slots=True)
class Query:
    """A judged query."""

    query_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """A test collection; its documents stay on disk until they are asked for.

    Attributes:
        name: name of the folder.
        num_documents: size of the corpus.
        queries: those with judgements, in the order of their file.
        qrels: query id -> document id -> grade. A judged query without a text and a judged document
            that is not in the corpus stay, as in trec_eval: they count as not found.
        num_missing_queries: judged queries without a text.
        num_missing_documents: judgements of a document that is not in the corpus.
    """

    folder: Path
    name: str
    num_documents: int
    queries: tuple[Query, ...]
    qrels: Qrels
    num_missing_queries: int
    num_missing_documents: int

    def documents(self) -> Iterator[Document]:
        """Read the corpus, one document at a time, in the order of its file.

        Raises:
            DatasetError: the file is gone or broken.
        """
        return _read_documents(self.folder / _CORPUS)


def load_dataset(folder: Path) -> Dataset:
    """Read and check a folder.

    Raises:
        DatasetError: a file is missing, a line broken, or an id there twice.
        NoQuestionsError: no query has a judgement.
    """
    if not folder.is_dir():
        raise DatasetError(
            f"{folder} is no folder. Name one with {_CORPUS}, {_QUERIES} and {_QRELS}."
        )
    judgements = _read_qrels(folder / _QRELS)
    document_ids = _document_ids(folder / _CORPUS)
    queries = tuple(_read_queries(folder / _QUERIES, judgements))
    if not queries:
        raise NoQuestionsError(f"No query of {folder / _QUERIES} is judged in {folder / _QRELS}.")
    return Dataset(
        folder=folder,
        name=folder.resolve().name,
        num_documents=len(document_ids),
        queries=queries,
        qrels=judgements,
        num_missing_queries=len(judgements) - len(queries),
        num_missing_documents=sum(
            len(grades.keys() - document_ids) for grades in judgements.values()
        ),
    )


def _read_documents(path: Path) -> Iterator[Document]:
    for line in read_json_lines(path):
        yield Document(line.non_blank_text("_id"), line.text("title", ""), line.text("text"))


def _document_ids(path: Path) -> set[str]:
    document_ids: set[str] = set()
    for document in _read_documents(path):
        if document.document_id in document_ids:
            raise DatasetError(f"{path}: the id {document.document_id!r} is there twice.")
        document_ids.add(document.document_id)
    return document_ids


def _read_queries(path: Path, judgements: Qrels) -> Iterator[Query]:
    seen: set[str] = set()
    for line in read_json_lines(path):
        query_id = line.non_blank_text("_id")
        if query_id in seen:
            raise line.error(f"the id {query_id!r} is there twice")
        seen.add(query_id)
        if query_id in judgements:
            yield Query(query_id, line.non_blank_text("text"))


def _read_qrels(path: Path) -> Qrels:
    qrels: dict[str, dict[str, int]] = {}
    rows = _read_rows(path)
    if next(rows, (0, []))[1] != _QRELS_HEADER:
        raise DatasetError(f"{path}: the first line must be {' TAB '.join(_QRELS_HEADER)}.")
    for number, row in rows:
        try:
            query_id, document_id, grade = row
            qrels.setdefault(query_id, {})[document_id] = int(grade)
        except ValueError as error:
            raise DatasetError(
                f"{path}, line {number}: this must be a query id, a document id and a whole "
                "number, separated by tabs."
            ) from error
    return qrels


def _read_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in read_lines(path):
        try:
            yield number, line.decode().rstrip("\r\n").split("\t")
        except UnicodeDecodeError as error:
            raise DatasetError(f"{path}, line {number}: this is not UTF-8 ({error}).") from error
