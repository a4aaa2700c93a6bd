"""Up and down: from nothing to a supervised node and back, from whatever state an earlier try left."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from . import cgroups, network, pki, preflight
from .layout import (
    CONF,
    HOST_LINK,
    LOGS,
    NAME,
    PID_FILE,
    SETTINGS_FILE,
    STATE,
    Settings,
    TestbedError,
)
from .status import daemon_states

_START_SECONDS = 90
_STOP_SECONDS = 15
# Nothing of the caller's reaches the daemons: a proxy variable would send their calls to each other astray.
_ENVIRONMENT = {
    "HOME": "/root",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONPATH": str(Path(__file__).parents[1]),
}


@contextlib.contextmanager
def exclusive() -> Iterator[None]:
    """Lets one process at a time change the testbed; the lock goes with the process, whatever ends it."""
    with socket.socket(socket.AF_UNIX) as lock:
        try:
            lock.bind(f"\0{NAME}")  # an abstract name: no file to be left behind
        except OSError:
            raise TestbedError(
                "another testbed-up or testbed-down is running: wait for it, then try again"
            ) from None
        yield


def supervisor_pid() -> int | None:
    """Returns the supervisor's process id if it runs."""
    try:
        pid = int(PID_FILE.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if pid in cgroups.processes(cgroups.DAEMONS) else None


def up(settings: Settings) -> bool:
    """Makes sure that the node runs as the settings say, and that its API server and containerd answer.

    What an interrupted start, a crash or a reboot left is taken away first; so is a node with other settings.

    Returns:
        Whether anything had to be done.

    Raises:
        TestbedError: a refusal (all reasons), or a daemon that does not start, with the end of its log.
    """
    if refusals := preflight.problems(settings):
        raise TestbedError("\n".join(refusals))
    changed = False
    if supervisor_pid() is None or preflight.owner() != settings:
        _tear_down()
        _start(settings)
        changed = True
    network.connect_host()
    _wait(("kube-apiserver", "containerd"))
    return _give_user_access(settings) or changed


def down(settings: Settings) -> bool:
    """Takes the testbed away, and all that it made on this machine except for its cache.

    Returns:
        Whether there was anything.

    Raises:
        TestbedError: it belongs to another working copy, or something would not go.
    """
    ours = preflight.owner()
    if ours is None and not STATE.exists():
        return False
    if ours is None or (ours.checkout != settings.checkout and ours.checkout.exists()):
        whose = (
            f"belongs to {ours.checkout}: run `make testbed-down` there" if ours else f"did not make {STATE}"
        )
        raise TestbedError(f"the testbed {whose}")
    _tear_down()
    if left := leftovers():
        raise TestbedError(f"the testbed is down but left: {', '.join(left)}")
    return True


def leftovers() -> list[str]:
    """Returns what there still is of a testbed on this machine, its cache aside."""
    found = [
        str(path) for path in (STATE, Path("/sys/class/net") / HOST_LINK, *cgroups.trees()) if path.exists()
    ]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    return found + [line.split()[1] for line in mounts if line.split()[1].startswith(str(STATE))]


def _start(settings: Settings) -> None:
    STATE.mkdir(mode=0o755)
    SETTINGS_FILE.write_text(
        settings.to_json()
    )  # first of all: from here on what is there is known to be ours
    for folder in (LOGS, CONF):
        folder.mkdir()
    pki.create()
    cgroups.create()
    # In the cgroup from its first moment, and with a way to this machine's network that does not end with us:
    # should this process be killed now, the next one finds a node that goes on, or one that it can end.
    with (LOGS / "supervisor.log").open("ab") as log, Path("/proc/self/ns/net").open("rb") as namespace:
        subprocess.Popen(  # noqa: S603 - our own command line
            [
                "/usr/bin/unshare",
                "--net",
                "--mount",
                sys.executable,
                "-m",
                __package__,
                "run-node",
                str(namespace.fileno()),
            ],
            pass_fds=[namespace.fileno()],
            preexec_fn=cgroups.enter,  # noqa: PLW1509 - there is one thread
            env=_ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _give_user_access(settings: Settings) -> bool:
    """Writes the kubeconfig and the links to kubectl and helm that are missing; says whether any was."""
    missing = [link for link in settings.clients if not link.exists()]
    for link in missing:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)  # one whose target is gone
        link.symlink_to(settings.clients[link])
    if not settings.kubeconfig.exists():
        pki.write_kubeconfig(settings.kubeconfig, "admin")
        return True
    return bool(missing)


def _wait(names: tuple[str, ...]) -> None:
    """Waits until daemons work."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        states = daemon_states()
        if all(states.get(name, {}).get("up") for name in names):
            return
        supervisor = supervisor_pid()
        if time.monotonic() > deadline or (supervisor is None and states):
            why = [f"{name}: {state['why']}" for name, state in states.items() if state["why"]]
            raise TestbedError(f"the node does not start: {'; '.join(why)}\n{_log_tail()}")
        time.sleep(0.1)  # the status file changes; nobody announces it


def _log_tail() -> str:
    lines = [
        f"{log.name}: {line}"
        for log in sorted(LOGS.glob("*.log"))
        for line in log.read_text().splitlines()[-3:]
    ]
    return "\n".join(lines)


def _tear_down() -> None:
    """Ends the testbed's processes, asking first, and removes what was made; some may be gone already."""
    pid = supervisor_pid()
    if pid:
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            os.kill(pid, signal.SIGTERM)
            select.select([handle], [], [], _STOP_SECONDS)
            os.close(handle)
    cgroups.kill()
    network.disconnect_host()
    cgroups.remove()
    ours = preflight.owner()
    if ours:
        for path in (ours.kubeconfig, *ours.clients):
            path.unlink(missing_ok=True)
        for folder in (ours.kubeconfig.parent / "bin", ours.kubeconfig.parent):
            with contextlib.suppress(OSError):  # gone, or with files of others in it
                folder.rmdir()
    # settings last: until then it is known whose the rest is
    for path in sorted(STATE.glob("*"), key=lambda path: path == SETTINGS_FILE):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    with contextlib.suppress(FileNotFoundError):
        STATE.rmdir()
