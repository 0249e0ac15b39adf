"""Traces: everything on the way from a question to its answer, for people to look at later."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from ingest.errors import CollectionNotFoundError
from ingest.library import Library
from retrieval.explanation import explain
from serving.answering import Conclusion
from serving.completion import describe_context, describe_cost, describe_plan
from serving.context import ContextItem
from serving.injection import score_instructions

TRACE_VERSION = 1


def make_trace(conclusion: Conclusion, library: Library) -> dict[str, Any]:
    """Return what became of a question, as JSON.

    `candidates` are in their final order, with ranks and scores of each step and, as `outcome`,
    `cited`, `in the prompt` or why they are not there.
    """
    question = conclusion.question
    return {
        "version": TRACE_VERSION,
        "question": question.text,
        "history": [asdict(turn) for turn in question.history],
        "collection": question.collection,
        "profile": question.profile.model_dump(mode="json"),
        "watched_profile": question.watched_profile,
        "top_k": question.top_k,
        "filter": None if question.where is None else repr(question.where),
        "sampling": asdict(question.sampling),
        "budget": asdict(question.budget),
        "query": asdict(conclusion.rewriting),
        "candidates": _candidates(conclusion, library),
        "passages": _passages(conclusion),
        "context": describe_context(conclusion),
        "plan": describe_plan(conclusion),
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


def _candidates(conclusion: Conclusion, library: Library) -> list[dict[str, Any]]:
    explained = explain(conclusion.found.result)
    places = _places(conclusion, library, explained)
    outcomes = _outcomes(conclusion)
    return [
        {
            "chunk_id": one.chunk_id,
            **places.get(one.chunk_id, {}),
            "ranks": dict(one.ranks),
            "scores": dict(one.scores),
            "outcome": one.dropped or outcomes.get(one.chunk_id, "not in the prompt"),
        }
        for one in explained.values()
    ]


def _places(
    conclusion: Conclusion, library: Library, chunk_ids: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Return where chunks stand; of those deleted meanwhile nothing is known."""
    chunks = {hit.chunk.chunk_id: hit.chunk for hit in conclusion.found.result.hits}
    try:
        with library.open_index(conclusion.question.collection) as opened:
            chunks |= opened.index.fetch([one for one in chunk_ids if one not in chunks])
    except CollectionNotFoundError:
        return {}
    names = library.filenames({chunk.document_id for chunk in chunks.values()})
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
