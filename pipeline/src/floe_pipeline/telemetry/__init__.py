"""One trace a run: spans to nowhere, to a file of JSON lines, or to a collector that may be down."""

from floe_pipeline.telemetry.tracing import (
    FLUSH_SECONDS,
    RUN_ID,
    Phase,
    RunRecord,
    carry,
    configure,
    current_context,
    current_trace_id,
    flush,
    record_run,
    run_trace,
    span,
    step_of_run,
    trace_id_of,
)

__all__ = [
    "FLUSH_SECONDS",
    "RUN_ID",
    "Phase",
    "RunRecord",
    "carry",
    "configure",
    "current_context",
    "current_trace_id",
    "flush",
    "record_run",
    "run_trace",
    "span",
    "step_of_run",
    "trace_id_of",
]
