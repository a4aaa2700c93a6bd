"""A collector of traces that can go away: OTLP over HTTP, as JSON."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from waiting import until


@dataclass(frozen=True)
class Span:
    """A span as it was sent.

    Attributes:
        service: Who sent it.
        parent: Id of the span above it; empty for none.
        milliseconds: How long it took.
        error: What went wrong; None when nothing did.
    """

    service: str
    name: str
    trace: str
    id: str
    parent: str
    milliseconds: float
    attributes: dict[str, str | int]
    error: str | None


@dataclass
class Collector:
    """Keeps what it is sent, at an address that stays the same while nobody is there.

    Attributes:
        bodies: What was sent, as it came.
        spans: The same, as spans.
    """

    port: int
    bodies: list[str] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """The address to configure."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen."""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                is_ours = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/json"
                if is_ours:
                    collector.bodies.append(body)
                    collector.spans += spans_of(json.loads(body))
                self.send_response(200 if is_ours else 404)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def wait_for(self, wanted: Callable[[Span], bool]) -> Span:
        """The first span that is wanted, once it is there."""
        return until(lambda: next((span for span in list(self.spans) if wanted(span)), None))

    def below(self, span: Span) -> list[Span]:
        """Spans whose parent it is; what belongs to a question comes with it or before it."""
        return [each for each in self.spans if (each.trace, each.parent) == (span.trace, span.id)]


def spans_of(request: dict[str, Any]) -> list[Span]:
    """The spans of a request, whose numbers are texts in JSON."""
    found = []
    for resource in request["resourceSpans"]:
        (service,) = resource["resource"]["attributes"]
        assert service["key"] == "service.name"
        found += [
            Span(
                service=service["value"]["stringValue"],
                name=span["name"],
                trace=span["traceId"],
                id=span["spanId"],
                parent=span.get("parentSpanId", ""),
                milliseconds=(int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])) / 1e6,
                attributes={each["key"]: _plain(each["value"]) for each in span["attributes"]},
                error=span["status"]["message"] if span["status"].get("code") == 2 else None,
            )
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]
    return found


def _plain(value: dict[str, str]) -> str | int:
    return int(value["intValue"]) if "intValue" in value else value["stringValue"]
