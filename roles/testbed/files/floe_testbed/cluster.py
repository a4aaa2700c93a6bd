"""What the cluster says of itself, by its own kubectl: is the node Ready, do its pods serve, or why not."""

from __future__ import annotations

import time

from .layout import LOGS, NODE, Settings, TestbedError
from .network import run

_READY_SECONDS = 120
_MOST_LISTED = 50  # images; a kubelet tells of no more
_IMAGES = r'{range .status.images[*]}{.names[*]}{"\n"}{end}'
_WHAT_SERVES = (
    ("--for=condition=Ready", f"node/{NODE}"),
    ("--for=condition=Available", "--namespace=kube-system", "deployment", "--all"),
    ("--for=condition=Available", "apiservice/v1beta1.metrics.k8s.io"),
)


def wait_until_serving(settings: Settings) -> None:
    """Waits until the node is Ready and every Deployment in kube-system is available, and metrics are served.

    Raises:
        TestbedError: not within two minutes; with the pods' states and what was last said about them.
    """
    try:
        for what in _WHAT_SERVES:
            _kubectl(settings, "wait", f"--timeout={_READY_SECONDS}s", *what)
    except TestbedError as error:
        pods = _kubectl(settings, "get", "pods", "-n", "kube-system", "-o", "wide")
        events = _kubectl(settings, "events", "-n", "kube-system", "--types=Warning").splitlines()
        raise TestbedError("\n".join([str(error), pods, *events[-10:], f"daemons' logs: {LOGS}"])) from error


def wait_until_listed(settings: Settings, references: set[str]) -> None:
    """Waits until the node tells that it has images: its kubelet looks for new ones twice a minute.

    Raises:
        TestbedError: not within two minutes; with the references that are missing.
    """
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        lines = _kubectl(settings, "get", "node", NODE, f"--output=jsonpath={_IMAGES}").splitlines()
        missing = references - {name for line in lines for name in line.split()}
        if not missing or len(lines) >= _MOST_LISTED:
            return
        if time.monotonic() > deadline:
            raise TestbedError(f"the node does not list {', '.join(sorted(missing))}; daemons' logs: {LOGS}")
        time.sleep(1)


def describe(settings: Settings) -> list[str]:
    """Returns a line on the node and one on each pod that does not run."""
    try:
        nodes = _kubectl(settings, "get", "nodes")
        idle = _kubectl(
            settings, "get", "pods", "-A", "--field-selector=status.phase!=Running,status.phase!=Succeeded"
        )
    except TestbedError as error:
        return [str(error)]
    return nodes.splitlines() + idle.splitlines()


def _kubectl(settings: Settings, *argv: str) -> str:
    return run(str(settings.kubernetes / "kubectl"), "--kubeconfig", str(settings.kubeconfig), *argv)
