"""Whether the service is alive, and whether it can answer."""

from collections.abc import Awaitable

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, PlainTextResponse

from retrieval.errors import IndexUnavailableError
from serving.errors import RETRY_AFTER_SECONDS, ServingError
from serving.metrics import CONTENT_TYPE
from serving.routes.dependencies import BEARER, ByAdmin, CurrentCaller, RunningService

router = APIRouter()
OK = "ok"
UNAVAILABLE = "unavailable"


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """Answer as soon as requests are taken."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(service: RunningService, is_admin: ByAdmin) -> JSONResponse:
    """Tell whether questions can be answered, and if not, which part is missing.

    Of several models the first one must answer; the others are told. Why a part is missing names
    addresses inside, so only admins are told.
    """
    (_, state), *others = [
        (name, await _state(service.models.get(name).check())) for name in service.models.names()
    ]
    needed = {"model": state, "index": await _state(service.index_probe.check())}
    parts = needed | {f"model {name}": state for name, state in others}
    if not is_admin:
        parts = {part: OK if state == OK else UNAVAILABLE for part, state in parts.items()}
    if set(needed.values()) == {OK}:
        return JSONResponse({"ready": True, "parts": parts})
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return JSONResponse({"ready": False, "parts": parts}, 503, headers)


@router.get("/metrics", response_class=PlainTextResponse, dependencies=[Depends(BEARER)])
def metrics(service: RunningService, caller: CurrentCaller) -> PlainTextResponse:
    """Return the metrics for Prometheus, which are of all collections and keys."""
    caller.check_all_collections()
    return PlainTextResponse(service.metrics.text(), media_type=CONTENT_TYPE)


async def _state(check: Awaitable[None]) -> str:
    try:
        await check
    except (ServingError, IndexUnavailableError) as error:
        return str(error)
    return OK
