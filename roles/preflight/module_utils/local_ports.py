"""Who listens on the ports of 127.0.0.1 that a port-forward will need."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Mapping
from typing import Any


def owners(wanted: Mapping[str, Any], *, namespace: str, context: str) -> dict[int, str]:
    """Returns port -> who has it, for those that cannot be had; our own forwards are left out.

    Args:
        wanted: Name -> port; what is no port is left out too.
        namespace: Where our forwards lead to.
        context: Of which cluster; empty when it is not known.
    """
    found = {}
    for port in {int(p) for p in wanted.values() if str(p).isdigit() and 0 < int(p) < 65536}:
        if not _is_taken(port):
            continue
        process, name = _listener(port)
        command = _said_by(["ps", "-o", "args=", "-p", process]) if process else ""
        if not is_own_forward(command, namespace, context):
            found[port] = f"{name} (process {process})" if process else "another program"
    return found


def is_own_forward(command: str, namespace: str, context: str) -> bool:
    """Whether a command line is kubectl's that forwards into our namespace, as `make port-forward` does.

    Args:
        command: Words with spaces between them, as `ps` shows them.
        namespace: Ours.
        context: Ours; empty when it is not known.
    """
    words = command.split()

    def option(*names: str) -> str:
        for word, following in zip(words, [*words[1:], ""], strict=True):
            name, _, value = word.partition("=")
            if name in names:
                return value or following
        return ""

    into_ours = "port-forward" in words and option("--namespace", "-n") == namespace
    return into_ours and (not context or option("--context") in ("", context))


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return True
    return False


def _listener(port: int) -> tuple[str, str]:
    """Id and name of the process on a port, as far as this user may know them."""
    for command, pattern in (
        (["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"], r"p(?P<pid>\d+)\nc(?P<name>.+)"),
        (["ss", "-Hltnp", f"sport = :{port}"], r'\(\("(?P<name>[^"]+)",pid=(?P<pid>\d+)'),
    ):
        if shutil.which(command[0]):
            found = re.search(pattern, _said_by(command))
            if found:
                return found["pid"], found["name"]
    return "", ""


def _said_by(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - our own
