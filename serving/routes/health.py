"""Whether the service is alive, and whether it can answer."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from serving.errors import RETRY_AFTER_SECONDS, ServingError
from serving.routes.dependencies import RunningService

router = APIRouter()


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """Answer as soon as requests are taken."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(service: RunningService) -> JSONResponse:
    """Tell whether questions can be answered, and if not, which part is missing."""
    try:
        await service.answerer.check()
    except ServingError as error:
        return JSONResponse(
            {"ready": False, "parts": {"model": str(error)}},
            status_code=503,
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    return JSONResponse({"ready": True, "parts": {"model": "ok"}})
