"""Everything below /v1/documents and /v1/collections."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Query, Response, UploadFile
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic_core import from_json

from ingest.documents import Status
from ingest.errors import DocumentNotFoundError
from ingest.library import CollectionState, Upload
from retrieval.languages import Language
from serving.errors import InvalidRequestError
from serving.routes.dependencies import CurrentCaller, KnownDocument, RunningService
from serving.schemas import CollectionView, DocumentView, ReindexRequest, ServedProfile
from serving.service import Service
from serving.uploads import IncomingFile, UploadRoute

router = APIRouter()
uploads = APIRouter(route_class=UploadRoute)
EVENT_INTERVAL_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class UploadFields:
    """What the form of an upload says of its files."""

    collection: Annotated[str, Form()] = "default"
    external_id: Annotated[str | None, Form()] = None
    metadata: Annotated[str | None, Form()] = None
    password: Annotated[str | None, Form()] = None
    language: Annotated[Language | None, Form()] = None


@uploads.post("/v1/documents")
def upload(
    service: RunningService,
    caller: CurrentCaller,
    file: Annotated[list[UploadFile], File()],
    fields: Annotated[UploadFields, Depends()],
) -> JSONResponse:
    """Accept files: 202 when one of them is queued, 200 when all are known already."""
    caller.check_collection(fields.collection)
    if fields.external_id is not None and len(file) > 1:
        raise InvalidRequestError("external_id names one document; send one file.", "external_id")
    names = [part.filename for part in file]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise InvalidRequestError(
            f"Two files are named {repeated!r}, which would be one document. Send them one by one, "
            "each with an external_id of its own.",
            "file",
        )
    metadata = None if fields.metadata is None else _parse_metadata(fields.metadata)
    views, is_any_new = [], False
    for part in file:
        if not isinstance(part.file, IncomingFile):
            raise TypeError("the route of uploads has lost its class")
        added = Upload(
            filename=part.filename or "",
            content=part.file.receiving,
            collection=fields.collection,
            external_id=fields.external_id,
            metadata=metadata,
            password=fields.password,
            language=fields.language,
        )
        document, is_new = service.library.add(added)
        views.append(DocumentView.of(document).model_dump(mode="json"))
        is_any_new = is_any_new or is_new
    return JSONResponse({"documents": views}, 202 if is_any_new else 200)


@router.get("/v1/documents")
def list_documents(
    service: RunningService,
    caller: CurrentCaller,
    collection: str | None = None,
    status: Annotated[list[Status] | None, Query()] = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List documents in order of their ids; `next_cursor` asks for the next page."""
    if collection is not None:
        caller.check_collection(collection)
    allowed = caller.key.collections
    found = service.library.list_documents(collection, status, cursor, limit, allowed)
    return {
        "documents": [DocumentView.of(document) for document in found],
        "next_cursor": found[-1].id if len(found) == limit else None,
    }


@router.get("/v1/documents/{document_id}")
def show(document: KnownDocument) -> DocumentView:
    """Show one document."""
    return DocumentView.of(document)


@router.get("/v1/documents/{document_id}/events")
def events(known: KnownDocument, service: RunningService) -> StreamingResponse:
    """Send the document, as server-sent events, at each change until its state is final.

    When the service is stopped meanwhile, they end.
    """

    async def changes() -> AsyncIterator[str]:
        last = None
        while True:
            try:
                document = await asyncio.to_thread(service.library.get, known.id)
            except DocumentNotFoundError:
                return
            view = DocumentView.of(document)
            if view != last:
                yield f"data: {view.model_dump_json()}\n\n"
            if document.status.is_final:
                return
            last = view
            if await service.stopping.sleep(EVENT_INTERVAL_SECONDS):
                return

    return StreamingResponse(changes(), media_type="text/event-stream")


@router.post("/v1/documents/{document_id}/retry", status_code=202)
def retry(document: KnownDocument, service: RunningService) -> DocumentView:
    """Queue a failed or partial document again."""
    return DocumentView.of(service.library.retry(document.id))


@router.delete("/v1/documents/{document_id}")
def delete(document: KnownDocument, service: RunningService) -> dict[str, Any]:
    """Remove a document from index, disk and catalog before answering."""
    service.library.delete(document.id)
    return {"id": document.id, "deleted": True}


@router.get("/v1/documents/{document_id}/content")
def content(document: KnownDocument, service: RunningService) -> FileResponse:
    """Return the original bytes, as a download so that no browser runs an uploaded page."""
    # While a replacement is not searchable the old bytes are sent, of whatever type they are.
    is_old = document.searchable_revision not in {None, document.revision}
    media_type = "application/octet-stream" if is_old else document.media_type
    disposition = "inline" if media_type == "application/pdf" else "attachment"
    return FileResponse(
        service.library.content(document),
        media_type=media_type,
        filename=document.filename,
        content_disposition_type=disposition,
        headers={"X-Content-Type-Options": "nosniff"},
    )


@router.get("/v1/documents/{document_id}/text")
def text(
    document: KnownDocument,
    service: RunningService,
    start: Annotated[int, Query(ge=0)] = 0,
    end: Annotated[int | None, Query(ge=0)] = None,
) -> dict[str, Any]:
    """Return a slice of the canonical text, which all offsets refer to."""
    canonical = service.library.text(document)
    length = len(canonical.text)
    stop = length if end is None else min(end, length)
    return {
        "text": canonical.text[start:stop],
        "start": min(start, stop),
        "end": stop,
        "length": length,
        "page": canonical.page_at(start),
        "place": canonical.place_at(start),
        "headings": [heading for heading in canonical.headings if start <= heading.start < stop],
        "page_starts": [page for page in canonical.page_starts if start <= page < stop],
        "places": [place for place in canonical.places if start <= place.start < stop],
        "file": {
            "metadata": canonical.metadata,
            "ocr_pages": canonical.ocr_pages,
            "unreadable_pages": canonical.unreadable_pages,
            "num_hidden_characters": canonical.num_hidden_characters,
        },
    }


@router.get("/v1/collections")
def collections(service: RunningService, caller: CurrentCaller) -> dict[str, list[CollectionView]]:
    """List the collections with what their chunks were made with."""
    known = [one for one in service.library.collections() if caller.allows(one.collection.name)]
    return {"collections": [_show(state, service) for state in known]}


@router.put("/v1/collections/{name}/profile")
def serve_profile(
    name: str, request: ServedProfile, service: RunningService, caller: CurrentCaller
) -> CollectionView:
    """Serve a collection with a profile from now on."""
    caller.check_collection(name)
    service.library.collection(name)
    service.profiles.serve(name, request.profile)
    service.alarms.reset(name)
    states = service.library.collections()
    return _show(next(one for one in states if one.collection.name == name), service)


@router.post("/v1/collections/{name}/reindex")
def reindex(
    name: str,
    service: RunningService,
    caller: CurrentCaller,
    response: Response,
    request: ReindexRequest | None = None,
    *,
    force: bool = False,
) -> CollectionView:
    """Make a collection anew with the settings of today: 202, or 200 if nothing is outdated."""
    caller.check_collection(name)
    language = request.language if request else None
    state, is_reindexed = service.library.reindex(name, language=language, force=force)
    response.status_code = 202 if is_reindexed else 200
    return _show(state, service)


def _show(state: CollectionState, service: Service) -> CollectionView:
    name = state.collection.name
    return CollectionView.of(state, service.profiles.served(name), service.alarms.all().get(name))


def _parse_metadata(text: str) -> dict[str, Any]:
    try:
        # Stricter than `json`: no NaN, half surrogate pairs or endless nesting, which cannot be
        # written as JSON again.
        value = from_json(text, allow_inf_nan=False)
        json.dumps(value, allow_nan=False)  # 1e400 is read as infinity
    except ValueError as error:
        raise InvalidRequestError(f"metadata is no valid JSON: {error}.", "metadata") from error
    if not isinstance(value, dict):
        raise InvalidRequestError(
            'metadata must be a JSON object, such as {"year": 2026}.', "metadata"
        )
    return value
