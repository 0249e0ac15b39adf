"""POST /v1/search."""

from typing import Any

from fastapi import APIRouter, Depends, Response
from pydantic_core import to_json

from retrieval.chunks import Hit
from retrieval.explanation import Explanation, explain, words_not_found
from retrieval.filters import Filter
from retrieval.index import ChunkIndex
from retrieval.relevance import relevance
from serving.context import name_hits
from serving.errors import InvalidRequestError
from serving.routes.dependencies import (
    CurrentCaller,
    RunningService,
    admit_search,
    check_question,
    find_profile,
    show_profile,
)
from serving.schemas import DroppedView, HitView, SearchRequest
from serving.service import Service

router = APIRouter()
TOP_K = 10
# Candidates without a hit that an explanation shows.
MAX_DROPPED = 100


@router.post("/v1/search", response_model=dict[str, Any], dependencies=[Depends(admit_search)])
def search(request: SearchRequest, service: RunningService, caller: CurrentCaller) -> Response:
    """Find the chunks that answer a query."""
    caller.check_collection(request.collection)
    query = check_question(request.query, service, "query")
    found = find_profile(request.profile, request.collection, service)
    profile = found.profile
    if request.mode is not None:
        profile = profile.model_copy(update={"mode": request.mode})
    if request.rerank is not None:
        profile = profile.model_copy(update={"rerank": request.rerank})
    reranking = service.searcher.reranking
    if request.rerank and reranking is None:
        raise InvalidRequestError("There is no reranker. Set RETRIEVAL_RERANKER.", "rerank")
    top_k = profile.most_hits(request.top_k, TOP_K)
    with service.library.open_index(request.collection) as opened:
        index = opened.index
        result = service.searcher.search(
            index, opened.embedder, query, profile, top_k, request.filter
        )
        explained = explain(result) if request.explain else {}
        dropped = [one for one in explained.values() if one.dropped is not None]
        shown = _show_dropped(service, index, dropped[:MAX_DROPPED]) if dropped else []
        counted = _count(index, request.filter) if request.explain else {}
        looked_up = request.explain and "lexical" in result.rankings
        not_found = words_not_found(index, query, request.filter) if looked_up else []
    answer: dict[str, Any] = {
        "hits": [
            HitView.of(hit, filename, explained.get(hit.chunk.chunk_id))
            for hit, filename in name_hits(service.library, result.hits)
        ],
        "timings": result.timings,
        "warnings": [*result.warnings, *found.warnings],
    }
    if request.explain:
        answer["explain"] = {
            "profile": show_profile(profile, caller),
            "reranker": reranking.reranker.name if reranking and profile.rerank else None,
            **counted,
            "num_candidates": {step: len(ranking) for step, ranking in result.rankings.items()},
            "num_dropped": len(dropped),
            "vocabulary_coverage": result.coverage,
            "words_not_found": not_found,
            "relevance": relevance(result, query, index.analyzer, profile),
            "dropped": shown,
        }
    # Written here, because FastAPI would check it once more, in a thread of its own.
    return Response(to_json(answer), media_type="application/json")


def _count(index: ChunkIndex, where: Filter | None) -> dict[str, int]:
    num_chunks = index.count()
    num_searched = num_chunks if where is None else index.count(where=where)
    return {"num_chunks": num_chunks, "num_searched": num_searched}


def _show_dropped(
    service: Service, index: ChunkIndex, dropped: list[Explanation]
) -> list[DroppedView]:
    chunks = index.fetch(one.chunk_id for one in dropped)
    explained = {one.chunk_id: one for one in dropped}
    hits = [Hit(chunk, 0.0) for key in explained if (chunk := chunks.get(key)) is not None]
    return [
        DroppedView.of(hit.chunk, filename, explained[hit.chunk.chunk_id])
        for hit, filename in name_hits(service.library, hits)
    ]
