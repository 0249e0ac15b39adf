"""What is too old is deleted at the start and while the service runs."""

import logging
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Event
from time import monotonic, sleep

import pytest

from serving import service as service_module
from serving.retention import Retention
from serving.service import open_service
from serving.traces import TraceStore
from tests.fakes import HashEmbedder
from tests.serving.application import make_settings


def test_goes_on_after_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    calls, done = count(1), Event()

    def forget() -> None:
        number = next(calls)
        if number == 2:
            raise OSError("away")
        if number == 3:
            done.set()

    with caplog.at_level(logging.ERROR):
        retention = Retention(forget, seconds=0.001)
        assert done.wait(timeout=10)
        retention.close()
    assert "not deleted" in caplog.text
    number = next(calls)
    sleep(0.01)
    assert next(calls) == number + 1


def test_a_service_that_runs_on_forgets_old_traces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "RETENTION_SECONDS", 0.01)
    settings = make_settings(tmp_path)
    with open_service(settings, embedder=HashEmbedder()) as service:
        days = timedelta(days=settings.serving.trace_days + 1)
        old = TraceStore(service.traces._database, lambda: datetime.now(UTC) - days)
        old.add("trace-old", "alice", "laws", {})
        service.traces.add("trace-new", "alice", "laws", {})
        deadline = monotonic() + 10
        while len(kept := service.traces.list_traces()) > 1 and monotonic() < deadline:
            sleep(0.01)
    assert [trace.id for trace in kept] == ["trace-new"]
