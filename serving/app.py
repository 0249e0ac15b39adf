"""The ASGI application: routes, authentication, and errors in one shape."""

import asyncio
import logging
import secrets
from importlib.metadata import version

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.errors import IngestError
from ingest.library import Library
from retrieval.profiles import RetrievalProfile
from serving.errors import (
    RETRY_AFTER_SECONDS,
    STATUS,
    InvalidRequestError,
    UnauthorizedError,
    error_body,
)
from serving.routes import chat, documents, health, profiles, search
from serving.service import Service

logger = logging.getLogger(__name__)
# Stands in the place of an error when a profile is brought along instead of named.
PROFILE_BY_VALUE = RetrievalProfile.__name__
UPLOAD = ("POST", "/v1/documents")
HOW_TO_UPLOAD = (
    "Send each document as a part `file` with a file name in multipart/form-data, as "
    "`curl -F file=@report.pdf` does."
)


def create_app(service: Service) -> FastAPI:
    """Build the application that answers from an open service."""
    app = FastAPI(title="Suffice", version=version("suffice"))
    app.state.service = service
    app.include_router(health.router)
    for module in (documents, search, profiles, chat):
        app.include_router(module.router)
    app.add_middleware(QueueCheck, library=service.library)
    if key := service.settings.serving.api_key:
        app.add_middleware(KeyCheck, key=key.get_secret_value().encode())
    for kind in STATUS:
        app.add_exception_handler(kind, _answer_error)
    app.add_exception_handler(Exception, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_validation_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    return app


class KeyCheck:
    """Refuses calls without the key, before anything of their body is read."""

    def __init__(self, app: ASGIApp, key: bytes) -> None:
        self._app = app
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, or answer 401."""
        if scope["type"] == "http" and scope["path"].startswith("/v1") and not self._has_key(scope):
            status, body = error_body(
                UnauthorizedError("Send the service's key as: Authorization: Bearer KEY.")
            )
            await JSONResponse(body, status)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _has_key(self, scope: Scope) -> bool:
        scheme, _, given = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
        return scheme.lower() == b"bearer" and secrets.compare_digest(given, self._key)


class QueueCheck:
    """Refuses uploads while too many documents are waiting, before anything of them is stored."""

    def __init__(self, app: ASGIApp, library: Library) -> None:
        self._app = app
        self._library = library

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, or answer 429."""
        if scope["type"] == "http" and (scope["method"], scope["path"]) == UPLOAD:
            try:
                await asyncio.to_thread(self._library.check_queue)
            except IngestError as error:
                await _refuse(_error_response(error), receive, send)
                return
        await self._app(scope, receive, send)


async def _refuse(response: JSONResponse, receive: Receive, send: Send) -> None:
    """Answer at once, but hang up only when the caller has sent everything.

    Many clients read no answer before that, and take a closed connection for a crash.
    """
    start = {"type": "http.response.start", "status": response.status_code}
    await send({**start, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.body", "body": b""})


def _answer_error(_request: Request, error: Exception) -> JSONResponse:
    return _error_response(error)


def _error_response(error: Exception) -> JSONResponse:
    status, body = error_body(error)
    if status == 500:  # noqa: PLR2004 - HTTP
        logger.error("request failed", exc_info=error)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status in {429, 503} else None
    return JSONResponse(body, status, headers)


def _answer_validation_error(request: Request, error: Exception) -> JSONResponse:
    """Turn FastAPI's report into one sentence with the name of the field."""
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        return _answer_error(request, InvalidRequestError(f"The body is no valid JSON: {message}."))
    parts = [str(part) for part in first["loc"][1:] if part != PROFILE_BY_VALUE]
    field = ".".join(parts) or None
    if first["loc"][:2] == ("body", "file"):
        return _answer_error(request, InvalidRequestError(HOW_TO_UPLOAD, "file"))
    if field:
        message = f"{field}: {message}"
    elif first["type"] != "value_error":
        message = "The body must be a JSON object, sent with Content-Type: application/json."
    return _answer_error(request, InvalidRequestError(message, field))


def _answer_http_error(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    kind = "not_found_error" if error.status_code == 404 else "invalid_request_error"  # noqa: PLR2004
    body = {"message": str(error.detail), "type": kind, "param": None, "code": None}
    return JSONResponse({"error": body}, error.status_code, error.headers)
