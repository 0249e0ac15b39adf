"""Fixtures of all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# With a vLLM to start as well, all checks are to end within twenty minutes.
settings.register_profile("ci", max_examples=40)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The evaluation data beside the checkout; tests that need it are skipped without."""
    path = (Path(__file__).parents[1] / ".." / "shared" / "data").resolve()
    if not path.is_dir():
        pytest.skip(f"no evaluation data at {path}")
    return path
