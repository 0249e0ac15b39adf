"""Which service a command talks to: one that runs on the home folder, or its own.

No service of this process may be open meanwhile, for some commands run theirs in it.
"""

import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.home import Home
from suffice.client import Client
from tests.serving.documents import BEES
from tests.suffice.terminal import Suffice

QUESTION = "How many kilograms of honey does one hive give each year?"
EVIDENCE = "One hive gives twenty kilograms of honey each year."
SUFFICE = (sys.executable, "-m", "suffice")


@pytest.fixture(autouse=True)
def standard_error() -> Iterator[None]:
    """Keep DBOS from holding on to the standard error of one test in all later ones."""
    logger, handler = logging.getLogger("dbos"), logging.NullHandler()
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `suffice` in a process of its own."""
    return subprocess.run(
        [*SUFFICE, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_a_service_that_runs_is_used_and_is_the_only_one(offline: Suffice) -> None:
    Path("bees.md").write_text(BEES)
    assert offline("ingest", "bees.md").code == 0  # by a service of its own
    serving = [*SUFFICE, "serve", "--port", "0"]
    with subprocess.Popen(serving, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            url = server.stdout.readline().split()[3]
            second = command("serve", "--port", "0")
            asked = command("ask", QUESTION)
            searched = command("search", "honey")
        finally:
            server.terminate()
        assert server.wait(timeout=30) == 0
    assert second.returncode == 1
    assert url in second.stderr
    assert Home(Path(".suffice")).read_address() is None
    assert EVIDENCE in asked.stdout, asked.stderr
    assert "[1] bees.md, characters" in asked.stdout
    assert searched.stdout.startswith("1. bees.md"), searched.stderr


def test_a_command_that_runs_the_service_itself_needs_no_key(offline: Suffice) -> None:
    created = command("keys", "create", "web page")
    assert created.returncode == 0, created.stderr
    assert Home(Path(".suffice")).service_url() is None
    Path("bees.md").write_text(BEES)
    assert offline("ingest", "bees.md").code == 0
    assert offline("search", "honey").out.startswith("1. bees.md")


def test_a_command_that_runs_the_service_itself_prints_no_log_of_it(offline: Suffice) -> None:
    Path("notes.pdf").write_text("%PDF-1.7\nnothing more")
    outcome = offline("ingest", "notes.pdf")
    assert outcome.code == 1
    assert "The PDF is damaged" in outcome.out
    assert outcome.err == ""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_ingestion_with_a_service_of_its_own_goes_on(
    offline: Suffice, how: signal.Signals
) -> None:
    """What was accepted is neither lost nor sent again; the rest is sent by the next run."""
    num_files = 30  # so that there is something left to do when the signal comes
    Path("trees").mkdir()
    for number in range(num_files):
        Path(f"trees/{number}.txt").write_text(f"Oak {number}.")
    ingesting = [*SUFFICE, "ingest", "trees", "--json"]
    with subprocess.Popen(ingesting, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while (url := Home(Path(".suffice")).read_address()) is None:
            assert process.poll() is None
            time.sleep(0.05)
        with Client(url) as client:
            while not list(client.documents()):
                time.sleep(0.01)
        process.send_signal(how)
        out, err = process.communicate(timeout=120)
    if how is signal.SIGKILL:
        assert process.returncode == -how
    else:
        assert process.returncode == 130
        result = json.loads(out)
        num_accepted = len(result["documents"])
        assert result["interrupted"]
        assert (
            f"Interrupted. Accepted, and not to be lost: {num_accepted} of {num_files} files."
            in err.decode()
        )
    again = offline("ingest", "trees", "--json")
    result = again.json()
    assert (again.code, result["num_by_status"]) == (0, {"searchable": num_files})
    assert result["num_unchanged"] >= 1
    if how is not signal.SIGKILL:
        assert result["num_unchanged"] == num_accepted
