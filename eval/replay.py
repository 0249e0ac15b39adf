"""Replay: each question is searched once, to full depth; every profile is answered from the record.

The code that serves also replays: a record is an index that knows the rankings of one question.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from eval.errors import DatasetError, EvalError
from eval.json_lines import read_json_lines
from eval.progress import Progress, silent
from eval.questions import Question
from retrieval.attributes import Kind
from retrieval.chunks import Chunk
from retrieval.embedding import EmbeddedQuery, Embedder, Matrix
from retrieval.filters import Filter
from retrieval.index import Ranking, SearchableIndex
from retrieval.profiles import MAX_TOP_K, RetrievalProfile
from retrieval.reranking import Reranker, Reranking
from retrieval.search import LEXICAL_DEPTH, Ranked, Searcher, SearchResult

FORMAT = 2
# Deepest search of which a record knows all.
DEPTH = MAX_TOP_K
_CHUNK_FIELDS = tuple(field.name for field in fields(Chunk) if field.name != "text")
_UNLIMITED_SECONDS = 1e9

Texts = Mapping[tuple[str, str], str]
"""(document id, revision) -> canonical text."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the searches find for a question: chunk id -> score, best first.

    Attributes:
        query: what was searched.
        dense: the `DEPTH` most similar chunks.
        lexical: the best by words, as many as the deepest search looks at.
        similarities: of those that only the lexical search found.
        coverage: how much of the query the embedder's vocabulary has, from 0 to 1.
    """

    query: str
    dense: Ranking
    lexical: Ranking
    similarities: Ranking
    coverage: float


@dataclass(frozen=True, slots=True)
class ReplayLog:
    """The records of all questions on one index.

    Attributes:
        fingerprint: of what was indexed, how, and what was asked.
        chunks: id -> each chunk that was found.
        records: question id -> record.
    """

    fingerprint: str
    chunks: Mapping[str, Chunk]
    records: Mapping[str, Record]

    def save(self, path: Path) -> None:
        """Write the log to a file, whole or not at all. It holds no text of documents."""
        numbers = {chunk_id: number for number, chunk_id in enumerate(self.chunks)}
        new = path.with_name(f"{path.name}.new")
        with new.open("w", encoding="utf-8") as file:
            header = {"format": FORMAT, "fingerprint": self.fingerprint, "depth": DEPTH}
            for line in (header, *map(_without_text, self.chunks.values())):
                file.write(json.dumps(line) + "\n")
            for question_id, record in self.records.items():
                file.write(json.dumps(_write(question_id, record, numbers)) + "\n")
        new.replace(path)

    @classmethod
    def load(cls, path: Path, fingerprint: str, texts: Texts) -> "ReplayLog | None":
        """Read a log; None when there is none of this fingerprint.

        Args:
            path: of the file.
            fingerprint: that it must have.
            texts: of all documents.

        Raises:
            DatasetError: the file is damaged.
        """
        if not path.exists():
            return None
        lines = iter(read_json_lines(path))
        header = next(lines, None)
        wanted = {"format": FORMAT, "fingerprint": fingerprint, "depth": DEPTH}
        if header is None or header.fields != wanted:
            return None
        chunks: dict[str, Chunk] = {}
        records: dict[str, Record] = {}
        chunk_ids: list[str] = []
        try:
            for line in lines:
                if "chunk_id" in line.fields:
                    chunk = _read_chunk(line.fields, texts)
                    chunks[chunk.chunk_id] = chunk
                    chunk_ids.append(chunk.chunk_id)
                else:
                    records[line.text("question_id")] = _read(line.fields, chunk_ids)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DatasetError(f"{path} is damaged ({error!r}); delete it.") from error
        return cls(fingerprint, chunks, records)


def record(
    index: SearchableIndex,
    embedder: Embedder,
    questions: Sequence[Question],
    fingerprint: str,
    progress: Progress = silent,
) -> ReplayLog:
    """Search an index once for each question.

    Args:
        index: to be searched.
        embedder: of the index.
        questions: with different ids.
        fingerprint: of the log.
        progress: told of `questions` after each.

    Raises:
        RetrievalError: a search failed.
        KeyError: a chunk was deleted meanwhile.
    """
    records: dict[str, Record] = {}
    found: dict[str, None] = {}
    for done, question in enumerate(questions, start=1):
        one = _record(index, embedder, question.text)
        records[question.question_id] = one
        found |= dict.fromkeys([*one.dense, *one.lexical])
        progress("questions", done, len(questions))
    chunks = index.fetch(found)
    return ReplayLog(fingerprint, {one: chunks[one] for one in found}, records)


def _record(index: SearchableIndex, embedder: Embedder, query: str) -> Record:
    vector, coverage = embedder.embed_query(query), embedder.vocabulary_coverage(query)
    lexical = index.rank_lexical(query, max(DEPTH, LEXICAL_DEPTH))
    similarities = iter(index.rank_dense(vector, DEPTH, also=lexical).items())
    dense = dict(islice(similarities, DEPTH))
    return Record(query, dense, lexical, dict(similarities), coverage)


class RecordedIndex:
    """One question's record as an index to search in; what is asked for must be the question."""

    is_remote = False

    def __init__(self, log: ReplayLog, question_id: str) -> None:
        self._chunks = log.chunks
        self.record = log.records[question_id]
        self.embedder = EmbeddedQuery(np.zeros(0, np.float32), self.record.coverage)
        self._similarities = self.record.dense | self.record.similarities

    def attribute_kinds(self) -> Mapping[str, Collection[Kind]]:
        """Return nothing: records are made without a filter."""
        return {}

    def rank_dense(
        self,
        vector: Matrix,
        limit: int,
        *,
        also: Collection[str] = (),
        where: Filter | None = None,
    ) -> Ranking:
        """Return recorded similarities, see `SearchableIndex`."""
        known = {one: self._similarities[one] for one in also if one in self._similarities}
        others = sorted(known.items(), key=lambda item: (-item[1], item[0]))
        return dict(islice(self.record.dense.items(), limit)) | dict(others)

    def rank_lexical(self, query: str, limit: int, *, where: Filter | None = None) -> Ranking:
        """Return recorded BM25 scores, see `SearchableIndex`."""
        return dict(islice(self.record.lexical.items(), limit))

    def fetch(self, chunk_ids: Iterable[str]) -> dict[str, Chunk]:
        """Return recorded chunks by id."""
        return {one: self._chunks[one] for one in chunk_ids if one in self._chunks}


class RememberingReranker:
    """Asks a reranker once for each pair of query and passage."""

    def __init__(self, reranker: Reranker) -> None:
        self.name = reranker.name
        self._reranker = reranker
        self._scores: dict[tuple[str, str], float] = {}

    def score(self, query: str, passages: Sequence[str], deadline: float) -> Iterator[list[float]]:
        """Yield the scores of all passages, see `Reranker`."""
        new = [passage for passage in passages if (query, passage) not in self._scores]
        batches = self._reranker.score(query, new, deadline) if new else iter(())
        scores = [score for batch in batches for score in batch]
        self._scores |= {(query, passage): s for passage, s in zip(new, scores, strict=False)}
        known = [self._scores.get((query, passage)) for passage in passages]
        yield [score for score in known if score is not None]


class Replay:
    """Answers searches from a log as the service would."""

    def __init__(
        self, log: ReplayLog, embedder: Embedder, reranking: Reranking | None = None
    ) -> None:
        """Set up.

        Args:
            log: of the index.
            embedder: of the index; searches are answered without it.
            reranking: of the service; it has all the time it needs.
        """
        self.log = log
        self.embedder = embedder
        self._indexes = {one: RecordedIndex(log, one) for one in log.records}
        if reranking is not None:
            reranker = RememberingReranker(reranking.reranker)
            reranking = replace(reranking, reranker=reranker, max_seconds=_UNLIMITED_SECONDS)
        self.reranking = reranking
        self._searcher = Searcher(reranking)

    def close(self) -> None:
        """Give up what is held to search."""
        self._searcher.close()

    def search(self, question_id: str, profile: RetrievalProfile, top_k: int) -> SearchResult:
        """Search for a recorded question, see `Searcher.search`.

        Raises:
            EvalError: the profile looks deeper than was recorded.
        """
        index = self._index(question_id, profile, top_k)
        return self._searcher.search(index, index.embedder, index.record.query, profile, top_k)

    def rank(self, question_id: str, profile: RetrievalProfile, top_k: int) -> Ranked:
        """Rank for a recorded question, see `Searcher.rank`.

        Raises:
            EvalError: the profile looks deeper than was recorded.
        """
        index = self._index(question_id, profile, top_k)
        return self._searcher.rank(index, index.embedder, index.record.query, profile, top_k)

    def _index(self, question_id: str, profile: RetrievalProfile, top_k: int) -> RecordedIndex:
        depth = max(profile.num_candidates, top_k)
        if depth > DEPTH:
            raise EvalError(
                f"The profile looks at {depth} candidates, and searches are recorded {DEPTH} deep. "
                "Lower its num_candidates, or RETRIEVAL_NUM_CANDIDATES."
            )
        return self._indexes[question_id]


def _without_text(chunk: Chunk) -> dict[str, Any]:
    return {name: value for name, value in asdict(chunk).items() if name != "text"}


def _read_chunk(values: Mapping[str, Any], texts: Texts) -> Chunk:
    given = {name: values[name] for name in _CHUNK_FIELDS}
    given["headings"] = tuple(given["headings"])
    text = texts[given["document_id"], given["revision"]]
    return Chunk(text=text[given["start"] : given["end"]], **given)


def _write(question_id: str, one: Record, numbers: Mapping[str, int]) -> dict[str, Any]:
    rankings = {
        name: [[numbers[chunk_id] for chunk_id in ranking], list(ranking.values())]
        for name, ranking in _rankings(one).items()
    }
    head = {"question_id": question_id, "query": one.query, "coverage": one.coverage}
    return {**head, **rankings}


def _read(values: Mapping[str, Any], chunk_ids: Sequence[str]) -> Record:
    def ranking(name: str) -> Ranking:
        numbers, scores = values[name]
        return dict(zip((chunk_ids[number] for number in numbers), scores, strict=True))

    return Record(
        query=values["query"],
        dense=ranking("dense"),
        lexical=ranking("lexical"),
        similarities=ranking("similarities"),
        coverage=float(values["coverage"]),
    )


def _rankings(one: Record) -> dict[str, Ranking]:
    return {"dense": one.dense, "lexical": one.lexical, "similarities": one.similarities}
