"""Metrics for Prometheus: what was done is counted, and nothing that was asked is shown."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import Metrics
from serving.permits import Permits
from tests.serving.application import Application
from tests.serving.test_windows import make_key

QUESTION = "How many kilograms of honey does one hive give each year?"
DASHBOARD = Path(__file__).parents[2] / "monitoring" / "suffice.json"


def read(application: Application) -> dict[str, float]:
    """Return all samples by name and labels."""
    response = application.http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        f"{sample.name}{json.dumps(sample.labels, sort_keys=True)}": sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


@pytest.mark.usefixtures("documents")
def test_an_answer_is_counted(application: Application) -> None:
    def differences(name: str) -> float:
        return sum(after[one] - before.get(one, 0) for one in after if one.startswith(name))

    before = read(application)
    usage = application.ask(QUESTION).json()["usage"]
    application.http.get("/v1/documents/nothing-like-it")
    application.http.get("/made/up")
    after = read(application)
    assert differences('suffice_answers_total{"grounded": "yes"}') == 1
    assert differences("suffice_tokens_total") == usage["total_tokens"]
    assert differences('suffice_stage_seconds_count{"stage": "retrieval"}') == 1
    route = '"route": "/v1/documents/{document_id}", "status": "404"'
    assert differences(f'suffice_requests_total{{"method": "GET", {route}}}') == 1
    assert differences('suffice_requests_total{"method": "GET", "route": "unknown"') == 1
    assert after['suffice_documents{"status": "searchable"}'] == 4


def test_made_up_methods_are_one_label(application: Application) -> None:
    for method in ("FOO1", "BAR2"):
        application.http.request(method, "/v1/models")
    text = application.http.get("/metrics").text
    assert not re.search("FOO1|BAR2", text)
    name = 'suffice_requests_total{"method": "unknown", "route": "unknown", "status": "405"}'
    assert read(application)[name] == 2


@pytest.mark.usefixtures("documents")
def test_a_stream_is_timed_to_its_first_piece(application: Application) -> None:
    application.ask(QUESTION)
    before = read(application)
    application.stream(QUESTION)
    name = 'suffice_stream_start_seconds_count{"route": "/v1/chat/completions"}'
    assert read(application)[name] - before.get(name, 0) == 1


def test_who_is_under_way_and_who_waits(application: Application) -> None:
    service = application.service
    permits = Permits(max_running=1, max_waiting=5, max_wait_seconds=1000)
    metrics = Metrics(service.library, service.alarms)
    metrics.watch({"answer": permits})

    def count() -> list[float]:
        labels = {"kind": "answer"}
        values = [
            metrics.registry.get_sample_value(f"suffice_{name}", labels)
            for name in ("running", "waiting")
        ]
        return [value for value in values if value is not None]

    async def hold() -> None:
        async with permits.hold(make_key()):
            pass

    async def go() -> None:
        assert count() == [0, 0]
        async with permits.hold(make_key()):
            waiting = [asyncio.create_task(hold()) for _ in range(3)]
            await asyncio.sleep(0)
            assert count() == [1, 3]
        await asyncio.gather(*waiting)
        assert count() == [0, 0]

    asyncio.run(go())


@pytest.mark.usefixtures("documents")
def test_nothing_that_was_asked_is_shown(application: Application) -> None:
    application.ask(QUESTION)
    text = application.http.get("/metrics").text
    assert not re.search("honey|bees", text, re.IGNORECASE)


def test_the_dashboard_shows_metrics_that_there_are(application: Application) -> None:
    application.ask(QUESTION)
    text = application.http.get("/metrics").text
    known = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    shown = {
        name.removesuffix("_bucket")
        for panel in panels
        for target in panel["targets"]
        for name in re.findall(r"suffice_[a-z_]+", target["expr"])
    }
    assert shown
    assert shown <= known
