"""One trace a run: spans to nowhere, to a file of JSON lines, or to a collector that may be down."""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from floe_pipeline.settings import Settings, variable

logger = logging.getLogger(__name__)

RUN_ID: Final = "floe.run_id"
FLUSH_SECONDS: Final = 0.3  # the most that a collector which does not answer may cost a run
COLLECTOR_SECONDS: Final = 2.0  # the most that one request to a collector may take, off the critical path
QUIET_SECONDS: Final = 60.0  # how long nobody waits again for a collector that did not answer

_trace_id_of_run: ContextVar[int | None] = ContextVar("floe_trace_id_of_run", default=None)


class _RunIds(RandomIdGenerator):
    """Trace ids that are the run's id, so that either finds the other."""

    def generate_trace_id(self) -> int:
        return _trace_id_of_run.get() or super().generate_trace_id()


class _OnlyRuns(Sampler):
    """Records a trace when it begins with a run; a stray HTTP request begins none."""

    def should_sample(self, *args: object, **kwargs: object) -> SamplingResult:
        chosen = ALWAYS_OFF if _trace_id_of_run.get() is None else ALWAYS_ON
        return chosen.should_sample(*args, **kwargs)  # type: ignore[arg-type]

    def get_description(self) -> str:
        return "OnlyRuns"


class _FileExporter(SpanExporter):
    """Appends one JSON object a line; several processes may share the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        lines = "".join(json.dumps(_as_json(span), separators=(",", ":")) + "\n" for span in spans)
        with self._path.open("a", encoding="utf-8") as file:  # append mode: each write lands whole at the end
            file.write(lines)
        return SpanExportResult.SUCCESS


class _CollectorExporter(SpanExporter):
    """OTLP/HTTP that says once, in one line, that nobody answers."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._inner = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=COLLECTOR_SECONDS)
        self._complained = False
        logging.getLogger("opentelemetry.exporter.otlp.proto.http").setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._inner.export(spans)
        if result is not SpanExportResult.SUCCESS and not self._complained:
            self._complained = True
            logger.warning(
                "traces are lost: %s=%s does not answer", variable("otlp_endpoint"), self._endpoint
            )
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()  # type: ignore[no-untyped-call]  # the SDK left it out


class _Telemetry:
    """The provider in use and what is known about its collector."""

    def __init__(
        self, key: tuple[str, ...], provider: TracerProvider, processor: SpanProcessor | None
    ) -> None:
        self.key = key
        self.provider = provider
        self.processor = processor
        self.quiet_until = 0.0

    def flush(self, timeout: float) -> bool:
        processor = self.processor
        if processor is None or isinstance(processor, SimpleSpanProcessor):
            return True  # nothing is ever waiting
        if time.monotonic() < self.quiet_until:
            return False
        # The SDK's force_flush ignores its timeout, so it waits in a thread that may be left behind.
        thread = threading.Thread(target=processor.force_flush, name="floe-flush", daemon=True)
        thread.start()
        thread.join(timeout)
        if thread.is_alive():
            self.quiet_until = time.monotonic() + QUIET_SECONDS
        return not thread.is_alive()


_lock = threading.Lock()
_current: _Telemetry | None = None


def configure(settings: Settings, service_name: str = "floe-pipeline") -> None:
    """Send spans where the settings say; calling it again with the same settings changes nothing.

    Args:
        settings: `traces` is off, file (`traces_file`) or otlp (`otlp_endpoint`).
        service_name: Name of this service in the tracing UI.
    """
    global _current  # noqa: PLW0603  # one process has one place where its spans go
    key = (settings.traces, str(settings.traces_file), settings.otlp_endpoint, service_name)
    with _lock:
        if _current is not None and _current.key == key:
            return
        if _current is not None:
            _current.flush(FLUSH_SECONDS)
        processor = _processor(settings)
        provider = TracerProvider(
            resource=Resource.create({"service.name": service_name, "floe.target": settings.target}),
            sampler=ParentBased(root=_OnlyRuns()) if processor else ALWAYS_OFF,
            id_generator=_RunIds(),
            shutdown_on_exit=False,  # the SDK would wait 30 s for a collector that is down
        )
        if processor:
            provider.add_span_processor(processor)
        requests_spans = RequestsInstrumentor()
        if requests_spans.is_instrumented_by_opentelemetry:
            requests_spans.uninstrument()
        if processor:
            requests_spans.instrument(tracer_provider=provider)
        _current = _Telemetry(key, provider, processor)


@contextmanager
def run_trace(
    name: str, *, run_id: str, attributes: Mapping[str, AttributeValue] | None = None
) -> Iterator[Span]:
    """The root span of a run; on leaving it, spans are flushed for at most `FLUSH_SECONDS`.

    The trace's id is the run's id when that is a UUID, else its hash: parts of a run that share nothing but
    the run's id land in one trace. Inside another run it is an ordinary span.

    Args:
        name: What runs, for example `seed_job`.
        run_id: Names the run in Dagster, lineage and the snapshots it commits.
        attributes: More about the run.
    """
    known = {RUN_ID: run_id, **(attributes or {})}
    if current_trace_id():
        with span(name, **known) as inner:
            yield inner
        return
    token = _trace_id_of_run.set(_trace_id(run_id))
    try:
        with carry(Context()), span(name, **known) as root:
            yield root
    finally:
        _trace_id_of_run.reset(token)
        flush()


@contextmanager
def span(name: str, **attributes: AttributeValue | None) -> Iterator[Span]:
    """A span below the current one; not recorded outside a run.

    Args:
        name: What is done, for example `iceberg.append`.
        attributes: About it; those that are None are left out.
    """
    tracer = (_current.provider if _current else trace.NoOpTracerProvider()).get_tracer("floe_pipeline")
    known = {key: value for key, value in attributes.items() if value is not None}
    with tracer.start_as_current_span(name, attributes=known) as current:
        yield current


def current_trace_id() -> str | None:
    """Trace id of the current run, 32 hex digits; None when nothing is recorded."""
    context = trace.get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid and context.trace_flags.sampled else None


def current_context() -> Context:
    """What `carry` takes into a worker thread."""
    return otel_context.get_current()


@contextmanager
def carry(context: Context) -> Iterator[None]:
    """Continue a trace in a worker thread: spans inside are children of the context's span.

    Args:
        context: `current_context()` of the thread that began the work.
    """
    token = otel_context.attach(context)
    try:
        yield
    finally:
        otel_context.detach(token)


def flush(timeout: float = FLUSH_SECONDS) -> bool:
    """Send what is waiting, for at most `timeout` seconds.

    Returns:
        Whether everything was handed over in time. A collector that was too slow is not waited for again for
        `QUIET_SECONDS`.
    """
    return _current.flush(timeout) if _current else True


atexit.register(flush)


def _processor(settings: Settings) -> SpanProcessor | None:
    if settings.traces == "file":
        return SimpleSpanProcessor(_FileExporter(settings.traces_file.expanduser()))
    if settings.traces == "otlp":
        return BatchSpanProcessor(
            _CollectorExporter(settings.otlp_endpoint), schedule_delay_millis=500, max_queue_size=8192
        )
    return None


def _trace_id(run_id: str) -> int:
    try:
        number = uuid.UUID(run_id).int
    except ValueError:
        number = 0
    return number or int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:16], "big")


def _as_json(span_: ReadableSpan) -> dict[str, object]:
    context = span_.get_span_context()
    assert context is not None
    return {
        "trace_id": format(context.trace_id, "032x"),
        "span_id": format(context.span_id, "016x"),
        "parent_id": format(span_.parent.span_id, "016x") if span_.parent else None,
        "name": span_.name,
        "start_ns": span_.start_time,
        "end_ns": span_.end_time,
        "attributes": dict(span_.attributes or {}),
        "status": span_.status.status_code.name,
    }
