"""`floe stack status` after a node ended a pod."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from floe_stack.connection import Connection
from floe_stack.state import Pod, State
from floe_stack.status import is_well, render

FULL = "Pod ephemeral local storage usage exceeds the total limit of containers 5Gi."


def pod(name: str, state: str, why: str = "", *, ready: bool = False) -> Pod:
    return Pod(name, state, ready, restarts=0, last_end="", used=1, limit=2, why=why)


@pytest.mark.parametrize("ready", [False, True])
def test_a_pod_that_was_evicted_is_told_of_and_is_no_fault_once_another_took_its_place(
    ready: bool, connection: Connection
) -> None:
    state = State(
        pods=[pod("minio-6c5f-bbbbb", "Running", ready=ready)],
        evicted=[pod("minio-6c5f-aaaaa", "Evicted", FULL)],
    )
    assert is_well(state) is ready
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(render(state, connection))
    assert f"minio-6c5f-aaaaa: {FULL} See docs/troubleshooting.md" in console.export_text()
