"""`floe stack status` after a node ended a pod."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any, cast

from rich.console import Console

from floe_stack.stack import Stack
from floe_stack.status import is_well, look, render

FULL = "Pod ephemeral local storage usage exceeds the total limit of containers 5Gi. "
EVICTED = {"name": "minio-6c5f-aaaaa", "phase": "Failed", "reason": "Evicted", "message": FULL}


def container(*, ready: bool) -> dict[str, Any]:
    return {"name": "minio", "ready": ready, "restartCount": 0, "state": {"running": {}}}


def stack_of(*statuses: dict[str, Any]) -> Stack:
    """Nothing but pods, as Kubernetes lists them."""
    spec = {"containers": [{"name": "minio"}]}
    pods = [{"metadata": {"name": each["name"]}, "spec": spec, "status": each} for each in statuses]
    kubectl = SimpleNamespace(items=lambda _: pods, json=lambda *_: {"items": []})
    return cast("Stack", SimpleNamespace(connection=SimpleNamespace(namespace="floe"), kubectl=kubectl))


def test_a_pod_that_was_evicted_is_told_of_and_is_no_fault_once_another_took_its_place() -> None:
    successor = {"name": "minio-6c5f-bbbbb", "phase": "Running"}
    for ready in (False, True):
        status = look(stack_of(EVICTED, {**successor, "containerStatuses": [container(ready=ready)]}))
        status.problems = {}  # of the parts that are not there in this test
        assert [each.name for each in status.pods] == ["minio-6c5f-bbbbb"]
        assert is_well(status) is ready
        console = Console(width=200, record=True, file=io.StringIO())
        console.print(render(status, "testbed"))
        assert f"minio-6c5f-aaaaa: {FULL}See docs/troubleshooting.md" in console.export_text()
