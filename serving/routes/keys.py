"""Everything below /v1/keys."""

from typing import Any

from fastapi import APIRouter

from serving.key_view import KeyView
from serving.routes.dependencies import RunningService
from serving.schemas import KeyRequest

router = APIRouter()


@router.get("/v1/keys")
def list_keys(service: RunningService) -> dict[str, list[KeyView]]:
    """List the keys in order of their age, revoked ones too."""
    return {"keys": [KeyView.of(key) for key in service.keys.list_keys()]}


@router.post("/v1/keys", status_code=201)
def create(request: KeyRequest, service: RunningService) -> dict[str, Any]:
    """Make a key; only this answer holds its secret."""
    key, secret = service.keys.create(
        request.name, request.scopes, request.collections, request.limits, request.expires_at
    )
    return {**KeyView.of(key).model_dump(), "secret": secret}


@router.delete("/v1/keys/{key_id}")
def revoke(key_id: str, service: RunningService) -> KeyView:
    """Make a key useless for good."""
    return KeyView.of(service.keys.revoke(key_id))
