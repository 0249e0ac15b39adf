"""Stages of an answer: timed, and each a span for whoever traces the service with OpenTelemetry.

Only OpenTelemetry's API is used; it does nothing until its SDK is set up (docs/serving.md). Spans
say how long things took and on which model; never what was asked or answered.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from opentelemetry import trace

_tracer = trace.get_tracer("suffice")


class Stages:
    """The stages of one answer.

    Attributes:
        timings: seconds of each stage, by its name with `_seconds`.
    """

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}
        self._span = _tracer.start_span("suffice.answer")
        # Not the current context: pieces of an answer are asked for by several tasks.
        self._context = trace.set_span_in_context(self._span)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done within; however it ends, it is noted."""
        span = _tracer.start_span(f"suffice.{name}", self._context)
        started = perf_counter()
        try:
            yield
        finally:
            self.timings[f"{name}_seconds"] = perf_counter() - started
            span.end()

    def end(self, attributes: dict[str, str | int | float]) -> None:
        """End the answer's span."""
        self._span.set_attributes({f"suffice.{name}": one for name, one in attributes.items()})
        self._span.end()
