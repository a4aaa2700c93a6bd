"""Dagster's code server, but runs start warm: forked from a process that has imported everything already.

`python -m floe_pipeline.defs.code_server --host 127.0.0.1 --port 4266` takes the options of `dagster api
grpc`, but for the module. Dagster itself starts each run in a fresh interpreter, which
spends seconds on importing Dagster, dbt and pyiceberg: longer than the run's work.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import sys
from typing import Any, Final

import dagster._grpc.server as grpc_server
from dagster._cli.api import grpc_command

DEFINITIONS: Final = "floe_pipeline.definitions"
# Imported once, before there is any thread, connection or credential that a child could inherit.
PRELOADED: Final = (
    DEFINITIONS,
    "dagster._grpc.impl",
    "dagster._core.storage.sqlite_storage",
    "dagster_postgres.storage",
    "dbt.adapters.duckdb.impl",
    "dbt.task.build",
    "pyiceberg.io.pyarrow",
)


class WarmStartServer(grpc_server.DagsterApiServer):
    """A code server whose run processes are forks of one idle, single-threaded process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # as its base
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(PRELOADED))
        multiprocessing.forkserver.ensure_running()  # it imports while we do
        super().__init__(*args, **kwargs)
        self._mp_ctx = context  # type: ignore[assignment]  # a private name of Dagster's, which is pinned


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        arguments: Options of `dagster api grpc`; the module to load is added.
    """
    grpc_server.DagsterApiServer = WarmStartServer  # type: ignore[misc]  # the command looks it up when it runs
    grpc_command.main([*arguments, "--module-name", DEFINITIONS], prog_name="floe-code-server")


if __name__ == "__main__":
    main(sys.argv[1:])
