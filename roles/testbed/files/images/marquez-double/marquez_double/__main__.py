"""Starts both ports with the variables of Marquez' image: MARQUEZ_PORT, MARQUEZ_ADMIN_PORT, POSTGRES_*.

Without POSTGRES_HOST the events are kept in memory only, which the contract tests use.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time

import sqlalchemy as sa
import uvicorn
from sqlalchemy.exc import OperationalError
from starlette.types import ASGIApp

from .app import MarquezDouble, admin, api
from .journal import Journal

_LOG = logging.getLogger("marquez-double")
_DATABASE_WAIT_SECONDS = 120


def _database() -> sa.URL | str:
    host = os.environ.get("POSTGRES_HOST")
    if not host:
        return "sqlite://"
    return sa.URL.create(
        "postgresql+psycopg2",
        username=os.environ.get("POSTGRES_USER", "marquez"),
        password=os.environ.get("POSTGRES_PASSWORD", "marquez"),
        host=host,
        port=int(os.environ.get("POSTGRES_PORT", "5432")),
        database=os.environ.get("POSTGRES_DB", "marquez"),
        query={"connect_timeout": "5"},
    )


def _open_journal() -> Journal:
    """Wait for the database as the image's wait-for-db.sh does; raises OperationalError after two minutes."""
    deadline = time.monotonic() + _DATABASE_WAIT_SECONDS
    while True:
        try:
            return Journal(_database())
        except OperationalError as error:
            if time.monotonic() > deadline:
                raise
            _LOG.info("waiting for the database: %s", str(error.orig).partition("\n")[0])
            time.sleep(1)


def _server(app: ASGIApp, host: str, port: int) -> tuple[uvicorn.Server, socket.socket]:
    listener = socket.create_server((host, port))
    _LOG.info("listening on %s:%d", *listener.getsockname()[:2])
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
    return uvicorn.Server(config), listener


def _serve(double: MarquezDouble, host: str, port: int, admin_port: int) -> None:
    """Serve until SIGTERM or SIGINT, which reach the API's thread; the admin port runs beside it."""
    admin_server, admin_listener = _server(admin(double), host, admin_port)
    api_server, api_listener = _server(api(double), host, port)
    beside = threading.Thread(target=admin_server.run, args=([admin_listener],), name="admin")
    beside.start()
    try:
        api_server.run([api_listener])
    finally:
        admin_server.should_exit = True
        beside.join()


def main() -> int:
    """Entry point; 1 when the database never came."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    _LOG.info("this is marquez-double, a stand-in for Marquez 0.51 in the testbed, not Marquez itself")
    try:
        journal = _open_journal()
    except OperationalError as error:
        _LOG.error("no database after %d s: %s", _DATABASE_WAIT_SECONDS, error.orig)
        return 1
    host = os.environ.get("MARQUEZ_DOUBLE_HOST", "0.0.0.0")  # noqa: S104 - a container's only interface is the pod's
    ports = (int(os.environ.get("MARQUEZ_PORT", "5000")), int(os.environ.get("MARQUEZ_ADMIN_PORT", "5001")))
    _serve(MarquezDouble(journal), host, *ports)
    journal.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
