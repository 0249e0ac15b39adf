"""The ASGI application: routes, access, and errors in one shape."""

import asyncio
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest.errors import IngestError
from ingest.library import Library
from serving.access import DOCS_FILES, Access, Caller
from serving.errors import STATUS, InvalidRequestError, RequestTooLargeError
from serving.metrics import MeteredApp
from serving.responses import error_response, http_error_response, refuse
from serving.routes import chat, documents, health, keys, profiles, search, shadow, traces, usage
from serving.routes.dependencies import BEARER
from serving.schemas import ErrorBody
from serving.service import Service

# Of answers, for web pages of other origins to read.
EXPOSED_HEADERS = [
    "Retry-After",
    *(
        f"x-ratelimit-{what}-{unit}"
        for what in ("limit", "remaining", "reset")
        for unit in ("requests", "tokens")
    ),
]
# What /openapi.json says of all calls; `Access` sees to the key.
REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorBody, "description": "The call is refused; docs/api.md lists why."},
    "5XX": {"model": ErrorBody, "description": "Something does not work; the message says what."},
}
UPLOAD = ("POST", "/v1/documents")
HOW_TO_UPLOAD = (
    "Send each document as a part `file` with a file name in multipart/form-data, as "
    "`curl -F file=@report.pdf` does."
)


def create_app(service: Service) -> FastAPI:
    """Build the application that answers from an open service."""
    app = FastAPIOffline(
        title="Suffice",
        version=version("suffice"),
        redoc_url=None,
        static_url=f"/{DOCS_FILES}",
        responses=REFUSALS,
    )
    app.state.service = service
    app.include_router(health.router)
    app.include_router(documents.uploads, dependencies=[Depends(BEARER)])
    for module in (documents, search, profiles, chat, traces, shadow, keys, usage):
        app.include_router(module.router, dependencies=[Depends(BEARER)])
    app.add_middleware(RoomCheck, library=service.library)
    app.add_middleware(BodyLimit, max_bytes=service.settings.serving.max_request_bytes)
    app.add_middleware(Access, keys=service.keys, is_loopback=service.settings.serving.is_loopback)
    if service.settings.serving.allowed_origins:
        _allow_origins(app, service.settings.serving.allowed_origins.split(","))
    app.add_middleware(MeteredApp, metrics=service.metrics)
    for kind in STATUS:
        app.add_exception_handler(kind, _answer_error)
    app.add_exception_handler(Exception, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    return app


def _allow_origins(app: FastAPI, origins: Sequence[str]) -> None:
    """Let web pages of these origins call, in browsers; their keys decide what for."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=[origin.strip().rstrip("/") for origin in origins],
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["*"],
        expose_headers=EXPOSED_HEADERS,
    )


class BodyLimit:
    """Refuses calls with a large body; uploads have a limit of their own.

    JSON is read in one piece: meanwhile nobody else is served.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on with what was read of it, or answer 413."""
        if scope["type"] != "http" or (scope["method"], scope["path"]) == UPLOAD:
            await self._app(scope, receive, send)
            return
        messages: list[Message] = []
        num_bytes = 0

        async def read_again() -> Message:
            return messages.pop(0) if messages else await receive()

        while not messages or messages[-1].get("more_body", False):
            messages.append(await receive())
            num_bytes += len(messages[-1].get("body", b""))
            if num_bytes > self._max_bytes:
                del messages[:-1]
                error = RequestTooLargeError(
                    f"The body has more than {self._max_bytes:,} bytes. Send less, or raise "
                    "SERVING_MAX_REQUEST_BYTES."
                )
                await refuse(error_response(error), read_again, send)
                return
        await self._app(scope, read_again, send)


class RoomCheck:
    """Refuses uploads for which there is no room, before anything of them is stored."""

    def __init__(self, app: ASGIApp, library: Library) -> None:
        self._app = app
        self._library = library

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, or answer 429, 503 or 507."""
        if scope["type"] == "http" and (scope["method"], scope["path"]) == UPLOAD:
            try:
                await asyncio.to_thread(self._library.check_room)
            except IngestError as error:
                is_admin = scope["state"]["caller"].is_admin
                await refuse(error_response(error, is_admin=is_admin), receive, send)
                return
        await self._app(scope, receive, send)


def _answer_error(request: Request, error: Exception) -> JSONResponse:
    caller: Caller | None = getattr(request.state, "caller", None)
    return error_response(error, is_admin=caller is not None and caller.is_admin)


def _answer_validation_error(request: Request, error: Exception) -> JSONResponse:
    """Turn FastAPI's report into one sentence with the name of the field."""
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        fault = f"{first['ctx']['error']} at character {first['loc'][1]}"
        return _answer_error(request, InvalidRequestError(f"The body is no valid JSON: {fault}."))
    body = error.body if isinstance(error.body, dict) else None
    where, *place = first["loc"]
    if where == "query":
        place = place[:1]  # one that may be given several times is one field, too
    field = ".".join(_find_field(place, body)) or None
    if first["loc"][:2] == ("body", "file"):
        return _answer_error(request, InvalidRequestError(HOW_TO_UPLOAD, "file"))
    if field:
        message = f"{field}: {message}"
    elif first["type"] != "value_error":
        message = "The body must be a JSON object, sent with Content-Type: application/json."
    return _answer_error(request, InvalidRequestError(message, field))


def _find_field(place: Sequence[int | str], body: Any) -> Iterator[str]:
    """Yield the names that lead to a field, without those of the types that it may have.

    Args:
        place: of pydantic, after where it looked.
        body: that was sent; None: all of the place are names.
    """
    for number, part in enumerate(place, start=1):
        is_missing = isinstance(body, dict) and number == len(place)
        is_there = part in body if isinstance(body, dict) else isinstance(body, list)
        if is_there and isinstance(part, int if isinstance(body, list) else str):
            body = body[part]
        elif body is not None and not is_missing:
            continue
        yield str(part)


def _answer_http_error(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    return http_error_response(error)
