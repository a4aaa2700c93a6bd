"""Names, addresses and paths of the testbed: what everything else here has to agree on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

NAME = "floe-testbed"  # node, context, cgroup; machine-wide, so one testbed at a time
NODE = NAME
HOST_LINK, NODE_LINK = "floe-host", "floe-node"  # two ends of one cable: this machine, the node
HOST_ADDRESS, NODE_ADDRESS, LINK_PREFIX = "10.199.0.1", "10.199.0.2", 24
LINK_NET, POD_NET, SERVICE_NET = "10.199.0.0/24", "10.200.0.0/16", "10.201.0.0/16"
NODE_POD_NET = "10.200.0.0/24"
API_SERVICE, DNS_SERVICE = "10.201.0.1", "10.201.0.10"
API_URL = f"https://{NODE_ADDRESS}:6443"
STATE = Path("/var/lib/floe-testbed")  # outside any checkout: it also says who owns the one testbed
PAUSE_IMAGE = "localhost/floe-testbed/pause:1"
_PATHS = ("checkout", "cache", "kubeconfig", "kubernetes", "tools")


class TestbedError(Exception):
    """What went wrong and what to do about it, for a person to read."""

    __test__ = False  # not a test, whatever pytest thinks of the name


@dataclass(frozen=True)
class Settings:
    """What differs between checkouts and machines.

    Attributes:
        checkout: folder of the working copy that owns the testbed.
        cache: folder for what is worth keeping between testbeds: binaries, image archives, the image store.
        kubeconfig: file written for the user.
        kubernetes: folder with kube-apiserver, kubelet, kubectl, etcd ...; only needed to start the testbed.
        tools: folder with helm; likewise.
        minimum_memory_mib: memory that has to be available before anything is started.
        minimum_disk_gib: room that has to be free before the first build.

    Two are equal when the same node comes of them: the minimums are asked for before it starts, never after.
    """

    checkout: Path
    cache: Path
    kubeconfig: Path
    kubernetes: Path = Path()
    tools: Path = Path()
    minimum_memory_mib: int = field(default=4096, compare=False)
    minimum_disk_gib: int = field(default=24, compare=False)

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Reads settings; raises TestbedError naming a key that is missing, unknown or of the wrong kind."""
        try:
            values = json.loads(text)
            paths: dict[str, Any] = {key: Path(values.pop(key)) for key in _PATHS if key in values}
            numbers = {key: int(value) for key, value in values.items()}
            return cls(**(paths | numbers))
        except (ValueError, KeyError, TypeError) as error:
            raise TestbedError(f"settings are not what they should be: {error!r}") from error

    def to_json(self) -> str:
        """Returns what from_json reads."""
        return json.dumps(
            {key: value if isinstance(value, int) else str(value) for key, value in asdict(self).items()}
        )

    @property
    def clients(self) -> dict[Path, Path]:
        """Links to programs that speak to the cluster, put beside the kubeconfig, and where they lead."""
        folder = self.kubeconfig.parent / "bin"
        return {folder / "kubectl": self.kubernetes / "kubectl", folder / "helm": self.tools / "helm"}

    @property
    def image_store(self) -> Path:
        """Containerd's own folder: images stay imported between testbeds."""
        return self.cache / "containerd"


# In the state folder
SETTINGS_FILE = STATE / "settings.json"  # whose testbed this is, and how it was started
STATUS_FILE = STATE / "status.json"
PID_FILE = STATE / "supervisor.pid"
LOGS = STATE / "logs"
PKI = STATE / "pki"
CONF = STATE / "conf"
CONTAINERD_SOCKET = STATE / "containerd.sock"
VOLUMES = STATE / "volumes"
