"""Dagster's run launcher for code servers, which also notices runs that died together with their server."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final, Self

from dagster import DagsterRun, IntSource
from dagster._config import Field, UserConfigSchema
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import ConfigurableClassData, deserialize_value

ANSWER_SECONDS: Final = 5


class CodeServerRunLauncher(DefaultRunLauncher):
    """Starts runs in the code server, and tells run monitoring whether the server still has them.

    Dagster's own launcher cannot tell, so a run whose code server was killed stays "started" forever, and as
    runs take turns it blocks every later one. A server that answers decides at once; one that does not
    answer may be restarting or cut off, so its runs are given up only after `unreachable_seconds`. Giving up
    a run that in fact goes on is harmless: its retry works under the same batch id.
    """

    def __init__(self, unreachable_seconds: int = 30, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(inst_data)
        self._unreachable_seconds = unreachable_seconds
        self._unreachable_since: dict[str, float] = {}

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Fields of `run_launcher.config` in dagster.yaml."""
        return {
            "unreachable_seconds": Field(
                IntSource,
                default_value=30,
                is_required=False,
                description="How long a code server may be silent before its runs are given up.",
            )
        }

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """Made by Dagster from dagster.yaml."""
        return cls(inst_data=inst_data, **config_value)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Run monitoring asks `check_run_worker_health` about every started run."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Ask the code server that started the run whether it still works on it.

        Args:
            run: A run in status STARTED.

        Returns:
            RUNNING, or FAILED with the reason; never anything in between, since Dagster fails a run for it.
        """
        server = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
        if not server:
            return CheckRunHealthResult(WorkerStatus.FAILED, "no code server was recorded for the run")
        client = DagsterGrpcClient(
            host=server.get("host"), port=server.get("port"), socket=server.get("socket")
        )
        where = f"code server {server.get('host')}:{server.get('port') or server.get('socket')}"
        try:
            answer = client.can_cancel_execution(
                CanCancelExecutionRequest(run_id=run.run_id), timeout=ANSWER_SECONDS
            )
        except DagsterUserCodeUnreachableError:
            since = self._unreachable_since.setdefault(run.run_id, time.monotonic())
            silent = time.monotonic() - since
            if silent < self._unreachable_seconds:
                return CheckRunHealthResult(WorkerStatus.RUNNING, f"{where} is silent for {silent:.0f} s")
            del self._unreachable_since[run.run_id]
            return CheckRunHealthResult(WorkerStatus.FAILED, f"{where} was silent for {silent:.0f} s")
        self._unreachable_since.pop(run.run_id, None)
        if deserialize_value(answer, CanCancelExecutionResult).can_cancel:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.FAILED, f"{where} knows nothing of the run: it was restarted, or the run was killed"
        )
