"""Traces: everything on the way from a question to its answer, for people to look at later."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from ingest.errors import CollectionNotFoundError
from ingest.library import Library
from retrieval.explanation import explain
from serving.answering import Conclusion
from serving.completion import describe_context, describe_cost, describe_plan
from serving.context import ContextItem
from serving.conversation import Rewriting
from serving.finding import Found
from serving.injection import score_instructions
from serving.question import Question
from serving.recording import record

TRACE_VERSION = 2


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
        searched = self.trace_search(
            conclusion.question, conclusion.rewriting, conclusion.found, _outcomes(conclusion)
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
            "warnings": conclusion.warnings,
        }

    def trace_search(
        self,
        question: Question,
        query: Rewriting,
        found: Found,
        outcomes: Mapping[str, str] = MappingProxyType({}),
    ) -> dict[str, Any]:
        """Return what was found for a question, as JSON.

        Args:
            question: that was asked.
            query: as it was searched for.
            found: by the search.
            outcomes: what became of hits, by chunk id.
        """
        return {
            "version": TRACE_VERSION,
            **record(question),
            "library": self._describe_library(question.collection),
            "query": asdict(query),
            "candidates": self._candidates(question.collection, found, outcomes),
            "timings": dict(found.result.timings),
            "warnings": found.result.warnings,
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
    ) -> list[dict[str, Any]]:
        explained = explain(found.result)
        places = self._places(collection, found, explained)
        return [
            {
                "chunk_id": one.chunk_id,
                **places.get(one.chunk_id, {}),
                "ranks": dict(one.ranks),
                "scores": dict(one.scores),
                "is_hit": one.dropped is None,
                "outcome": one.dropped or outcomes.get(one.chunk_id, "not in the prompt"),
            }
            for one in explained.values()
        ]

    def _places(
        self, collection: str, found: Found, chunk_ids: Iterable[str]
    ) -> dict[str, dict[str, Any]]:
        """Return where chunks stand; of those deleted meanwhile nothing is known."""
        chunks = {hit.chunk.chunk_id: hit.chunk for hit in found.result.hits}
        try:
            with self._library.open_index(collection) as opened:
                chunks |= opened.index.fetch([one for one in chunk_ids if one not in chunks])
        except CollectionNotFoundError:
            return {}
        names = self._library.filenames({chunk.document_id for chunk in chunks.values()})
        return {
            chunk_id: {
                "document_id": chunk.document_id,
                "filename": names.get(chunk.document_id),
                "place": chunk.place,
                "heading": chunk.heading_path,
                "start": chunk.start,
                "end": chunk.end,
            }
            for chunk_id, chunk in chunks.items()
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
    for item in prepared.task.context:
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
