"""Spans of one trace, as the report page draws them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Span:
    """One line of the trace file: times in nanoseconds since the epoch, ids in hexadecimal."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    start_ns: int
    end_ns: int
    status: str = "UNSET"

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.end_ns - self.start_ns) / 1e9


def read_trace(path: Path, trace_id: str) -> list[Span]:
    """The spans of one trace, in order of their start.

    Args:
        path: Trace file, a JSON object a line; it may be missing or its last line half written.
        trace_id: 32 hexadecimal digits.

    Returns:
        Empty when the file or the trace is not there.
    """
    if not path.exists():
        return []
    spans = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if trace_id not in line or not line.endswith("\n"):
                continue
            record: dict[str, Any] = json.loads(line)
            if record["trace_id"] == trace_id:
                known = {name: record[name] for name in Span.__dataclass_fields__ if name in record}
                spans.append(Span(**known))
    return sorted(spans, key=lambda span: (span.start_ns, -span.end_ns))
