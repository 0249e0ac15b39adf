"""API keys: who may call what, in which collections, and how much."""

import asyncio
import hashlib
import hmac
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from ingest.database import Database, in_utc
from ingest.documents import check_collection_name
from serving.database import keys
from serving.errors import (
    DatabaseUnavailableError,
    InvalidRequestError,
    KeyNotFoundError,
    UnauthorizedError,
)

SECRET_PREFIX = "sk-suffice-"  # noqa: S105 - what all secrets begin with
SECRET_BYTES = 32
MAX_NAME_CHARACTERS = 100
# A revoked key is refused after this many seconds at the latest, whoever revoked it.
MAX_AGE_SECONDS = 2.0
# From then on keys are read anew beside the requests, so that none of a busy service waits for it.
REFRESH_SECONDS = 1.0
# How exact `last_used_at` is; each use is not worth a write.
LAST_USED_PRECISION = timedelta(minutes=1)
HOW_TO_SEND = (
    "Send the service's key as: Authorization: Bearer KEY. Commands take it from SUFFICE_API_KEY."
)
logger = logging.getLogger(__name__)
_SECRET = re.compile(re.escape(SECRET_PREFIX.encode()) + rb"([0-9a-f]+)-")


class Scope(StrEnum):
    """What a key is for; admin includes the other two."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """How much a key may ask for; None: any amount.

    Attributes:
        requests_per_minute: questions and searches, in any 60 seconds.
        tokens_per_minute: of prompts and answers, in any 60 seconds.
        max_concurrent: answers, and searches, at a time.
        tokens_per_day: of prompts and answers, in a day of UTC.
        nano_usd_per_day: cost in a day of UTC, in billionths of a US dollar.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_concurrent: int | None = None
    tokens_per_day: int | None = None
    nano_usd_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret.

    Attributes:
        id: part of the secret, and safe to show.
        name: whose it is.
        scopes: what it is for.
        collections: which it is for; None: all.
        limits: how much it may ask for.
        last_used_at: exact to a minute.
    """

    id: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    collections: frozenset[str] | None = None
    limits: KeyLimits = KeyLimits()
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def may(self, scope: Scope) -> bool:
        """Whether the key is for this."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def is_live(self, now: datetime) -> bool:
        """Whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def _built_in(name: str) -> Key:
    return Key(name, name, frozenset({Scope.ADMIN}), datetime.min.replace(tzinfo=UTC))


# The key of SERVING_API_KEY, and whoever calls a service on loopback that has no keys.
ENVIRONMENT = _built_in("environment")
LOCAL = _built_in("local")


class KeyStore:
    """The keys in the database, and SERVING_API_KEY. Thread-safe.

    A secret holds 256 random bits. Nobody guesses it from its SHA-256, however fast that is to
    compute, so the slow hashes that passwords need would only slow every request down.

    Every method raises `DatabaseUnavailableError` when the database does not answer.
    """

    def __init__(
        self,
        database: Database,
        environment_secret: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Set up.

        Args:
            database: with the tables of serving.
            environment_secret: SERVING_API_KEY.
            clock: seconds, for the age of what is in memory.
            now: the time of day.
        """
        self._database = database
        self._environment_secret = environment_secret
        self._clock = clock
        self._now = now
        self._loading = threading.Lock()
        self._known: Mapping[str, tuple[str, Key]] = {}  # digest and key, by id
        self._loaded_at = float("-inf")
        self._used: dict[str, datetime] = {}

    def create(
        self,
        name: str,
        scopes: Iterable[Scope],
        collections: Iterable[str] | None = None,
        limits: KeyLimits = KeyLimits(),
        expires_at: datetime | None = None,
    ) -> tuple[Key, str]:
        """Make a key; return it with its secret, which is kept nowhere.

        Raises:
            InvalidRequestError: name, scopes, collections or expiry make no sense.
        """
        key = Key(
            id=secrets.token_hex(6),
            name=name,
            scopes=frozenset(scopes),
            created_at=self._now(),
            collections=None if collections is None else frozenset(collections),
            limits=limits,
            expires_at=None if expires_at is None else _to_utc(expires_at),
        )
        _check(key)
        secret = f"{SECRET_PREFIX}{key.id}-{secrets.token_urlsafe(SECRET_BYTES)}"
        with self._database.writing() as connection:
            connection.execute(sa.insert(keys).values(**_to_row(key), digest=_digest(secret)))
        self._forget()
        return key, secret

    def list_keys(self) -> list[Key]:
        """Return all keys, revoked ones too, in order of their age."""
        query = sa.select(keys).order_by(keys.c.created_at, keys.c.id)
        with self._database.reading() as connection:
            return [_to_key(row) for row in connection.execute(query).mappings()]

    def revoke(self, key_id: str) -> Key:
        """Make a key useless for good; one that is already stays as it is.

        Raises:
            KeyNotFoundError: there is none of this id.
        """
        is_it = keys.c.id == key_id
        with self._database.writing() as connection:
            connection.execute(
                sa.update(keys)
                .where(is_it, keys.c.revoked_at.is_(None))
                .values(revoked_at=self._now())
            )
            row = connection.execute(sa.select(keys).where(is_it)).mappings().first()
        if row is None:
            raise KeyNotFoundError(f"There is no key {key_id!r}. `suffice keys list` shows them.")
        self._forget()
        return _to_key(row)

    def has_live_key(self) -> bool:
        """Whether anybody can call a service that asks for a key."""
        now = self._now()
        return self._environment_secret is not None or any(
            key.is_live(now) for key in self.list_keys()
        )

    async def are_needed(self) -> bool:
        """Whether callers need a key: there is or was one.

        Revoked and expired keys count. Otherwise the end of the last one would open the service.
        """
        if self._environment_secret is not None:
            return True
        await self._freshen()
        return bool(self._known)

    async def find(self, secret: bytes) -> Key:
        """Return the live key of a secret.

        Raises:
            UnauthorizedError: there is none.
        """
        if self._environment_secret is not None and hmac.compare_digest(
            secret, self._environment_secret.encode()
        ):
            return ENVIRONMENT
        await self._freshen()
        match = _SECRET.match(secret)
        digest, key = self._known.get(match[1].decode() if match else "", ("", LOCAL))
        if not hmac.compare_digest(_digest(secret), digest):
            raise UnauthorizedError(f"The service does not know this key. {HOW_TO_SEND}")
        now = self._now()
        if key.revoked_at is not None:
            raise UnauthorizedError(
                f"The key {key.name!r} was revoked on {key.revoked_at:%Y-%m-%d at %H:%M} UTC."
            )
        if not key.is_live(now):
            raise UnauthorizedError(
                f"The key {key.name!r} expired on {key.expires_at:%Y-%m-%d at %H:%M} UTC."
            )
        self._used[key.id] = now
        return key

    def close(self) -> None:
        """Write down which keys were used last."""
        with self._loading:
            self._write_last_used()

    async def _freshen(self) -> None:
        """Read the keys anew, beside this call while what is known is young enough."""
        age = self._clock() - self._loaded_at
        if age > MAX_AGE_SECONDS:
            await asyncio.to_thread(self._load)
        elif age > REFRESH_SECONDS and not self._loading.locked():
            asyncio.get_running_loop().run_in_executor(None, self._load_quietly)

    def _forget(self) -> None:
        """Have the keys read anew; whoever reads them now may have begun before the change."""
        with self._loading:
            self._loaded_at = float("-inf")

    def _load_quietly(self) -> None:
        try:
            self._load()
        except DatabaseUnavailableError:
            logger.warning("keys were not read anew", exc_info=True)

    def _load(self) -> None:
        with self._loading:
            started = self._clock()
            if started - self._loaded_at <= REFRESH_SECONDS:
                return  # somebody else just did it
            with self._database.reading() as connection:
                rows = connection.execute(sa.select(keys)).mappings().all()
            self._known = {row["id"]: (row["digest"], _to_key(row)) for row in rows}
            self._loaded_at = started
            self._write_last_used()

    def _write_last_used(self) -> None:
        used, self._used = self._used, {}
        changes = [
            {"used_id": key_id, "time": time}
            for key_id, time in used.items()
            if (last := self._known[key_id][1].last_used_at) is None
            or time - last >= LAST_USED_PRECISION
        ]
        if not changes:
            return
        statement = (
            sa.update(keys)
            .where(keys.c.id == sa.bindparam("used_id"))
            .values(last_used_at=sa.bindparam("time"))
        )
        try:
            with self._database.writing(is_durable=False) as connection:
                connection.execute(statement, changes)
        except DatabaseUnavailableError:  # a full disk must lock nobody out
            logger.warning("the last use of keys was not written", exc_info=True)


def _to_utc(expires_at: datetime) -> datetime:
    try:
        return expires_at.astimezone(UTC)
    except OverflowError:
        raise InvalidRequestError(
            "The key would expire after the year 9999. Leave it out for one that never does.",
            "expires_at",
        ) from None


def _check(key: Key) -> None:
    if not key.name.strip() or len(key.name) > MAX_NAME_CHARACTERS or not key.name.isprintable():
        raise InvalidRequestError(
            f"The name of a key has 1 to {MAX_NAME_CHARACTERS} characters, such as 'web page'.",
            "name",
        )
    if not key.scopes:
        raise InvalidRequestError("Give at least one scope: read, write or admin.", "scopes")
    if key.collections is not None:
        if not key.collections or Scope.ADMIN in key.scopes:
            raise InvalidRequestError(
                "Name at least one collection, or none for all; keys with the scope admin are for "
                "all.",
                "collections",
            )
        for name in key.collections:
            check_collection_name(name)
    if key.expires_at is not None and key.expires_at <= key.created_at:
        raise InvalidRequestError("The key would have expired already.", "expires_at")


def _digest(secret: str | bytes) -> str:
    return hashlib.sha256(secret.encode() if isinstance(secret, str) else secret).hexdigest()


def _to_row(key: Key) -> dict[str, Any]:
    row = {field.name: getattr(key, field.name) for field in fields(key) if field.name in keys.c}
    return {
        **row,
        **asdict(key.limits),
        "scopes": sorted(key.scopes),
        "collections": None if key.collections is None else sorted(key.collections),
    }


def _to_key(row: Mapping[Any, Any]) -> Key:
    times = {
        name: None if row[name] is None else in_utc(row[name])
        for name in ("expires_at", "revoked_at", "last_used_at")
    }
    return Key(
        id=row["id"],
        name=row["name"],
        scopes=frozenset(map(Scope, row["scopes"])),
        created_at=in_utc(row["created_at"]),
        collections=None if row["collections"] is None else frozenset(row["collections"]),
        limits=KeyLimits(**{field.name: row[field.name] for field in fields(KeyLimits)}),
        **times,
    )
