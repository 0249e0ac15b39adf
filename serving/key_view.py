"""A key as the API and the command line show it."""

from datetime import datetime

from pydantic import BaseModel

from serving.keys import Key, Scope
from serving.money import to_usd


class KeyView(BaseModel):
    """A key without its secret; limits that are null do not limit."""

    id: str
    name: str
    scopes: list[Scope]
    collections: list[str] | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    max_concurrent: int | None
    tokens_per_day: int | None
    usd_per_day: float | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def of(cls, key: Key) -> "KeyView":
        """Show a key."""
        limits = key.limits
        budget = limits.nano_usd_per_day
        return cls(
            id=key.id,
            name=key.name,
            scopes=sorted(key.scopes),
            collections=None if key.collections is None else sorted(key.collections),
            requests_per_minute=limits.requests_per_minute,
            tokens_per_minute=limits.tokens_per_minute,
            max_concurrent=limits.max_concurrent,
            tokens_per_day=limits.tokens_per_day,
            usd_per_day=None if budget is None else to_usd(budget),
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=key.last_used_at,
        )
