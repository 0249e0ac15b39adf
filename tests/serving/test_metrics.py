"""Metrics for Prometheus: what was done is counted, and nothing that was asked is shown."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.serving.application import Application

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
