"""Traces: everything on the way from a question to its answer, for people to look at later."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ingest.errors import CollectionNotFoundError
from ingest.library import Library
from retrieval.chunks import Chunk
from retrieval.errors import IndexUnavailableError
from retrieval.explanation import explain
from serving.answering import Conclusion
from serving.completion import describe_context, describe_cost, describe_plan
from serving.context import ContextItem
from serving.conversation import Query
from serving.finding import Found
from serving.injection import score_instructions
from serving.question import Question
from serving.recording import record

TRACE_VERSION = 2
logger = logging.getLogger(__name__)


class Tracer:
    """Writes traces. Thread-safe."""

    def __init__(self, library: Library, reranker: str | None) -> None:
        """Set up.

        Args:
            library: that is searched.
            reranker: fingerprint of the one that judges what is found; None: there is none.
        """
        self._library = library
        self._reranker = reranker

    def trace(self, conclusion: Conclusion) -> dict[str, Any]:
        """Return what became of a question, as JSON.

        `candidates` are in their final order, with ranks and scores of each step and, as `outcome`,
        `cited`, `in the prompt` or why they are not there.
        """
        searched = self._trace_search(
            conclusion.question,
            conclusion.query,
            conclusion.found,
            _outcomes(conclusion),
            conclusion.warnings,
        )
        return {
            **searched,
            "passages": _passages(conclusion),
            "context": describe_context(conclusion),
            "plan": describe_plan(conclusion),
            "answered_by": conclusion.answered_by,
            "grounded": conclusion.grounded,
            "abstained": conclusion.abstained,
            "answers": [
                {
                    "text": answer.text,
                    "finish_reason": answer.finish_reason,
                    "citations": [asdict(citation) for citation in answer.citations],
                    "sentences": [asdict(sentence) for sentence in answer.sentences],
                }
                for answer in conclusion.answers
            ],
            "cost": describe_cost(conclusion),
            "timings": {**conclusion.found.result.timings, **conclusion.timings},
        }

    def trace_search(self, question: Question, query: Query, found: Found) -> dict[str, Any]:
        """Return what was found for a question, as JSON.

        Args:
            question: that was asked.
            query: as it was searched for.
            found: by the search.
        """
        return self._trace_search(question, query, found, {}, found.result.warnings)

    def _trace_search(
        self,
        question: Question,
        query: Query,
        found: Found,
        outcomes: Mapping[str, str],
        warnings: Sequence[str],
    ) -> dict[str, Any]:
        candidates, doubts = self._candidates(question.collection, found, outcomes)
        return {
            "version": TRACE_VERSION,
            **record(question),
            "library": self._describe_library(question.collection),
            "query": asdict(query),
            "relevance": found.relevance(question.profile),
            "candidates": candidates,
            "timings": dict(found.result.timings),
            "warnings": [*warnings, *doubts],
        }

    def _describe_library(self, collection: str) -> dict[str, Any]:
        """Return what is searched; empty when it was deleted meanwhile."""
        try:
            found = self._library.collection(collection)
        except CollectionNotFoundError:
            return {}
        return {
            "embedder": found.embedder_fingerprint,
            "analyzer": found.analyzer,
            "chunker": found.chunker_fingerprint,
            "reranker": self._reranker,
        }

    def _candidates(
        self, collection: str, found: Found, outcomes: Mapping[str, str]
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Return the candidates, and what could not be looked up about them."""
        explained = explain(found.result)
        chunks, doubts = self._chunks(collection, found, explained)
        names = self._library.filenames({chunk.document_id for chunk in chunks.values()})
        candidates = [
            {
                "chunk_id": one.chunk_id,
                **(_place(chunks[one.chunk_id], names) if one.chunk_id in chunks else {}),
                "ranks": dict(one.ranks),
                "scores": dict(one.scores),
                "is_hit": one.dropped is None,
                "outcome": one.dropped or outcomes.get(one.chunk_id, "not in the prompt"),
            }
            for one in explained.values()
        ]
        return candidates, doubts

    def _chunks(
        self, collection: str, found: Found, chunk_ids: Iterable[str]
    ) -> tuple[dict[str, Chunk], list[str]]:
        """Return chunks, but those deleted meanwhile, and what could not be looked up."""
        hits = {hit.chunk.chunk_id: hit.chunk for hit in found.result.hits}
        try:
            with self._library.open_index(collection) as opened:
                others = opened.index.fetch([one for one in chunk_ids if one not in hits])
        except CollectionNotFoundError:
            return {}, []
        except IndexUnavailableError:  # the answer is there and stands
            logger.warning("candidates not looked up", exc_info=True)
            return hits, [
                "The index did not answer while the trace was written. Of candidates that are no "
                "hits it does not tell where they stand."
            ]
        return hits | others, []


def _place(chunk: Chunk, filenames: Mapping[str, str]) -> dict[str, Any]:
    return {
        "document_id": chunk.document_id,
        "filename": filenames.get(chunk.document_id),
        "place": chunk.place,
        "heading": chunk.heading_path,
        "start": chunk.start,
        "end": chunk.end,
    }


def _outcomes(conclusion: Conclusion) -> Mapping[str, str]:
    """Return for each hit what became of it."""
    prepared = conclusion.prepared
    if prepared is None:
        return {}
    outcomes: dict[str, str] = {}
    for dropped in prepared.packing.dropped:
        of = f" of {dropped.duplicate_of}" if dropped.duplicate_of else ""
        outcomes[dropped.chunk_id] = f"{dropped.reason}{of}"
    # What is cited comes last, for a chunk whose sentences stand in several passages.
    for item in sorted(prepared.task.context, key=lambda one: _is_cited(one, conclusion)):
        state = f"{'cited' if _is_cited(item, conclusion) else 'in the prompt'} as [{item.number}]"
        outcomes |= {hit.chunk.chunk_id: state for hit in item.passage.hits}
    return outcomes


def _is_cited(item: ContextItem, conclusion: Conclusion) -> bool:
    marker = f"[{item.number}]"
    return any(one.marker == marker for answer in conclusion.answers for one in answer.citations)


def _passages(conclusion: Conclusion) -> list[dict[str, Any]]:
    if conclusion.prepared is None:
        return []
    recalled = {item.number for item in conclusion.prepared.recalled}
    return [
        {
            "number": item.number,
            "document_id": item.passage.document_id,
            "revision": item.passage.revision,
            "filename": item.filename,
            "start": item.passage.start,
            "end": item.passage.end,
            "tokens": item.passage.num_tokens,
            "score": item.passage.score,
            "is_recalled": item.number in recalled,
            "is_cited": _is_cited(item, conclusion),
            "injection": asdict(score_instructions(item.passage.text)),
        }
        for item in conclusion.prepared.task.context
    ]
