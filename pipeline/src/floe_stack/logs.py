"""`floe stack logs`: what a part says."""

from __future__ import annotations

import os

from floe_stack.connection import Connection
from floe_stack.errors import StackError
from floe_stack.kubectl import Kubectl


def follow(connection: Connection, part: str | None, *, tail: int) -> None:
    """Become `kubectl logs --follow` of a part.

    Args:
        connection: Where the stack is.
        part: Name of a Deployment, StatefulSet or Job.
        tail: How many lines of what was said before.

    Raises:
        StackError: There is no such part; the message lists those that there are.
    """
    kubectl = Kubectl(connection)
    kinds = {
        item["metadata"]["name"]: item["kind"].lower()
        for item in kubectl.items("deployments,statefulsets,jobs")
    }
    if part not in kinds:
        parts = ", ".join(sorted(kinds)) or f"none in namespace {connection.namespace}"
        raise StackError(
            f"{f'{part!r} is no part' if part else 'name a part (SERVICE=...)'}; there are: {parts}"
        )
    command = kubectl.command(
        "logs", "--follow", "--all-containers", "--prefix", f"--tail={tail}", f"{kinds[part]}/{part}"
    )
    os.execvp(command[0], command)  # noqa: S606  # our own command, without a shell
