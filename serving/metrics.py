"""Metrics for Prometheus. Labels are models, stages and codes, never what was asked."""

import time
from collections.abc import Iterator, Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest.library import Library
from serving.account import Account
from serving.alarms import Alarms, Stream
from serving.answering import Conclusion
from serving.money import to_usd
from serving.permits import Permits

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# What nobody serves is one label, however many somebody makes up.
UNKNOWN = "unknown"
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
ABSTAINED = "abstained"
STREAM = "text/event-stream"


class Metrics:
    """Counts what happens in one service.

    Attributes:
        registry: of the metrics.
        in_progress: calls being answered.
    """

    def __init__(self, library: Library, alarms: Alarms) -> None:
        """Set up.

        Args:
            library: its documents are counted whenever somebody looks.
            alarms: are counted likewise.
        """
        self.registry = CollectorRegistry()
        self.registry.register(_Documents(library))
        self.registry.register(_StaleCertificates(alarms))
        counter = partial(Counter, registry=self.registry)
        seconds = partial(Histogram, buckets=SECONDS, registry=self.registry)
        self._requests = counter(
            "suffice_requests", "Calls over HTTP.", ("method", "route", "status")
        )
        self._request_seconds = seconds(
            "suffice_request_seconds", "From the call to the end of its answer.", ("route",)
        )
        self.in_progress = Gauge(
            "suffice_requests_in_progress", "Calls being answered.", registry=self.registry
        )
        self._stream_start_seconds = seconds(
            "suffice_stream_start_seconds",
            "From the call to the first piece of an answer that is streamed.",
            ("route",),
        )
        self._answers = counter(
            "suffice_answers", "Answers by how far they stand in the documents.", ("grounded",)
        )
        self._stage_seconds = seconds("suffice_stage_seconds", "Stages of answers.", ("stage",))
        self._first_token_seconds = seconds(
            "suffice_first_token_seconds",
            "From the call of a model to its first token.",
            ("model", "purpose"),
        )
        self._tokens = counter(
            "suffice_tokens",
            "Tokens: prompt (without cached), cached, completion (without reasoning), reasoning.",
            ("model", "kind"),
        )
        self._usd = counter("suffice_cost_usd", "Dollars, as far as known.", ("model",))

    def watch(self, permits: Mapping[str, Permits]) -> None:
        """Count who has a permit and who waits for one, by what it is for, when somebody looks."""
        self.registry.register(_Permits(permits))

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def count_call(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a call over HTTP."""
        method = method if method in METHODS else UNKNOWN
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def count_stream(self, route: str, seconds: float) -> None:
        """Count an answer of which the first piece is sent."""
        self._stream_start_seconds.labels(route).observe(seconds)

    def count_answer(self, conclusion: Conclusion) -> None:
        """Count an answer that is complete."""
        grounded = ABSTAINED if conclusion.abstained else conclusion.grounded
        self._answers.labels(grounded).inc()
        timings = {**conclusion.found.result.timings, **conclusion.timings}
        for stage, seconds in timings.items():
            self._stage_seconds.labels(stage.removesuffix("_seconds")).observe(seconds)

    def count_calls(self, account: Account) -> None:
        """Count the calls of models for an answer, however it ended."""
        for call in account.calls:
            usage = call.usage
            kinds = {
                "prompt": usage.prompt_tokens - usage.cached_tokens,
                "cached": usage.cached_tokens,
                "completion": usage.completion_tokens - usage.reasoning_tokens,
                "reasoning": usage.reasoning_tokens,
            }
            for kind, number in kinds.items():
                self._tokens.labels(call.name, kind).inc(max(0, number))
            self._usd.labels(call.name).inc(to_usd(call.nano_usd))
            if call.first_token_seconds is not None:
                first = self._first_token_seconds.labels(call.name, call.purpose)
                first.observe(call.first_token_seconds)


class _Documents:
    """The documents in each state, counted when somebody looks."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def describe(self) -> list[Metric]:
        """Return nothing: there may be no database yet when this is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metric."""
        family = GaugeMetricFamily("suffice_documents", "Documents by state.", labels=["status"])
        for status, number in self._library.count_documents().items():
            family.add_metric([status], number)
        yield family


class _StaleCertificates:
    """The collections whose certificate is stale, counted when somebody looks."""

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms

    def describe(self) -> list[Metric]:
        """Return nothing: there may be no database yet when this is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metric."""
        family = GaugeMetricFamily(
            "suffice_stale_certificates",
            "Collections with a stale certificate, by the stream that moved.",
            labels=["stream"],
        )
        streams = [alarm.stream for alarm in self._alarms.all().values()]
        for stream in Stream:
            family.add_metric([stream], streams.count(stream))
        yield family


class _Permits:
    """Who has a permit and who waits for one, counted when somebody looks."""

    def __init__(self, permits: Mapping[str, Permits]) -> None:
        self._permits = permits

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        running = GaugeMetricFamily("suffice_running", "Under way, by kind.", labels=["kind"])
        waiting = GaugeMetricFamily("suffice_waiting", "Waiting for that.", labels=["kind"])
        for kind, permits in self._permits.items():
            running.add_metric([kind], permits.num_running)
            waiting.add_metric([kind], permits.num_waiting)
        yield running
        yield waiting


class MeteredApp:
    """Counts every call, those that are refused before they reach a route among them."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if Headers(raw=message["headers"]).get("content-type", "").startswith(STREAM):
                    self._metrics.count_stream(_route(scope), time.perf_counter() - started)
            await send(message)

        with self._metrics.in_progress.track_inprogress():
            try:
                await self._app(scope, receive, watch)
            finally:
                seconds = time.perf_counter() - started
                self._metrics.count_call(scope["method"], _route(scope), status, seconds)


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", UNKNOWN)
