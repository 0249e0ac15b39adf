"""The ledger: every answer once, sums that are exact, and what outlives the process."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.database import Database
from serving.errors import DatabaseUnavailableError
from serving.money import to_nano_usd, to_usd
from serving.usage import Entry, Grouping, Spent, UsageLedger, sum_up
from tests.serving.clocks import Clock

RECORD = """
import sys
from pathlib import Path
from ingest.home import Home
from ingest.settings import IngestSettings
from serving.database import open_database
from serving.settings import ServingSettings
from serving.usage import Entry, UsageLedger

settings = ServingSettings.model_construct(), IngestSettings.model_construct()
with open_database(*settings, Home(Path(sys.argv[1]))) as database:
    ledger = UsageLedger(database)
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(sys.argv[3])):
        ledger.count(Entry(sys.argv[2], "default", "model", prompt_tokens=1, nano_usd=1))
        ledger.write()
    print("done", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 11, 26, 23, 59, 30, tzinfo=UTC))


@pytest.fixture
def ledger(database: Database, clock: Clock) -> UsageLedger:
    return UsageLedger(database, clock.now)


def entry(key_id: str = "a", collection: str = "laws", model: str = "m", **counts: Any) -> Entry:
    return Entry(key_id, collection, model, **counts)


def start_process(home: Path, key_id: str, num_answers: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RECORD, str(home), key_id, str(num_answers)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def tell(process: subprocess.Popen[str], line: str = "") -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_what_could_not_be_written_counts_and_is_written_later(
    ledger: UsageLedger, database: Database, clock: Clock, tmp_path: Path
) -> None:
    assert ledger.spent_today("a") == Spent()
    with closing(sqlite3.connect(tmp_path / "serving.sqlite")) as busy:
        with database.engine.connect() as connection:  # the one that the ledger gets
            connection.execute(sa.text("PRAGMA busy_timeout=1"))
        busy.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            ledger.count(entry(prompt_tokens=10, completion_tokens=5, nano_usd=7))
            with pytest.raises(DatabaseUnavailableError):
                ledger.write()
        assert ledger.spent_today("a") == Spent(30, 14)
        assert ledger.totals() == []
        busy.rollback()
    ledger.count(entry(prompt_tokens=1))
    ledger.count(entry("b", prompt_tokens=5))
    assert ledger.spent_today("b") == Spent(5)
    ledger.write()
    assert UsageLedger(database, clock.now).spent_today("a") == Spent(31, 14)
    [total, _] = UsageLedger(database).totals(Grouping.KEY)
    assert (total.num_answers, total.prompt_tokens, total.nano_usd) == (3, 21, 14)


def test_all_of_an_answer_is_summed_up(ledger: UsageLedger) -> None:
    ledger.count(Entry("a", "laws", "m", 1000, 800, 200, 150, 1_234_567, 1.5, "trace-1"))
    ledger.count(Entry("a", "laws", "m", 10, 0, 5, 0, 3, 0.25))
    [total] = ledger.totals()
    assert (total.group, total.num_answers, total.seconds) == ("2026-11-26", 2, 1.75)
    assert (total.prompt_tokens, total.cached_tokens) == (1010, 800)
    assert (total.completion_tokens, total.reasoning_tokens) == (205, 150)
    assert total.nano_usd == 1_234_570


@pytest.mark.parametrize(
    ("group_by", "sums"),
    [
        (Grouping.DAY, {"2026-11-26": 3, "2026-11-27": 4}),
        (Grouping.KEY, {"a": 5, "b": 2}),
        (Grouping.MODEL, {"big": 2, "m": 5}),
        (Grouping.COLLECTION, {"contracts": 4, "laws": 3}),
    ],
)
def test_sums_by_group(
    ledger: UsageLedger, clock: Clock, group_by: Grouping, sums: dict[str, int]
) -> None:
    ledger.count(entry(prompt_tokens=1))
    ledger.count(entry("b", model="big", prompt_tokens=2))
    clock.seconds = 30  # midnight
    ledger.count(entry(collection="contracts", prompt_tokens=4))
    totals = ledger.totals(group_by)
    assert {total.group: total.prompt_tokens for total in totals} == sums
    assert sum_up(totals).prompt_tokens == 7


def test_only_some_days_and_one_key(ledger: UsageLedger, clock: Clock) -> None:
    for day in range(4):
        clock.seconds = day * 86_400
        ledger.count(entry(prompt_tokens=10**day))
        ledger.count(entry("b", prompt_tokens=5 * 10**day))
    found = ledger.totals(Grouping.DAY, date(2026, 11, 27), date(2026, 11, 28), "a")
    assert [(total.group, total.prompt_tokens) for total in found] == [
        ("2026-11-27", 10),
        ("2026-11-28", 100),
    ]
    assert sum_up(ledger.totals(Grouping.DAY, date(2027, 1, 1))).num_answers == 0


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 10**12), max_size=20))
def test_costs_add_up_to_the_billionth(database: Database, costs: list[int]) -> None:
    ledger = UsageLedger(database)
    before = sum_up(ledger.totals()).nano_usd
    for cost in costs:
        ledger.count(entry(nano_usd=cost))
    assert sum_up(ledger.totals(Grouping.KEY)).nano_usd == before + sum(costs)


@given(st.integers(0, 10**15))
def test_dollars_are_exact_up_to_a_million(nano_usd: int) -> None:
    assert to_nano_usd(to_usd(nano_usd)) == nano_usd


def test_spent_today_ends_at_midnight(ledger: UsageLedger, clock: Clock) -> None:
    ledger.count(entry(prompt_tokens=7, completion_tokens=5, nano_usd=3))
    assert ledger.spent_today("a") == Spent(12, 3)
    ledger.count(entry(prompt_tokens=1, cached_tokens=1, nano_usd=1))
    assert ledger.spent_today("a") == Spent(13, 4)
    clock.seconds = 30
    assert ledger.spent_today("a") == Spent(0, 0)
    ledger.count(entry(completion_tokens=2, reasoning_tokens=2))
    assert ledger.spent_today("a") == Spent(2, 0)
    assert ledger.spent_today("b") == Spent(0, 0)


def test_old_rows_are_forgotten(ledger: UsageLedger, clock: Clock) -> None:
    for day in range(5):
        clock.seconds = day * 86_400
        ledger.count(entry(prompt_tokens=1))
    ledger.write()
    ledger.forget_old(2)
    assert [total.group for total in ledger.totals()] == ["2026-11-28", "2026-11-29", "2026-11-30"]


def test_usage_survives_a_kill(database: Database, tmp_path: Path) -> None:
    with start_process(tmp_path, "killed", 20) as process:
        assert hear(process) == "ready"
        tell(process)
        assert hear(process) == "done"
        os.kill(process.pid, signal.SIGKILL)
    [total] = UsageLedger(database).totals(Grouping.KEY)
    assert (total.group, total.num_answers, total.nano_usd) == ("killed", 20, 20)


def test_two_processes_write_at_the_same_time(tmp_path: Path, database: Database) -> None:
    processes = [start_process(tmp_path, key_id, 100) for key_id in "ab"]
    for process in processes:
        assert hear(process) == "ready"
    for process in processes:
        tell(process)
    for process in processes:
        with process:
            assert hear(process) == "done"
            tell(process)
    totals = UsageLedger(database).totals(Grouping.KEY)
    assert [(total.group, total.num_answers) for total in totals] == [("a", 100), ("b", 100)]
