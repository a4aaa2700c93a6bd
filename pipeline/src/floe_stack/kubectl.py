"""kubectl, bound to one namespace of one cluster."""

from __future__ import annotations

import base64
import json
import subprocess
from typing import Any, Final

from floe_stack.connection import Connection
from floe_stack.errors import StackError

ANSWER_SECONDS: Final = 60

Object = dict[str, Any]


class Kubectl:
    """Runs kubectl. The context is looked up once: switching it in another terminal moves nothing of ours.

    Attributes:
        namespace: Where commands look.
        context: The context in use.
    """

    def __init__(self, connection: Connection) -> None:
        self.namespace = connection.namespace
        self._base = [connection.kubectl]
        if connection.kubeconfig:
            self._base += ["--kubeconfig", connection.kubeconfig]
        self.context = connection.context or self.run("config", "current-context").strip()
        self._base += ["--context", self.context, "--namespace", self.namespace]

    def command(self, *arguments: str) -> list[str]:
        """The whole command line; it never holds a secret."""
        return [*self._base, *arguments]

    def run(self, *arguments: str) -> str:
        """What a command prints.

        Raises:
            StackError: kubectl is not there, fails, or does not answer in time; with its own words.
        """
        command = self.command(*arguments)
        try:
            done = subprocess.run(  # noqa: S603  # our own command
                command, capture_output=True, text=True, check=False, timeout=ANSWER_SECONDS
            )
        except FileNotFoundError as error:
            raise StackError(
                f"{command[0]} is not there: install kubectl, or set floe_kubectl in the inventory"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise StackError(f"kubectl {' '.join(arguments)}: no answer in {ANSWER_SECONDS} s") from error
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise StackError(f"kubectl {' '.join(arguments)}: {said[-1]}")
        return done.stdout

    def json(self, *arguments: str) -> Object:
        """What a command prints as JSON."""
        found: Object = json.loads(self.run(*arguments))
        return found

    def has_namespace(self) -> bool:
        """Whether the cluster has the namespace.

        Raises:
            StackError: It does not answer.
        """
        return bool(
            self.run("get", "namespace", self.namespace, "--ignore-not-found", "--output=name").strip()
        )

    def require_namespace(self) -> None:
        """Make sure that the cluster answers and has the namespace: else every door would be waited for.

        Raises:
            StackError: It does not, or has not; with what to do.
        """
        try:
            self.run("get", "namespace", self.namespace)
        except StackError as error:
            raise StackError(
                f"{error}; is it deployed in context {self.context} (make deploy-local-full)?"
                " After another context or namespace was chosen: make connection"
            ) from error

    def items(self, kind: str, *arguments: str) -> list[Object]:
        """Objects of a kind in the namespace."""
        found: list[Object] = self.json("get", kind, "--output", "json", *arguments)["items"]
        return found

    def secret(self, name: str) -> dict[str, str]:
        """What a Secret holds, by key."""
        return secret_values(self.json("get", "secret", name, "--output", "json"))


def secret_values(secret: Object) -> dict[str, str]:
    """The values of a Secret, by key."""
    data: dict[str, str] = secret.get("data") or {}
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}
