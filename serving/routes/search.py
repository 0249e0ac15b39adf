"""POST /v1/search."""

from typing import Any

from fastapi import APIRouter

from serving.context import name_hits
from serving.routes.dependencies import RunningService, check_question
from serving.schemas import HitView, SearchRequest

router = APIRouter()


@router.post("/v1/search")
def search(request: SearchRequest, service: RunningService) -> dict[str, Any]:
    """Find the chunks that answer a query."""
    query = check_question(request.query, service, "query")
    index = service.library.open_index(request.collection)
    result = service.searcher.search(index, query, request.top_k, request.mode)
    hits = name_hits(service.library, result.hits)
    return {
        "hits": [HitView.of(hit, filename).model_dump() for hit, filename in hits],
        "timings": result.timings,
    }
