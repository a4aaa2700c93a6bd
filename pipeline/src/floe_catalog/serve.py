"""Runs a catalog server inside this process: `with start(config) as catalog: ... catalog.uri`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from types import TracebackType

import uvicorn

from floe_catalog.app import api_app, build_services, health_app
from floe_catalog.config import CatalogConfig, S3Config

__all__ = ["CatalogConfig", "RunningCatalog", "S3Config", "start"]

# Longer than clients keep idle connections: one closed under a client's hand fails its next commit.
_KEEP_ALIVE_SECONDS = 300
_DRAIN_SECONDS = 3


class RunningCatalog:
    """A catalog that answers; stops at the end of a `with` block, or by `stop()`.

    Attributes:
        uri: Of the Iceberg REST API.
        management_uri: Of the management API.
        health_uri: Of the health endpoints (`/live`, `/ready` below it).
    """

    def __init__(self, config: CatalogConfig) -> None:
        with contextlib.ExitStack() as undo:
            # Bound and listening here, so the ports are known and no client comes too early.
            api_socket = undo.enter_context(_listen(config.host, config.port))
            health_socket = undo.enter_context(_listen(config.host, config.management_port))
            self._services = build_services(config)
            undo.pop_all()
        base, health = (f"http://{_address(s)}" for s in (api_socket, health_socket))
        self.uri = f"{base}/api/catalog"
        self.management_uri = f"{base}/api/management/v1"
        self.health_uri = f"{health}/q/health"
        self._servers = [
            (_server(api_app(self._services)), api_socket),
            (_server(health_app(self._services)), health_socket),
        ]
        self._thread = threading.Thread(target=self._run, name="floe-catalog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the requests under way and stop; stopping twice is no error."""
        for server, _ in self._servers:
            server.should_exit = True
        self._thread.join()
        self._services.database.close()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the server has stopped; False after `timeout` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def __enter__(self) -> RunningCatalog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        async def serve() -> None:
            await asyncio.gather(*(server.serve([sock]) for server, sock in self._servers))

        asyncio.run(serve())


def start(config: CatalogConfig) -> RunningCatalog:
    """Start a catalog server in a thread of this process.

    Raises:
        ValueError: The database URL is none.
        OSError: A port is taken.
        sqlalchemy.exc.SQLAlchemyError: The database cannot be used.
    """
    return RunningCatalog(config)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    # Accepted connections inherit it. Without it every answer waits 40 ms for the client's delayed ACK.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 (compared, not bound)
    return f"{reachable}:{port}"


def _server(app: object) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,  # type: ignore[arg-type]
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
    )
