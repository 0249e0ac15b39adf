"""No setting of the machine reaches the tests of the command line."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from suffice import options
from suffice.cli import main
from suffice.log_lines import OURS
from suffice.settings import variables
from tests.suffice.terminal import Outcome, Suffice


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without .env, and an environment without settings."""
    for name, _, _ in variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def offline(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Suffice]:
    """Run `suffice` with the settings of the environment."""
    monkeypatch.setattr(options.console, "width", 200)

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["suffice", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        printed = capsys.readouterr()
        code = caught.value.code or 0
        assert isinstance(code, int)
        return Outcome(code, printed.out, printed.err)

    yield run
    for name in OURS:
        logging.getLogger(name).handlers.clear()
