"""`floe stack doctor`: what a deploy needs and what a stack suffers from, in one table with what to do."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from floe_pipeline.doctor import Finding
from floe_stack.connection import Connection
from floe_stack.errors import StackError
from floe_stack.faults import PAGE, findings
from floe_stack.kubectl import Kubectl
from floe_stack.stack import open_stack
from floe_stack.state import State, look

PROGRAM: Final = "ansible-playbook"
HEADINGS: Final = {  # what the role preflight looks at -> heading
    "settings": "a-setting-cannot-be-used",
    "charts": "a-chart-cannot-be-rendered",
    "tools": "helm-or-kubectl",
    "ports": "a-port-is-taken",
    "cluster": "the-context-or-the-api-server",
    "rights": "the-context-or-the-api-server",
    "capacity": "not-enough-memory-or-cpu",
    "names": "something-of-that-name-is-there",
    "images": "an-image-cannot-be-pulled",
}


def examine(connection: Connection, say: Callable[[str], None]) -> list[Finding]:
    """Look at tools, cluster and machine, then at the stack, as far as there is one.

    Args:
        connection: Where it is, or is to be.
        say: Takes a line about what is waited for.
    """
    say("looking at what a deploy needs")
    found = list(preflight(connection))
    if any(each.what == "cluster" and not each.ok for each in found):
        return [
            *found,
            Finding("stack", False, "it cannot be looked at", "first what is said of the cluster"),
        ]
    try:
        return [*found, *_of_stack(connection, say)]
    except StackError as error:
        return [*found, Finding("stack", False, str(error), f"see {PAGE}#{HEADINGS['cluster']}")]


def preflight(connection: Connection) -> Iterator[Finding]:
    """What the role preflight sees, which is what a deploy would refuse; nothing is changed."""
    with tempfile.TemporaryDirectory(prefix="floe-") as folder:
        answer = Path(folder) / "preflight.json"
        variables = {
            "floe_kubectl": connection.kubectl,
            "floe_kubeconfig": connection.kubeconfig,
            "floe_context": connection.context,
            "floe_namespace": connection.namespace,
            "floe_ports": connection.ports.model_dump(),
            "preflight_answer": str(answer),
        }
        command = [
            PROGRAM,
            "--inventory",
            f"inventory/{connection.target}",
            "deploy.yml",
            "--tags",
            "preflight",
        ]
        command += ["--extra-vars", json.dumps(variables)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own
        except FileNotFoundError:
            yield Finding("preflight", False, f"{PROGRAM} is not on PATH", "make doctor brings its own")
            return
        if done.returncode or not answer.exists():
            yield Finding(
                "preflight", False, _error_of(done), "make deploy-local-full says the same, in full"
            )
            return
        looked = json.loads(answer.read_text(encoding="utf-8"))
    for check in looked:
        name = check["check"]
        for problem in check["problems"]:
            remedy = "" if PAGE in problem else f"see {PAGE}#{HEADINGS[name]}"
            yield Finding(name, False, problem, remedy)
        if not check["problems"]:
            yield Finding(name, True, check["seen"])


def _error_of(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("fatal:", "ERROR", "[ERROR]"))]
    return next(iter(errors + lines[-1:]), f"exit code {done.returncode}").strip()


def _of_stack(connection: Connection, say: Callable[[str], None]) -> list[Finding]:
    if not Kubectl(connection).has_namespace():
        return findings(State(), connection)
    with open_stack(connection, say) as stack:
        return findings(look(stack, say), connection)
