"""GET /v1/usage."""

from datetime import date
from typing import Any

from fastapi import APIRouter

from serving.money import to_usd
from serving.routes.dependencies import CurrentCaller, RunningService
from serving.usage import Grouping, Total, sum_up

router = APIRouter()


@router.get("/v1/usage")
def show(
    service: RunningService,
    caller: CurrentCaller,
    start: date | None = None,
    end: date | None = None,
    group_by: Grouping = Grouping.DAY,
) -> dict[str, Any]:
    """Sum up what answers took: those of the caller's own key, or of all for the scope admin."""
    own = None if caller.is_admin else caller.key.id
    totals = service.usage.totals(group_by, start, end, own)
    return {
        "group_by": group_by,
        "usage": [{group_by: total.group, **_show(total)} for total in totals],
        "total": _show(sum_up(totals)),
    }


def _show(total: Total) -> dict[str, Any]:
    return {
        "num_answers": total.num_answers,
        "prompt_tokens": total.prompt_tokens,
        "cached_tokens": total.cached_tokens,
        "completion_tokens": total.completion_tokens,
        "reasoning_tokens": total.reasoning_tokens,
        "usd": to_usd(total.nano_usd),
        "seconds": total.seconds,
    }
