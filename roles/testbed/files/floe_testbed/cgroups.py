"""The testbed's cgroups: every process of the testbed is in one, so none is ever looked for by its name.

Works on version 1 (one tree a controller), on version 2 (one tree) and on machines that have both mounted.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from .layout import NAME, TestbedError

ROOT = Path("/sys/fs/cgroup")
DAEMONS = "daemons"  # our daemons and containerd's shims; pods go to "kubepods" beside it
_KILL_SECONDS = 10


def version() -> str:
    """Returns `v1`, `v2` or `hybrid` (version 1 controllers with an empty version 2 tree beside them)."""
    if (ROOT / "cgroup.controllers").exists():
        return "v2"
    return "hybrid" if (ROOT / "unified" / "cgroup.controllers").exists() else "v1"


def trees() -> list[Path]:
    """Returns the testbed's folder in each tree, whether it exists or not."""
    if version() == "v2":
        return [ROOT / NAME]
    return [
        tree / NAME
        for tree in sorted(ROOT.iterdir())
        if not tree.is_symlink() and (tree / "cgroup.procs").exists()
    ]


def create() -> None:
    """Makes the testbed's cgroups, ready for the kubelet and for processes."""
    for tree in trees():
        for folder in (tree, tree / DAEMONS):
            folder.mkdir(exist_ok=True)
            if version() == "v2":
                controllers = (folder.parent / "cgroup.controllers").read_text().split()
                (folder.parent / "cgroup.subtree_control").write_text(
                    " ".join(f"+{name}" for name in controllers)
                )
            for setting in (
                "cpuset.cpus",
                "cpuset.mems",
            ):  # version 1: empty until set, and empty lets nothing in
                if version() != "v2" and (folder / setting).exists():
                    (folder / setting).write_text((folder.parent / setting).read_text())


def enter() -> None:
    """Moves this process, and with it all that it will start, into the daemons' cgroup."""
    for tree in trees():
        (tree / DAEMONS / "cgroup.procs").write_text(str(os.getpid()))


def processes(below: str = "") -> set[int]:
    """Returns the ids of the processes in the testbed's cgroups, or in one folder of them."""
    found: set[int] = set()
    for tree in trees():
        for procs in (tree / below).rglob("cgroup.procs"):
            with contextlib.suppress(FileNotFoundError):  # a pod's cgroup may go while we look
                found.update(int(pid) for pid in procs.read_text().split())
    return found


def kill(below: str = "") -> int:
    """Kills the processes in the testbed's cgroups, but for this one, and waits until they are gone.

    Returns:
        How many there were.

    Raises:
        TestbedError: some would not go, which happens when they wait for a device.
    """
    first = left = processes(below) - {os.getpid()}
    deadline = time.monotonic() + _KILL_SECONDS
    while left:
        if time.monotonic() > deadline:
            raise TestbedError(
                f"processes {sorted(left)} do not end; see `ps -o stat,wchan,args -p {min(left)}`"
            )
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)  # nothing tells when a process that is not a child has left its cgroup
        left = processes(below) - {os.getpid()}
    return len(first)


def remove() -> None:
    """Removes the testbed's cgroups; they have to be empty of processes."""
    for tree in trees():
        for folder, _, _ in os.walk(tree, topdown=False):
            _remove_folder(Path(folder))


def _remove_folder(folder: Path) -> None:
    """Removes one cgroup; the kernel may call it busy for a moment after its last process ended."""
    deadline = time.monotonic() + _KILL_SECONDS
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise TestbedError(f"cgroup {folder} cannot be removed: {error}") from error
            time.sleep(0.02)
        else:
            return
