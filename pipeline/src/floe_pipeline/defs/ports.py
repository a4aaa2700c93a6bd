"""Is a port of this machine free, and if not, whose is it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"
LISTENING: Final = "0A"  # state of a socket in /proc/net/tcp


def is_taken(port: int) -> bool:
    """Whether a server could not listen on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return True  # macOS lets two listen, one on 127.0.0.1 and one on every address
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def owner(port: int) -> str:
    """The process that listens on a port, as `pid 123 (command)`, as far as the system tells."""
    pid = _owner_in_proc(port) if Path("/proc/net/tcp").exists() else _owner_by_lsof(port)
    return f"pid {pid} ({_command(pid)})" if pid else "a process of another user"


def _owner_in_proc(port: int) -> int | None:
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(link) in sockets for link in (process / "fd").iterdir()):  # noqa: PTH115  # no path
                return int(process.name)
        except OSError:
            continue  # ended meanwhile, or is somebody else's
    return None


def _listening_inodes(port: int) -> list[str]:
    rows = [
        row.split()
        for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
        if table.exists()
        for row in table.read_text().splitlines()[1:]
    ]
    return [row[9] for row in rows if row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == port]


def _owner_by_lsof(port: int) -> int | None:
    lsof = shutil.which("lsof")
    if lsof is None:
        return None
    asked = [lsof, "-nP", "-t", f"-iTCP:{port}", "-sTCP:LISTEN"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()  # noqa: S603
    return int(found[0]) if found else None


def _command(pid: int) -> str:
    asked = ["ps", "-o", "args=", "-p", str(pid)]
    shown = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    return shown[:80] or "command unknown"
