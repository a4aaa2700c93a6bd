"""One trace a run, whichever processes work at it: where it begins, what is below it, when it is sent."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Literal

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, StatusCode, TraceFlags
from opentelemetry.util.types import AttributeValue

from floe_pipeline.settings import Settings
from floe_pipeline.telemetry import exporters
from floe_pipeline.telemetry.catalog_calls import name_call
from floe_pipeline.telemetry.process_end import at_process_end

RUN_ID: Final = "floe.run_id"
FLUSH_SECONDS: Final = 0.3  # the most that a collector which does not answer may cost a run
QUIET_SECONDS: Final = 60.0  # how long nobody waits again for a collector that did not answer

# Who does what, as Jaeger's list of services says it: runs; their steps and our own code; models and tests.
Service = Literal["dagster", "floe-pipeline", "dbt"]
SERVICES: Final[tuple[Service, ...]] = ("dagster", "floe-pipeline", "dbt")


@dataclass(frozen=True)
class Phase:
    """A part of a run that is over: its name, and when it began and ended in seconds since the epoch."""

    name: str
    began: float
    ended: float


@dataclass(frozen=True)
class RunRecord:
    """A run that is over, as its root span tells it.

    Attributes:
        name: What ran, for example `seed_job`.
        run_id: Its id, which is also its trace's.
        began: When it was asked for, in seconds since the epoch.
        ended: When it ended, likewise.
        failure: Why it failed; None when it did not.
        attributes: More about it.
        phases: What it did before its first step: waiting, starting.
        follows: Id of the run that this one tries again.
    """

    name: str
    run_id: str
    began: float
    ended: float
    failure: str | None = None
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    phases: Sequence[Phase] = ()
    follows: str | None = None


@dataclass(frozen=True)
class _Ids:
    """What the next root span is called: a trace, and a span of it or any."""

    trace_id: int
    span_id: int | None = None


_ids: ContextVar[_Ids | None] = ContextVar("floe_ids", default=None)


class _RunIds(RandomIdGenerator):
    """Trace ids that are the run's id, so that either finds the other."""

    def generate_trace_id(self) -> int:
        ids = _ids.get()
        return ids.trace_id if ids else super().generate_trace_id()

    def generate_span_id(self) -> int:
        ids = _ids.get()
        return ids.span_id if ids and ids.span_id else super().generate_span_id()


class _OnlyRuns(Sampler):
    """Records a trace when it begins with a run; a stray HTTP request begins none."""

    def should_sample(self, *args: object, **kwargs: object) -> SamplingResult:
        chosen = ALWAYS_OFF if _ids.get() is None else ALWAYS_ON
        return chosen.should_sample(*args, **kwargs)  # type: ignore[arg-type]

    def get_description(self) -> str:
        return "OnlyRuns"


class _Telemetry:
    """The providers in use, one a service, and what is known about their collector."""

    def __init__(self, key: tuple[str, ...], settings: Settings, processor: SpanProcessor | None) -> None:
        self.key = key
        self.processor = processor
        self.quiet_until = 0.0
        self.providers = {service: _provider(service, settings, processor) for service in SERVICES}

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


def configure(settings: Settings) -> None:
    """Send spans where the settings say; calling it again with the same settings changes nothing.

    Args:
        settings: `traces` is off, file (`traces_file`) or otlp (`otlp_endpoint`).
    """
    global _current  # noqa: PLW0603  # one process has one place where its spans go
    at_process_end(_send_rest)
    key = (settings.traces, str(settings.traces_file), settings.otlp_endpoint)
    with _lock:
        if _current is not None and _current.key == key:
            return
        if _current is not None:
            _current.flush(FLUSH_SECONDS)
        _current = _Telemetry(key, settings, exporters.processor(settings))
        requests_spans = RequestsInstrumentor()
        if requests_spans.is_instrumented_by_opentelemetry:
            requests_spans.uninstrument()
        if _current.processor:
            requests_spans.instrument(
                tracer_provider=_current.providers["floe-pipeline"], request_hook=name_call
            )


@contextmanager
def run_trace(
    name: str, *, run_id: str, attributes: Mapping[str, AttributeValue] | None = None
) -> Iterator[Span]:
    """The root span of a command's run; on leaving it, spans are flushed for at most `FLUSH_SECONDS`.

    The trace's id is the run's id when that is a UUID, else its hash: parts of a run that share nothing but
    the run's id land in one trace. Inside another run it is an ordinary span.

    Args:
        name: What runs, for example `demo`.
        run_id: Names the run in lineage and the snapshots that it commits.
        attributes: More about the run.
    """
    known = {RUN_ID: run_id, **(attributes or {})}
    if current_trace_id():
        with span(name, **known) as inner:
            yield inner
        return
    token = _ids.set(_Ids(_trace_id(run_id)))
    try:
        with carry(Context()), span(name, **known) as root:
            yield root
    finally:
        _ids.reset(token)
        flush()


@contextmanager
def step_of_run(
    name: str, *, run_id: str, attributes: Mapping[str, AttributeValue] | None = None
) -> Iterator[Span]:
    """A step of a run whose root span is recorded when the run has ended (`record_run`), by whoever knows.

    Args:
        name: Names the step, for example `step bronze`.
        run_id: The run's id.
        attributes: More about the step.
    """
    with (
        carry(_below(_root_of(run_id)) if trace_id_of(run_id) else Context()),
        span(name, **{RUN_ID: run_id, **(attributes or {})}) as step,
    ):
        yield step


def record_run(run: RunRecord) -> None:
    """Record the root span of a run that is over, and below it what came before its first step.

    Its id follows from the run's, so steps that were recorded before, in whatever process, are its children.
    """
    if _current is None:
        return
    root = _root_of(run.run_id)
    token = _ids.set(_Ids(root.trace_id, root.span_id))
    try:
        whole = _tracer("dagster").start_span(
            run.name,
            context=Context(),
            links=[Link(_root_of(run.follows))] if run.follows else None,
            start_time=_nanoseconds(run.began),
            attributes={RUN_ID: run.run_id, **run.attributes},
        )
    finally:
        _ids.reset(token)
    if run.failure is not None:
        whole.set_status(StatusCode.ERROR, run.failure)
    whole.end(_nanoseconds(run.ended))
    for phase in run.phases:
        part = _tracer("dagster").start_span(
            phase.name, context=_below(root), start_time=_nanoseconds(phase.began)
        )
        part.end(_nanoseconds(phase.ended))


@contextmanager
def span(
    name: str, service: Service = "floe-pipeline", /, **attributes: AttributeValue | None
) -> Iterator[Span]:
    """A span below the current one; not recorded outside a run.

    Args:
        name: What is done, for example `iceberg.append bronze.orders`.
        service: Who does it.
        attributes: About it; those that are None are left out.
    """
    known = {key: value for key, value in attributes.items() if value is not None}
    with _tracer(service).start_as_current_span(name, attributes=known) as current:
        yield current


def current_trace_id() -> str | None:
    """Trace id of the current run, 32 hex digits; None when nothing is recorded."""
    context = trace.get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid and context.trace_flags.sampled else None


def trace_id_of(run_id: str) -> str | None:
    """Trace id of a run, 32 hex digits; None when nothing is recorded."""
    return format(_trace_id(run_id), "032x") if _current and _current.processor else None


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


def _send_rest() -> None:
    """As the process ends, where no thread can be started: bounded by the exporter, which tries once."""
    if _current and _current.processor and time.monotonic() >= _current.quiet_until:
        _current.processor.force_flush()


def _provider(service: Service, settings: Settings, processor: SpanProcessor | None) -> TracerProvider:
    provider = TracerProvider(
        resource=Resource.create({"service.name": service, "floe.target": settings.target}),
        sampler=ParentBased(root=_OnlyRuns()) if processor else ALWAYS_OFF,
        id_generator=_RunIds(),
        shutdown_on_exit=False,  # the SDK would wait 30 s for a collector that is down
    )
    if processor:
        provider.add_span_processor(processor)
    return provider


def _tracer(service: Service) -> trace.Tracer:
    provider: trace.TracerProvider = _current.providers[service] if _current else trace.NoOpTracerProvider()
    return provider.get_tracer("floe_pipeline")


def _trace_id(run_id: str) -> int:
    try:
        number = uuid.UUID(run_id).int
    except ValueError:
        number = 0
    return number or int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:16], "big")


def _root_of(run_id: str) -> SpanContext:
    """The root span that a run has or will have."""
    span_id = int.from_bytes(hashlib.sha256(f"root of {run_id}".encode()).digest()[:8], "big")
    return SpanContext(_trace_id(run_id), span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _below(parent: SpanContext) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(parent), Context())


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)
