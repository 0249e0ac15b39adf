"""Reaching a Qdrant server: a limit for each call, another try where that helps, clear errors."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from json import JSONDecodeError
from typing import TypeVar

import grpc
import httpx
from qdrant_client import QdrantClient
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import (
    ApiException,
    ResponseHandlingException,
    UnexpectedResponse,
)

from retrieval.errors import IndexUnavailableError
from retrieval.settings import RetrievalSettings

MINIMUM_VERSION = (1, 20)
# A server that restarts or chooses a new leader is back within moments.
RETRY_PAUSES_SECONDS = (0.1, 0.4, 1.6)
RETRY_LIMIT_SECONDS = 5.0
_PASSING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, 429, 503}
_NO_KEY = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, 401, 403}
# The last three are how the client takes an answer over HTTP that is none of Qdrant's.
_FAILURES = (
    grpc.RpcError,
    ApiException,
    QdrantException,
    OSError,
    JSONDecodeError,
    UnicodeDecodeError,
    AssertionError,
)
Answer = TypeVar("Answer")


def connect(settings: RetrievalSettings) -> QdrantClient:
    """Connect to the server that the settings name, over gRPC unless its port is 0.

    Raises:
        IndexUnavailableError: it does not answer, is no address of a server, or is older than 1.20
            and has no BM25 index.
    """
    key = settings.qdrant_api_key
    try:
        client = QdrantClient(
            url=settings.qdrant_url,
            grpc_port=settings.qdrant_grpc_port,
            prefer_grpc=settings.qdrant_grpc_port > 0,
            api_key=key.get_secret_value() if key else None,
            timeout=settings.qdrant_timeout_seconds,
            check_compatibility=False,
        )
    except ValueError as error:
        raise IndexUnavailableError(
            "RETRIEVAL_QDRANT_URL must be an address such as http://localhost:6333.", str(error)
        ) from error
    version = answer(client.info).version
    number = re.match(r"v?(\d+)\.(\d+)", version)
    if number is None or tuple(map(int, number.groups())) < MINIMUM_VERSION:
        raise IndexUnavailableError(
            f"Qdrant at {settings.qdrant_url} is version {version}; 1.20 or newer is needed, "
            "for its BM25 index."
        )
    return client


def answer(call: Callable[[], Answer], *, pauses: Sequence[float] = RETRY_PAUSES_SECONDS) -> Answer:
    """Make a call to the server, again when it is only away or busy for a moment.

    Each of our calls may be made twice: it reads, or writes by id or by filter.

    Args:
        call: to the server.
        pauses: seconds before each other try.

    Raises:
        IndexUnavailableError: it did not answer; the message says what to do.
    """
    for pause in _until_late(pauses):
        try:
            return call()
        except _FAILURES as error:
            if pause is None or _state_of(error) not in _PASSING:
                raise _unavailable(error) from error
        time.sleep(pause)
    raise AssertionError("unreachable: after the last try there is no pause")


def _until_late(pauses: Sequence[float]) -> Iterator[float | None]:
    """Yield how long to wait after a failed try; None after the last one."""
    started = time.monotonic()
    for pause in pauses:
        if time.monotonic() - started > RETRY_LIMIT_SECONDS:
            break
        yield pause
    yield None


def _state_of(error: Exception) -> object:
    """Return the status code of gRPC or HTTP, or that of gRPC for the same, or None."""
    if isinstance(error, ResourceExhaustedResponse):
        return grpc.StatusCode.RESOURCE_EXHAUSTED
    if isinstance(error, ResponseHandlingException):
        if isinstance(error.source, httpx.TimeoutException):
            return grpc.StatusCode.DEADLINE_EXCEEDED
        is_away = isinstance(error.source, httpx.TransportError)
        return grpc.StatusCode.UNAVAILABLE if is_away else None
    if isinstance(error, grpc.Call):
        return error.code()
    return error.status_code if isinstance(error, UnexpectedResponse) else None


def _unavailable(error: Exception) -> IndexUnavailableError:
    state = _state_of(error)
    # It may name addresses.
    details = f"It said: {error.details() if isinstance(error, grpc.Call) else error}"
    if state in _NO_KEY:
        advice = "Qdrant refuses the key. Check RETRIEVAL_QDRANT_API_KEY."
        return IndexUnavailableError(advice, details)
    if state is grpc.StatusCode.DEADLINE_EXCEEDED:
        return IndexUnavailableError(
            "Qdrant did not answer in time. Try again; if it goes on, see what keeps it busy, or "
            "raise RETRIEVAL_QDRANT_TIMEOUT_SECONDS."
        )
    return IndexUnavailableError(
        "Qdrant did not answer. Check RETRIEVAL_QDRANT_URL, RETRIEVAL_QDRANT_GRPC_PORT, and that "
        "it runs.",
        details,
    )
