"""GET /v1/shadow."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from serving.routes.dependencies import RunningService

router = APIRouter()
# No database has greater ids.
MOST_ID = 2**63 - 1


@router.get("/v1/shadow")
def list_pairs(
    service: RunningService,
    cursor: Annotated[int, Query(ge=0, le=MOST_ID)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """List the pairs of answers in order of ids; `next_cursor` asks for the next page."""
    found = service.pairs.list_pairs(cursor, limit)
    return {"pairs": found, "next_cursor": found[-1]["id"] if len(found) == limit else None}
