"""Test collections cut into passages, for benchmarks of ranking."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.beir import Dataset, Qrels, load_dataset
from eval.json_lines import read_json_lines
from ingest.chunker import Chunker
from ingest.texts import CanonicalText
from ingest.titles import make_title
from retrieval.chunks import Chunk


@dataclass(frozen=True, slots=True)
class Passage:
    """What is searched.

    Attributes:
        unit: what is judged and found with it: a document, a page, or the passage itself.
        title: of its file.
    """

    unit: str
    text: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """A test collection.

    Attributes:
        queries: query id -> text, of those with a judgement.
        qrels: query id -> unit -> grade.
        clusters: query id -> cluster; queries of one cluster are not independent.
    """

    name: str
    passages: Sequence[Passage]
    queries: Mapping[str, str]
    qrels: Qrels
    clusters: Mapping[str, str]


Load = Callable[[Path, Chunker], JudgedSet]


def load_documents(folder: str, cluster: Callable[[str, str], str]) -> Load:
    """Make each document one passage, as BEIR does."""

    def load(data: Path, _: Chunker) -> JudgedSet:
        dataset = load_dataset(data / folder)
        passages = [Passage(one.document_id, one.passage) for one in dataset.documents()]
        return _judged_set(dataset, folder, passages, dataset.qrels, cluster)

    return load


def load_articles(folder: str) -> Load:
    """Make each paragraph one passage; questions about one article are a cluster."""
    return load_documents(folder, lambda _, paragraph: paragraph.partition("-")[0])


def load_pages(folder: str, unit: Callable[[str], str], cluster: Callable[[str, str], str]) -> Load:
    """Cut each page; a unit scores as the best of its passages."""

    def load(data: Path, chunker: Chunker) -> JudgedSet:
        dataset = load_dataset(data / folder)
        passages = [
            Passage(unit(page.document_id), chunk.passage, _title(page.document_id))
            for page in dataset.documents()
            for chunk in _chunks(chunker, page.document_id, page.text)
        ]
        return _judged_set(dataset, folder, passages, dataset.qrels, cluster)

    return load


def load_evidence(folder: str) -> Load:
    """Cut documents; chunks that overlap the evidence of a query are relevant to it.

    Chunks with the same text are one unit, or luck would decide which of them comes first.
    """

    def load(data: Path, chunker: Chunker) -> JudgedSet:
        dataset = load_dataset(data / folder)
        units: dict[str, str] = {}
        chunks = [
            (units.setdefault(chunk.passage, chunk.chunk_id), chunk)
            for one in dataset.documents()
            for chunk in _chunks(chunker, one.document_id, one.text)
        ]
        qrels = {
            line.text("_id"): {
                unit: 1
                for span in line.fields["evidence"]
                for unit, chunk in chunks
                if chunk.document_id == span["doc_id"]
                and chunk.start < span["end"]
                and span["start"] < chunk.end
            }
            for line in read_json_lines(dataset.folder / "queries.jsonl")
        }
        documents = {unit: chunk.document_id for unit, chunk in reversed(chunks)}
        passages = [Passage(unit, chunk.passage, chunk.document_id) for unit, chunk in chunks]
        return _judged_set(dataset, folder, passages, qrels, lambda _, unit: documents[unit])

    return load


def _judged_set(
    dataset: Dataset,
    name: str,
    passages: Sequence[Passage],
    qrels: Qrels,
    cluster: Callable[[str, str], str],
) -> JudgedSet:
    queries = {query.query_id: query.text for query in dataset.queries}
    return JudgedSet(
        name,
        passages,
        queries,
        {query_id: qrels[query_id] for query_id in queries},
        {query_id: cluster(query_id, next(iter(qrels[query_id]))) for query_id in queries},
    )


def _chunks(chunker: Chunker, document_id: str, text: str) -> list[Chunk]:
    return chunker.split(document_id, "", CanonicalText(text)) if text.strip() else []


def _title(page: str) -> str:
    file = _file_of_page(page)
    return make_title(file, file)


def _file_of_page(page: str) -> str:
    return page.rpartition("#")[0]


def _conversation(query_id: str, _: str) -> str:
    return query_id.partition("<::>")[0]


def _file(_: str, page: str) -> str:
    return _file_of_page(page)


def _itself(query_id: str, _: str) -> str:
    return query_id


def _same_page(page: str) -> str:
    return page


JUDGED_SETS: dict[str, Load] = {
    "scifact": load_documents("scifact", _itself),
    "xquad/en": load_articles("xquad/en"),
    "squad2_dev": load_articles("squad2_dev"),
    "mtrag_un": load_documents("mtrag_un", _conversation),
    "uda_pdf": load_pages("uda_pdf", _same_page, _file),
    "kgrag_sec10q": load_pages("kgrag_sec10q", _file_of_page, _itself),
    "chunking_eval": load_evidence("chunking_eval"),
}
