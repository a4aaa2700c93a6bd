"""Where spans go: a file of JSON lines, or a collector that may be down."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)

from floe_pipeline.settings import Settings, variable

logger = logging.getLogger(__name__)

COLLECTOR_SECONDS: Final = 2.0  # the most that one request to a collector may take, off the critical path
QUIET_SECONDS: Final = 10.0  # how long nothing is sent to a collector that did not take a request


def processor(settings: Settings) -> SpanProcessor | None:
    """What takes the spans that have ended, as the settings say; None when nobody wants them."""
    if settings.traces == "file":
        return SimpleSpanProcessor(_FileExporter(settings.traces_file.expanduser()))
    if settings.traces == "otlp":
        return BatchSpanProcessor(
            _CollectorExporter(settings.otlp_endpoint), schedule_delay_millis=500, max_queue_size=8192
        )
    return None


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
    """OTLP/HTTP that says once, in one line, that nobody answers, and then leaves it alone for a while."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._inner = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=COLLECTOR_SECONDS)
        self._complained = False
        self._quiet_until = 0.0
        logging.getLogger("opentelemetry.exporter.otlp.proto.http").setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if time.monotonic() < self._quiet_until:
            return SpanExportResult.FAILURE
        result = self._inner.export(spans)
        if result is SpanExportResult.SUCCESS:
            return result
        self._quiet_until = time.monotonic() + QUIET_SECONDS
        if not self._complained:
            self._complained = True
            logger.warning(
                "traces are lost: %s=%s does not answer", variable("otlp_endpoint"), self._endpoint
            )
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()  # type: ignore[no-untyped-call]  # the SDK left it out


def _as_json(span: ReadableSpan) -> dict[str, object]:
    context = span.get_span_context()
    assert context is not None
    return {
        "trace_id": format(context.trace_id, "032x"),
        "span_id": format(context.span_id, "016x"),
        "parent_id": format(span.parent.span_id, "016x") if span.parent else None,
        "service": span.resource.attributes["service.name"],
        "name": span.name,
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "attributes": dict(span.attributes or {}),
        "status": span.status.status_code.name,
        "message": span.status.description,
    }
