"""No setting of the machine reaches the tests of the command line."""

from pathlib import Path

import pytest

from suffice.settings import variables


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without .env, and an environment without settings."""
    for name, _, _ in variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path
