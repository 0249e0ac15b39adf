"""Errors as answers over HTTP."""

import logging
import math

from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Send

from serving.errors import RETRY_AFTER_SECONDS, error_body

logger = logging.getLogger(__name__)
UNAUTHORIZED, NOT_FOUND, INTERNAL = 401, 404, 500
# Of calls that no route takes, or whose body none can read.
CODES = {400: "invalid_value", NOT_FOUND: "path_not_found", 405: "method_not_allowed"}
TRY_AGAIN = {429, 503}
# What FastAPI says of bodies that are no text, or nested too deep to be read.
UNREADABLE_BODY = "There was an error parsing the body"
HOW_TO_SEND_JSON = "Send JSON in UTF-8, not compressed and not nested hundreds of levels deep."


def error_response(error: Exception, *, is_admin: bool = False) -> JSONResponse:
    """Return the answer to a call that failed, see `error_body`."""
    status, body = error_body(error, is_admin=is_admin)
    if status == INTERNAL:
        logger.error("request failed", exc_info=error)
    elif details := getattr(error, "details", None):
        reason = type(error).__name__
        logger.warning("request failed", extra={"reason": reason, "details": details})
    headers = {}
    if status == UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if status in TRY_AGAIN:
        seconds = getattr(error, "retry_after_seconds", None) or RETRY_AFTER_SECONDS
        headers["Retry-After"] = str(max(1, math.ceil(seconds)))
    return JSONResponse(body, status, headers)


def http_error_response(error: HTTPException) -> JSONResponse:
    """Return the answer to a call that no route takes, or whose body none can read."""
    kind = "not_found_error" if error.status_code == NOT_FOUND else "invalid_request_error"
    code = CODES.get(error.status_code)
    message = str(error.detail)
    if message == UNREADABLE_BODY:
        message = f"The body cannot be read. {HOW_TO_SEND_JSON}"
    body = {"message": message, "type": kind, "param": None, "code": code}
    return JSONResponse({"error": body}, error.status_code, error.headers)


async def refuse(response: JSONResponse, receive: Receive, send: Send) -> None:
    """Answer at once, but hang up only when the caller has sent everything.

    Many clients read no answer before that, and take a closed connection for a crash.
    """
    start = {"type": "http.response.start", "status": response.status_code}
    await send({**start, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.body", "body": b""})
