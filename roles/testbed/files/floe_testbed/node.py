"""The process behind the testbed: sets up the node's namespaces from inside, supervises, cleans up.

It is started by `unshare --net --mount`, in the daemons' cgroup. Every mount that the kubelet and
containerd make, and every rule and link of the node's network, exists there only: it goes with the last
process, whatever ends it.
"""

from __future__ import annotations

import os
from pathlib import Path

from . import cgroups, containers, network
from .daemons import daemons, write_configuration
from .layout import LOGS, PID_FILE, STATE, STATUS_FILE, Settings
from .supervisor import Supervisor

# Files that the kubelet writes wherever it runs. In our mounts each is a copy that nobody else sees.
_SYSCTLS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops")


def run_node(settings: Settings, host_namespace: int) -> None:
    """Runs the node until SIGTERM; host_namespace is this machine's network namespace, an open file."""
    PID_FILE.write_text(str(os.getpid()))
    _cover_host_files()
    network.connect_node(Path(f"/proc/{os.getpid()}/fd/{host_namespace}"))
    os.close(host_namespace)
    write_configuration(settings)
    supervisor = Supervisor(daemons(settings), STATUS_FILE, LOGS)
    supervisor.run()
    supervisor.stop(("kubelet", "kube-proxy", "kube-scheduler", "kube-controller-manager"))
    cgroups.kill("kubepods")
    containers.remove_containers()  # so that the image store, which is kept, holds images only
    supervisor.stop(("kube-apiserver", "containerd"))
    supervisor.stop(("etcd",))


def _cover_host_files() -> None:
    """Lays our own folders over those that daemons write to without being asked where."""
    network.run(
        "mount", "--make-rshared", "/"
    )  # among our own; `unshare` has cut the tie to this machine's mounts
    network.run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    Path("/run/netns").mkdir()
    covers = STATE / "covers"
    (covers / "log").mkdir(parents=True, exist_ok=True)
    network.run("mount", "--bind", str(covers / "log"), "/var/log")
    for name in _SYSCTLS:
        original = Path("/proc/sys") / name
        copy = covers / name.replace("/", ".")
        copy.write_text(original.read_text())
        network.run("mount", "--bind", str(copy), str(original))
