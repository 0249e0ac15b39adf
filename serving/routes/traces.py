"""GET /v1/traces, GET /v1/traces/{trace_id} and POST /v1/feedback."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from serving.keys import Scope
from serving.routes.dependencies import CurrentCaller, RunningService
from serving.schemas import Request
from serving.traces import Rating, StoredTrace

router = APIRouter()
MAX_COMMENT = 4000


class FeedbackRequest(Request):
    """Body of POST /v1/feedback."""

    trace_id: str
    rating: Rating
    comment: str | None = Field(default=None, max_length=MAX_COMMENT)


@router.get("/v1/traces")
def list_traces(
    service: RunningService,
    caller: CurrentCaller,
    collection: str | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List what was asked and answered in order of ids; `next_cursor` asks for the next page."""
    if collection is not None:
        caller.check_collection(collection)
    own = None if caller.key.may(Scope.ADMIN) else caller.key.id
    found = service.traces.list_traces(collection, own, cursor, limit)
    return {
        "traces": [_summarize(trace) for trace in found],
        "next_cursor": found[-1].id if len(found) == limit else None,
    }


@router.get("/v1/traces/{trace_id}")
def show(trace_id: str, service: RunningService, caller: CurrentCaller) -> dict[str, Any]:
    """Show how an answer came about."""
    own = None if caller.key.may(Scope.ADMIN) else caller.key.id
    return asdict(service.traces.get(trace_id, own))


@router.post("/v1/feedback", status_code=201)
def rate(
    request: FeedbackRequest, service: RunningService, caller: CurrentCaller
) -> dict[str, Any]:
    """Keep what somebody thought of an answer."""
    own = None if caller.key.may(Scope.ADMIN) else caller.key.id
    trace = service.traces.get(request.trace_id, own)
    service.traces.rate(trace.id, caller.key.id, request.rating, request.comment)
    service.bookkeeper.watch_rating(trace, request.rating)
    return {"trace_id": trace.id, "rating": request.rating}


def _summarize(trace: StoredTrace) -> dict[str, Any]:
    answer = trace.body["answers"][0]
    return {
        "id": trace.id,
        "time": trace.time,
        "collection": trace.collection,
        "question": trace.body["question"],
        "query": trace.body["query"]["text"],
        "answer": answer["text"],
        "citations": answer["citations"],
        "feedback": trace.feedback,
    }
