"""Stages of answers are timed, and are spans for OpenTelemetry."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from serving.stages import Stages
from tests.serving.application import Application


@pytest.fixture(scope="module")
def exporter() -> Iterator[InMemorySpanExporter]:
    """What is exported; the provider can be set only once in a process."""
    provider = TracerProvider()
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    yield exporter
    provider.shutdown()


def test_what_fails_is_timed_too(exporter: InMemorySpanExporter) -> None:
    exporter.clear()
    stages = Stages()
    with pytest.raises(ValueError, match="broken"), stages.stage("retrieval"):
        raise ValueError("broken")
    stages.end({"model": "none"})
    assert stages.timings["retrieval_seconds"] > 0
    assert [span.name for span in exporter.get_finished_spans()] == [
        "suffice.retrieval",
        "suffice.answer",
    ]


@pytest.mark.usefixtures("documents")
def test_an_answer_is_a_span_with_its_stages(
    application: Application, exporter: InMemorySpanExporter
) -> None:
    exporter.clear()
    usage = application.ask("Where do bees sleep at night?").json()["usage"]
    spans = {span.name: span for span in exporter.get_finished_spans()}
    answer = spans["suffice.answer"]
    assert answer.attributes is not None
    assert answer.attributes["suffice.model"] == "extractive"
    assert answer.attributes["suffice.completion_tokens"] == usage["completion_tokens"]
    for name in ("retrieval", "preparation", "generation", "judgement"):
        parent = spans[f"suffice.{name}"].parent
        assert parent is not None
        assert answer.context is not None
        assert parent.span_id == answer.context.span_id
    told = str([(span.name, dict(span.attributes or {})) for span in spans.values()])
    assert "bees" not in told.lower()
