"""A stack's surface without a cluster: a kubectl of our own, with small servers as pods."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from floe_pipeline.defs.ports import free_port
from floe_stack.connection import Connection, LocalPorts

FAKE = Path(__file__).with_name("fake_kubectl.py")


class Pod:
    """A web server that says its name."""

    def __init__(self, name: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(name.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Cluster:
    """What the fake kubectl knows: which Service leads to which pod, and objects."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pods: list[Pod] = []
        (folder / "namespace.json").write_text("{}")

    def run_pod(self, service: str, name: str = "first") -> Pod:
        """Let a Service lead to a new pod."""
        self._pods.append(pod := Pod(name))
        (self.folder / f"{service}.port").write_text(str(pod.port))
        return pod

    def has(self, kind: str, *items: object) -> None:
        """Let `kubectl get` of a kind print objects."""
        (self.folder / f"{kind}.json").write_text(json.dumps({"items": items}))

    def logs(self, of: str, *lines: str) -> None:
        """Let `kubectl logs` of a pod or `<kind>-<name>` print lines."""
        (self.folder / f"{of}.log").write_text("\n".join(lines))

    def pids(self) -> list[int]:
        """Every port-forward that was ever started."""
        file = self.folder / "pids"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def stop(self) -> None:
        for pod in self._pods:
            pod.stop()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    monkeypatch.setenv("FAKE_KUBECTL", str(folder))
    running = Cluster(folder)
    yield running
    running.stop()


@pytest.fixture
def connection(tmp_path: Path) -> Connection:
    program = tmp_path / "kubectl"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
    program.chmod(0o755)
    names = LocalPorts.model_fields
    return Connection(
        target="testbed",
        kubectl=str(program),
        kubeconfig="",
        context="",
        namespace="floe",
        ports=LocalPorts(**{name: free_port() for name in names}),
        persistent=False,
    )


@pytest.fixture
def until() -> Callable[..., None]:
    def wait(condition: Callable[[], object], seconds: float = 15) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come about"
            time.sleep(0.05)

    return wait
