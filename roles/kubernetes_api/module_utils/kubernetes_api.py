"""The API server through `kubectl proxy`: kubectl logs in, whatever that takes, and no port is opened.

A module that imports the Python client spends a second on that; kubectl starts in a tenth of one.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

Object = dict[str, Any]

# Options of a module that uses this. A play may set K8S_AUTH_KUBECONFIG and K8S_AUTH_CONTEXT once instead,
# as for the modules of kubernetes.core.
ARGUMENTS: Object = {
    "kubectl": {"type": "path", "default": "kubectl"},
    "kubeconfig": {"type": "path"},
    "context": {"type": "str"},
}

OK, NOT_FOUND, CONFLICT = 200, 404, 409
SECONDS = 20  # for an answer
JSON, MERGE_PATCH = "application/json", "application/merge-patch+json"


class ApiError(Exception):
    """What the API server refused, or why it cannot be asked.

    Attributes:
        status: of HTTP, 0 when there was no answer of the API server.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class KubernetesApi:
    """A connection to the API server; made by `kubernetes_api`."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def send(self, method: str, path: str, body: Object | None = None, content_type: str = JSON) -> bytes:
        """Sends a request and returns the answer.

        Raises:
            ApiError: any answer that is not 2xx, or none.
        """
        headers = {"Content-Type": content_type} if body is not None else {}
        try:
            self._connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise ApiError(f"no answer: {error or type(error).__name__}") from error
        # The API server's own failures are JSON; kubectl's, of which there are both, are text.
        by_kubectl = (http.client.BAD_GATEWAY, http.client.INTERNAL_SERVER_ERROR)
        if answer.status in by_kubectl and not content.startswith(b"{"):
            raise ApiError(content.decode(errors="replace").strip() or answer.reason)
        if not OK <= answer.status < http.client.MULTIPLE_CHOICES:
            raise ApiError(f"{answer.status} {answer.reason}: {_message(content)}", answer.status)
        return content

    def get(self, path: str) -> Object | None:
        """Returns the object at a path, None when there is none."""
        try:
            found: Object = json.loads(self.send("GET", path))
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise
        return found

    def items(self, path: str) -> list[Object]:
        """Returns what a list holds; nothing when there is no such list."""
        found = self.get(path)
        return list(found["items"]) if found else []


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@contextmanager
def kubernetes_api(kubectl: str, kubeconfig: str | None, context: str | None) -> Iterator[KubernetesApi]:
    """Gives the API server of a context; an empty kubeconfig or context is the one that kubectl takes.

    Raises:
        ApiError: kubectl cannot be run or does not know the context.
    """
    with tempfile.TemporaryDirectory(prefix="floe-") as folder:  # nobody else can open it
        path = f"{folder}/api"
        with _running([kubectl, "proxy", f"--unix-socket={path}", *_where(kubeconfig, context)], r"Starting"):
            connection = _SocketConnection(path)
            try:
                yield KubernetesApi(connection)
            finally:
                connection.close()


@contextmanager
def forwarded(
    kubectl: str, kubeconfig: str | None, context: str | None, *, namespace: str, target: str, port: int
) -> Iterator[int]:
    """Gives the port on 127.0.0.1 that leads to a port of a pod or Service, such as `pod/polaris-1`.

    Raises:
        ApiError: kubectl cannot reach it.
    """
    where = [*_where(kubeconfig, context), f"--namespace={namespace}"]
    command = [kubectl, "port-forward", "--address=127.0.0.1", *where, target, f":{port}"]
    with _running(command, r"Forwarding from 127\.0\.0\.1:(\d+)") as found:
        yield int(found[1])


def _where(kubeconfig: str | None, context: str | None) -> list[str]:
    kubeconfig = kubeconfig or os.environ.get("K8S_AUTH_KUBECONFIG")
    context = context or os.environ.get("K8S_AUTH_CONTEXT")
    return [
        f"--{name}={value}" for name, value in (("kubeconfig", kubeconfig), ("context", context)) if value
    ]


@contextmanager
def _running(command: list[str], ready: str) -> Iterator[re.Match[str]]:
    """Runs kubectl until the end of the block, which begins when its first line says that it serves."""
    with tempfile.TemporaryFile("w+") as errors:
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)  # noqa: S603 - ours
        except OSError as error:
            raise ApiError(f"{command[0]} cannot be run: {error.strerror}") from error
        try:
            out: IO[str] = process.stdout  # type: ignore[assignment] # it is a pipe
            line = out.readline()
            found = re.match(ready, line)
            if not found:
                process.wait(SECONDS)
                errors.seek(0)
                raise ApiError(errors.read().strip() or line or f"{command[0]} {command[1]} ended")
            yield found
        finally:
            process.terminate()
            process.wait(SECONDS)
            process.stdout.close()  # type: ignore[union-attr] # it is a pipe


def _message(content: bytes) -> str:
    """What the API server says: the message of a Status, or the text as it is."""
    text = content.decode(errors="replace").strip()
    try:
        status = json.loads(text)
    except ValueError:
        return text
    return str(status.get("message", text)) if isinstance(status, dict) else text
