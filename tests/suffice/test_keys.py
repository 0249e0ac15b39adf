"""`suffice keys`, and the other commands against a service with keys."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from serving.keys import MAX_AGE_SECONDS
from suffice.options import console
from tests.serving.application import Application, run_application
from tests.serving.documents import BEES
from tests.suffice.terminal import Suffice

QUESTION = "How many kilograms of honey does one hive give each year?"
EVIDENCE = "One hive gives twenty kilograms of honey each year."


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """A service with a document."""
    with run_application(tmp_path_factory.mktemp("home")) as application:
        application.ingest("bees.md", BEES)
        yield application


@pytest.fixture
def suffice(application: Application, offline: Suffice, monkeypatch: pytest.MonkeyPatch) -> Suffice:
    """Run `suffice` on the home folder of the running service."""
    monkeypatch.setenv("SUFFICE_HOME", str(application.service.home.path))
    return offline


def test_key_from_creation_to_revocation(offline: Suffice) -> None:
    options = ["--scope", "read", "--scope", "write", "--collection", "laws", "--expires", "30d"]
    limits = ["--requests-per-minute", 60, "--tokens-per-minute", 10_000, "--max-concurrent", 4]
    budgets = ["--tokens-per-day", 1_000_000, "--usd-per-day", 2.5]
    made = offline("keys", "create", "web page", *options, *limits, *budgets, "--json").json()
    secret = made.pop("secret")
    assert secret.startswith(f"sk-suffice-{made['id']}-")
    assert offline("keys", "list", "--json").json() == {"keys": [made]}
    named = ("scopes", "collections", "requests_per_minute", "tokens_per_minute", "max_concurrent")
    assert [made[name] for name in (*named, "tokens_per_day", "usd_per_day")] == [
        ["read", "write"],
        ["laws"],
        60,
        10_000,
        4,
        1_000_000,
        2.5,
    ]
    expected = datetime.now(UTC) + timedelta(days=30)
    assert abs(datetime.fromisoformat(made["expires_at"]) - expected) < timedelta(minutes=1)
    row = offline("keys", "list").out.splitlines()[1]
    assert secret not in row
    for shown in (made["id"], "web page", "read, write", "laws", "60 requests/min", "2.5 USD/day"):
        assert shown in row
    assert offline("keys", "revoke", made["id"]).out == f"revoked {made['id']} (web page)\n"
    assert f"revoked {datetime.now(UTC):%Y-%m-%d}" in offline("keys", "list").out


def test_ids_are_whole_in_80_columns(offline: Suffice, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = ("--requests-per-minute", 60, "--tokens-per-day", 1_000_000)
    made = offline("keys", "create", "web page", "--collection", "laws", *limits, "--json").json()
    monkeypatch.setattr(console, "width", 80)
    shown = offline("keys", "list").out
    assert made["id"] in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_secret_alone_is_on_standard_output(offline: Suffice) -> None:
    made = offline("keys", "create", "[bold]web[/]")
    assert made.out.count("\n") == 1
    key_id = made.out.split("-")[2]
    assert f"Key {key_id}. Keep the secret" in made.err
    assert "[bold]web[/]" in offline("keys", "list").out


@pytest.mark.parametrize(
    ("expires", "shown"),
    [("2099-12-31", "2099-12-31T00:00:00Z"), ("2099-12-31T12:00+02:00", "2099-12-31T10:00:00Z")],
)
def test_key_with_a_date(offline: Suffice, expires: str, shown: str) -> None:
    made = offline("keys", "create", "guest", "--expires", expires, "--json").json()
    assert made["expires_at"] == shown


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--scope", "all"], 2, "is no scope: use read, write, admin"),
        (["--expires", "soon"], 2, "use a span such as 30d"),
        (["--expires", "999999w"], 2, "after the year 9999"),
        (["--expires", "9999-12-31T23:00-02:00"], 1, "after the year 9999"),
        (["--tokens-per-day", 10**18], 2, "tokens-per-day"),
        (["--expires", "2020-01-01"], 1, "expired already"),
        (["--requests-per-minute", 0], 2, "requests-per-minute"),
        (["--usd-per-day", -1], 2, "usd-per-day"),
        (["--collection", "No Name"], 1, "is no collection name"),
        (["--collection", "laws", "--scope", "admin"], 1, "admin are for all"),
    ],
)
def test_key_that_makes_no_sense(
    offline: Suffice, options: list[object], code: int, says: str
) -> None:
    outcome = offline("keys", "create", "web page", *options)
    assert (outcome.code, outcome.out) == (code, "")
    assert says in outcome.err
    assert offline("keys", "list", "--json").json() == {"keys": []}


def test_unknown_key_is_not_revoked(offline: Suffice) -> None:
    outcome = offline("keys", "revoke", "x")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "There is no key 'x'" in outcome.err


def test_keys_of_a_running_service(
    application: Application, suffice: Suffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key made on the side opens its part; revoked on the side, it opens nothing."""
    clock, skipped = application.service.keys._clock, [0.0]
    monkeypatch.setattr(application.service.keys, "_clock", lambda: clock() + skipped[0])
    made = suffice("keys", "create", "reader", "--json").json()
    skipped[0] += MAX_AGE_SECONDS
    refused = suffice("search", "honey")
    assert refused.code == 1
    assert "Authorization: Bearer KEY" in refused.err
    assert "SUFFICE_API_KEY" in refused.err

    monkeypatch.setenv("SUFFICE_API_KEY", made["secret"])
    assert suffice("search", "honey").out.startswith("1. bees.md")
    assert EVIDENCE in suffice("ask", QUESTION).out
    [document] = suffice("documents", "list", "--json").json()["documents"]
    assert suffice("profiles", "list").code == 0
    for command in (["documents", "delete", document["id"]], ["reindex"], ["ingest", "x.txt"]):
        Path("x.txt").write_text("Oak.")
        outcome = suffice(*command)
        assert outcome.code == 1
        assert "needs a key with the scope" in outcome.err

    writer = suffice("keys", "create", "writer", "--scope", "read", "--scope", "write", "--json")
    skipped[0] += MAX_AGE_SECONDS
    monkeypatch.setenv("SUFFICE_API_KEY", writer.json()["secret"])
    assert suffice("ingest", "x.txt").code == 0

    suffice("keys", "revoke", writer.json()["id"])
    skipped[0] += MAX_AGE_SECONDS
    assert "'writer' was revoked" in suffice("search", "honey").err
