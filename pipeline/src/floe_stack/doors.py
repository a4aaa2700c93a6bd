"""The six user interfaces and APIs that a person or a program opens, and how each shows that it answers."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Final, Literal

import httpx

from floe_pipeline.defs.ports import LOOPBACK
from floe_stack.connection import LocalPorts

PROBE_SECONDS: Final = 2.0
# PostgreSQL's question whether to speak TLS: length 8, code 80877103. It is answered by one letter.
SSL_REQUEST: Final = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")


@dataclass(frozen=True)
class Door:
    """A Service's port that is forwarded to the user's machine.

    Attributes:
        name: Of its local port in `floe_ports`.
        title: For people.
        service: Name of the Service.
        port: The Service's port.
        scheme: What it speaks.
        alive: Path that is answered with success by a healthy service; unused for postgresql.
    """

    name: str
    title: str
    service: str
    port: int
    scheme: Literal["http", "postgresql"] = "http"
    alive: str = "/"

    def local_port(self, ports: LocalPorts) -> int:
        """Where `make port-forward` listens for it."""
        port: int = getattr(ports, self.name)
        return port

    def address(self, port: int) -> str:
        """What to open when it is forwarded to a local port."""
        return f"{self.scheme}://{LOOPBACK}:{port}{'/cube' if self.scheme == 'postgresql' else ''}"

    def answers(self, port: int) -> bool:
        """Whether the service itself, not only its forward, answers behind a local port."""
        if self.scheme == "postgresql":
            return _speaks_postgresql(port)
        try:
            answer = httpx.get(f"http://{LOOPBACK}:{port}{self.alive}", timeout=PROBE_SECONDS)
        except httpx.HTTPError:
            return False
        return answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR


def _speaks_postgresql(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), PROBE_SECONDS) as probe:
            probe.sendall(SSL_REQUEST)
            return probe.recv(1) in {b"N", b"S"}
    except OSError:
        return False


DAGSTER: Final = Door("dagster", "Dagster", "dagster-webserver", 3000, alive="/server_info")
CUBE: Final = Door("cube_api", "Cube REST", "cube", 4000)
CUBE_SQL: Final = Door("cube_sql", "Cube SQL", "cube", 15432, scheme="postgresql")
JAEGER: Final = Door("jaeger", "Jaeger", "jaeger", 16686)
MARQUEZ: Final = Door("marquez", "Marquez", "marquez-web", 3000)
MINIO: Final = Door("minio", "MinIO console", "minio-console", 9001)

DOORS: Final = (DAGSTER, CUBE, CUBE_SQL, JAEGER, MARQUEZ, MINIO)

# What checks need besides, and nobody opens in a browser.
CATALOG: Final = Door("catalog", "Polaris", "polaris", 8181, alive="/api/catalog/v1/config")
STORAGE: Final = Door("storage", "MinIO", "minio", 9000, alive="/minio/health/live")
