"""Everything below /v1/traces, and POST /v1/feedback."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi import Request as HttpRequest
from fastapi.responses import Response
from pydantic import Field, StrictBool, model_validator

from serving.access import Caller
from serving.hang_up import CLIENT_CLOSED_REQUEST, UntilHangUp
from serving.recording import play_back
from serving.routes.dependencies import Admission, CurrentCaller, RunningService, estimate
from serving.schemas import Request
from serving.service import Service
from serving.traces import Rating, StoredTrace

router = APIRouter()
MAX_COMMENT = 4000


class FeedbackRequest(Request):
    """Body of POST /v1/feedback."""

    trace_id: str
    rating: Rating
    comment: str | None = Field(default=None, max_length=MAX_COMMENT)


class Selection(Request):
    """Which traces to delete; a misspelt name is an error here, too, lest it delete more."""

    collection: str | None = None
    key: str | None = None
    document_id: str | None = None

    @model_validator(mode="after")
    def _check(self) -> "Selection":
        if not self.model_fields_set:
            raise ValueError("Say which traces: of a collection, a key or a document_id.")
        return self


class ReplayRequest(Request):
    """Body of POST /v1/traces/{trace_id}/replay, which may be left out."""

    search_only: StrictBool = False


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
    found = service.traces.list_traces(collection, _own(caller), cursor, limit)
    return {
        "traces": [_summarize(trace) for trace in found],
        "next_cursor": found[-1].id if len(found) == limit else None,
    }


@router.get("/v1/traces/{trace_id}")
def show(trace_id: str, service: RunningService, caller: CurrentCaller) -> dict[str, Any]:
    """Show how an answer came about."""
    return asdict(_find(trace_id, service, caller))


@router.post("/v1/traces/{trace_id}/replay", response_model=None)
async def replay(
    trace_id: str,
    http: HttpRequest,
    service: RunningService,
    caller: CurrentCaller,
    admit: Admission,
    request: ReplayRequest | None = None,
) -> dict[str, Any] | Response:
    """Ask the question of a trace again, and tell what changed."""
    trace = await asyncio.to_thread(_find, trace_id, service, caller)
    caller.check_collection(trace.collection)
    question = play_back(trace.body, caller.key.id)
    if request is not None and request.search_only:
        async with service.limits.admit_search(caller):
            return await asyncio.to_thread(service.replayer.search, trace, question)
    async with service.stopping.until_cut(), UntilHangUp(http):
        permit = await admit(*estimate(question, service))
        return await service.replayer.answer(trace, question, permit)
    return Response(status_code=CLIENT_CLOSED_REQUEST)


@router.delete("/v1/traces/{trace_id}")
def delete(trace_id: str, service: RunningService, caller: CurrentCaller) -> dict[str, Any]:
    """Delete a trace for good, with its feedback."""
    service.traces.delete(trace_id, _own(caller))
    return {"id": trace_id, "deleted": True}


@router.delete("/v1/traces")
def delete_all(
    service: RunningService,
    caller: CurrentCaller,
    which: Annotated[Selection, Query()],
) -> dict[str, int]:
    """Delete all traces of a collection, a key or a document, or of what is all of these."""
    num_deleted = service.traces.delete_all(
        _own(caller), which.collection, which.key, which.document_id
    )
    return {"num_deleted": num_deleted}


@router.post("/v1/feedback", status_code=201)
def rate(
    request: FeedbackRequest, service: RunningService, caller: CurrentCaller
) -> dict[str, Any]:
    """Keep what somebody thought of an answer."""
    trace = _find(request.trace_id, service, caller)
    service.traces.rate(trace.id, caller.key.id, request.rating, request.comment)
    service.bookkeeper.watch_rating(trace, request.rating)
    return {"trace_id": trace.id, "rating": request.rating}


def _own(caller: Caller) -> str | None:
    """Return whose traces a caller may know of; None: everybody's."""
    return None if caller.is_admin else caller.key.id


def _find(trace_id: str, service: Service, caller: Caller) -> StoredTrace:
    return service.traces.get(trace_id, _own(caller))


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
