"""Keys: what becomes of them, and how soon everybody knows."""

import asyncio
import re
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ingest.database import Database
from ingest.errors import InvalidRequestError as MalformedNameError
from serving.database import keys
from serving.errors import InvalidRequestError, KeyNotFoundError, UnauthorizedError
from serving.keys import ENVIRONMENT, KeyLimits, KeyStore, Scope
from tests.serving.clocks import Clock

EVERYTHING: dict[str, Any] = {
    "scopes": [Scope.READ, Scope.WRITE],
    "collections": ["laws", "contracts"],
    "limits": KeyLimits(60, 10_000, 4, 1_000_000, 2_500_000_000),
    "expires_at": datetime(2027, 1, 1, tzinfo=UTC),
}
READ: dict[str, Any] = {"scopes": [Scope.READ]}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(database: Database, clock: Clock) -> KeyStore:
    return KeyStore(database, clock=clock, now=clock.now)


def find(store: KeyStore, secret: str) -> str:
    """Return the id of the key with a secret."""
    return asyncio.run(store.find(secret.encode())).id


def assert_refused(store: KeyStore, secret: str, says: str) -> None:
    with pytest.raises(UnauthorizedError, match=says):
        find(store, secret)


@pytest.mark.parametrize("given", [READ, EVERYTHING], ids=["read only", "everything"])
def test_key_is_kept_with_all_that_was_said(store: KeyStore, given: dict[str, Any]) -> None:
    key, secret = store.create("web page", **given)
    assert store.list_keys() == [key]
    assert asyncio.run(store.find(secret.encode())) == key
    assert key.scopes == set(given["scopes"])
    assert key.collections == (set(given["collections"]) if "collections" in given else None)
    assert key.limits == given.get("limits", KeyLimits())


def test_secret_is_long_names_its_key_and_is_kept_nowhere(store: KeyStore, tmp_path: Path) -> None:
    key, secret = store.create("web page", **READ)
    # 32 bytes are 43 characters of base64.
    assert re.fullmatch(rf"sk-suffice-{key.id}-[A-Za-z0-9_-]{{43}}", secret)
    assert secret not in repr(key)
    held = b"".join(path.read_bytes() for path in tmp_path.glob("serving.sqlite*"))
    assert key.id.encode() in held
    assert secret[-43:].encode() not in held


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda secret: secret + "x", id="longer"),
        pytest.param(lambda secret: secret[:-1], id="shorter"),
        pytest.param(lambda secret: secret[:-1] + ("A" if secret[-1] != "A" else "B"), id="other"),
        pytest.param(lambda secret: secret.replace("sk-", "SK-"), id="other prefix"),
        pytest.param(lambda _secret: "", id="empty"),
        pytest.param(lambda _secret: "sk-suffice-000000000000-x", id="other id"),
        pytest.param(lambda _secret: "sk-suffice-\xff-x", id="no ASCII"),
    ],
)
def test_other_secret_is_refused(store: KeyStore, change: Callable[[str], str]) -> None:
    _, secret = store.create("web page", **READ)
    assert_refused(store, change(secret), "^The service does not know this key. Send")


def test_revoked_key_is_refused(store: KeyStore) -> None:
    key, secret = store.create("web page", **READ)
    assert find(store, secret) == key.id
    revoked = store.revoke(key.id)
    assert revoked.revoked_at is not None
    assert_refused(store, secret, "'web page' was revoked on 2026-11-26 at 20:00 UTC")
    assert_refused(
        store, secret + "x", "^The service does not know this key"
    )  # who guesses learns nothing
    assert store.revoke(key.id).revoked_at == revoked.revoked_at


def test_key_expires(store: KeyStore, clock: Clock) -> None:
    key, secret = store.create("guest", **READ, expires_at=clock.now() + timedelta(seconds=5))
    clock.seconds = 4.9
    assert find(store, secret) == key.id
    clock.seconds = 5.0
    assert_refused(store, secret, "'guest' expired on 2026-11-26 at 20:00 UTC")


def test_unknown_key_cannot_be_revoked(store: KeyStore) -> None:
    with pytest.raises(KeyNotFoundError, match=r"no key 'x'.*keys list"):
        store.revoke("x")


def test_what_another_process_changes_is_known_within_two_seconds(
    store: KeyStore, database: Database, clock: Clock
) -> None:
    other = KeyStore(database, clock=clock, now=clock.now)
    key, secret = other.create("web page", **READ)
    assert find(store, secret) == key.id
    other.revoke(key.id)
    late, late_secret = other.create("late", **READ)
    clock.seconds = 0.9
    assert find(store, secret) == key.id  # what is known is young enough
    clock.seconds = 2.1
    assert_refused(store, secret, "was revoked")
    assert find(store, late_secret) == late.id


def test_keys_are_read_anew_beside_the_calls_of_a_busy_service(
    store: KeyStore, database: Database, clock: Clock
) -> None:
    key, secret = store.create("web page", **READ)

    async def call() -> str:
        return (await store.find(secret.encode())).id

    async def call_while_the_database_is_busy() -> None:
        assert await call() == key.id
        KeyStore(database, now=clock.now).revoke(key.id)
        clock.seconds = 1.5
        with store._loading:  # whoever reads now waits
            assert await asyncio.wait_for(call(), 1) == key.id
        clock.seconds = 1.6
        assert await call() == key.id  # starts to read anew

    asyncio.run(call_while_the_database_is_busy())  # ends when that has ended
    assert_refused(store, secret, "was revoked")


def test_last_use_is_written_down_once_a_minute(store: KeyStore, clock: Clock) -> None:
    _, secret = store.create("web page", **READ)
    used = []
    for seconds in (10, 20, 30, 75, 80):
        clock.seconds = seconds
        find(store, secret)
        store.close()
        used.append(store.list_keys()[0].last_used_at)
    at = [clock.now() + timedelta(seconds=seconds - 80) for seconds in (10, 10, 10, 75, 75)]
    assert used == at


def test_key_of_the_environment(database: Database) -> None:
    store = KeyStore(database, "k-4711-ü")
    assert asyncio.run(store.find("k-4711-ü".encode())) == ENVIRONMENT
    assert asyncio.run(store.are_needed())
    assert ENVIRONMENT.may(Scope.ADMIN)
    assert_refused(store, "k-4711-u", "^The service does not know this key")


def test_keys_are_needed_as_soon_as_there_was_one(store: KeyStore) -> None:
    assert not asyncio.run(store.are_needed())
    assert not store.has_live_key()
    key, _ = store.create("web page", **READ)
    assert asyncio.run(store.are_needed())
    assert store.has_live_key()
    store.revoke(key.id)
    assert asyncio.run(store.are_needed())
    assert not store.has_live_key()


@pytest.mark.parametrize(
    ("scopes", "may"),
    [
        ([Scope.READ], {Scope.READ}),
        ([Scope.WRITE], {Scope.WRITE}),
        ([Scope.READ, Scope.WRITE], {Scope.READ, Scope.WRITE}),
        ([Scope.ADMIN], set(Scope)),
    ],
)
def test_admin_includes_the_others(store: KeyStore, scopes: list[Scope], may: set[Scope]) -> None:
    key, _ = store.create("web page", scopes)
    assert {scope for scope in Scope if key.may(scope)} == may


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": " "}, "name of a key"),
        ({"name": "x" * 101}, "name of a key"),
        ({"name": "a\nb"}, "name of a key"),
        ({"scopes": []}, "at least one scope"),
        ({"collections": []}, "at least one collection"),
        ({"collections": ["a"], "scopes": [Scope.ADMIN]}, "admin are for all"),
        ({"expires_at": datetime(2026, 11, 26, 20, 0, tzinfo=UTC)}, "expired already"),
    ],
)
def test_key_that_makes_no_sense_is_not_made(
    store: KeyStore, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        store.create(**{"name": "web page", **READ, **changes})
    assert store.list_keys() == []


def test_name_that_no_collection_can_have(store: KeyStore) -> None:
    with pytest.raises(MalformedNameError, match="'Laws' is no collection name"):
        store.create("web page", [Scope.READ], ["Laws"])


def test_database_that_takes_nothing_locks_nobody_out(
    store: KeyStore, tmp_path: Path, clock: Clock, database: Database
) -> None:
    key, secret = store.create("web page", **READ)
    with sqlite3.connect(tmp_path / "serving.sqlite") as busy:
        with database.engine.connect() as connection:
            connection.execute(sa.text("PRAGMA busy_timeout=1"))
        busy.execute("BEGIN IMMEDIATE")
        assert find(store, secret) == key.id
        clock.seconds = 3.0
        assert find(store, secret) == key.id
        busy.rollback()
    busy.close()
    with database.reading() as connection:
        assert connection.execute(sa.select(keys.c.last_used_at)).scalar_one() is None


def test_keys_are_made_in_many_threads(store: KeyStore) -> None:
    threads = [threading.Thread(target=store.create, args=(str(n), [Scope.READ])) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(key.name for key in store.list_keys()) == [str(n) for n in range(8)]


def test_a_key_revoked_while_keys_are_read_is_refused_at_once(
    store: KeyStore, database: Database
) -> None:
    key, secret = store.create("web page", [Scope.READ])
    has_read, may_go_on = threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        if not has_read.is_set():  # the first one, which is the reader
            has_read.set()
            assert may_go_on.wait(10)

    reader = threading.Thread(target=find, args=(store, secret))
    revoker = threading.Thread(target=store.revoke, args=(key.id,))
    sa.event.listen(database.engine, "checkin", hold)  # its connection is done with
    reader.start()
    assert has_read.wait(10)
    revoker.start()
    revoker.join(0.5)  # it may wait for the reader, but has done its work by then
    assert store.list_keys()[0].revoked_at is not None
    may_go_on.set()
    reader.join()
    revoker.join()
    assert_refused(store, secret, "was revoked")
