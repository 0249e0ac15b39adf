"""Fixtures of all tests."""

from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each file to one worker, and all that need a vLLM to the same one: it starts once."""
    for item in items:
        group = "vllm" if item.get_closest_marker("vllm") else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The evaluation data beside the checkout; tests that need it are skipped without."""
    path = (Path(__file__).parents[1] / ".." / "shared" / "data").resolve()
    if not path.is_dir():
        pytest.skip(f"no evaluation data at {path}")
    return path
