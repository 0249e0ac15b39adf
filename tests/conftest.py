"""Fixtures of all tests, and the order in which several processes take them."""

import gc
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import is_hypothesis_test, settings
from xdist.scheduler import LoadFileScheduling

# With a vLLM to start as well, all checks are to end within twenty minutes; and a change is not to
# fail for an example that has nothing to do with it. Without CI, other ones are drawn each time.
settings.register_profile("ci", max_examples=25, derandomize=True, deadline=None)
# How long an example takes says nothing on a busy machine.
settings.register_profile("elsewhere", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "elsewhere")

# What a shell starts in the background ignores Ctrl-C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No test speaks TLS, and to read all certificates takes 50 ms for each HTTP client.
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)

VLLM = "tests/vllm/"
# What takes minutes begins first, or at the end one process would be at work and the others idle.
SLOW = (
    VLLM,
    "tests/ingest/test_crash.py",
    "tests/suffice/test_tune.py",
    "tests/ingest/test_reindexing.py",
    "tests/ingest/test_restart.py",
    "tests/suffice/test_demo.py",
    "tests/suffice/test_session.py",
    "tests/ingest/test_inspection.py",
    "tests/ingest/test_jobs.py",
    "tests/ingest/test_library.py",
    "tests/retrieval/test_edge.py",
    "tests/retrieval/test_index.py",
    "tests/serving/test_stale.py",
    "tests/suffice/test_synth.py",
    "tests/suffice/test_bulk_flow.py",
    "tests/eval/report/test_page.py",
)


class Scheduling(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Leaves all tests of a file to one process, and all that talk to a vLLM to another one."""

    def _split_scope(self, nodeid: str) -> str:
        return VLLM if nodeid.startswith(VLLM) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Choose who runs what."""
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what is slow first, and count no lines where counting them takes long."""
    items.sort(key=lambda item: _turn(item.nodeid))
    for item in items:
        if _turn(item.nodeid) < len(SLOW) or _is_long(item):
            item.add_marker("no_cover")


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what was imported: it stays as long as the process."""
    gc.collect()
    gc.freeze()


def _is_long(item: pytest.Item) -> bool:
    """Tell whether a test goes over real data, or over the same lines for many examples."""
    test = getattr(item, "obj", None)
    return bool(item.get_closest_marker("data")) or is_hypothesis_test(test)


def _turn(nodeid: str) -> int:
    return next((turn for turn, one in enumerate(SLOW) if nodeid.startswith(one)), len(SLOW))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The evaluation data beside the checkout; tests that need it are skipped without."""
    path = (Path(__file__).parents[1] / ".." / "shared" / "data").resolve()
    if not path.is_dir():
        pytest.skip(f"no evaluation data at {path}")
    return path
