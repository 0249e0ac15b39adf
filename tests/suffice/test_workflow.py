"""The workflow in the reference of tuning is valid; its commands are ones that `suffice` has."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest.home import Home
from tests.suffice.terminal import Suffice

ROOT = Path(__file__).parents[2]
_PAGE = (ROOT / "docs/tuning-reference.md").read_text("utf-8")
[_BLOCK] = re.findall(r"^```yaml\n(.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL)
STEPS: list[dict[str, Any]] = yaml.safe_load(_BLOCK)["jobs"]["compare"]["steps"]
LINES = [line for step in STEPS for line in step.get("run", "").splitlines()]
COMMANDS = [line.split(" >")[0] for line in LINES if line.startswith("suffice ")]


def exit_code(suffice: Suffice, line: str) -> int:
    """Return 0 if there are such a command and such options, without running it."""
    return suffice(*shlex.split(line)[1:], "--help").code


def test_every_step_runs_or_uses_something() -> None:
    assert [step for step in STEPS if ("run" in step) == ("uses" in step)] == []
    assert len(COMMANDS) == 4


def test_vectors_alone_are_kept_so_that_documents_are_those_of_the_change() -> None:
    [kept] = [step["with"]["path"] for step in STEPS if "cache" in step.get("uses", "")]
    vectors = Home(Path("home")).vectors
    assert vectors.match(kept)
    assert not Path("home/catalog.sqlite").match(kept)


@pytest.mark.parametrize("line", COMMANDS)
def test_command_exists(offline: Suffice, line: str) -> None:
    assert exit_code(offline, line) == 0


@pytest.mark.parametrize(
    "line", ["suffice eval comparison a b", "suffice eval compare a b --drop 1"]
)
def test_misspelt_command_would_be_noticed(offline: Suffice, line: str) -> None:
    assert exit_code(offline, line) == 2
