"""Fixtures of the tests of evaluation."""

from collections.abc import Iterator

import pytest

from tests.serving.upstream import Upstream, run_upstream, stream_reply


@pytest.fixture(scope="module")
def running_upstream() -> Iterator[Upstream]:
    with run_upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(running_upstream: Upstream) -> Upstream:
    """A scripted model server, anew for each test."""
    running_upstream.reset()
    running_upstream.chat = stream_reply("Nothing.")
    return running_upstream
