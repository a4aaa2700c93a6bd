"""B6: pods under the strictest standard, and no secret where it does not belong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from floe_stack.checks.finding import Finding, Question, judged
from floe_stack.errors import StackError
from floe_stack.kubectl import Object, secret_values
from floe_stack.releases import unpacked
from floe_stack.stack import Stack

ENFORCE: Final = "pod-security.kubernetes.io/enforce"
HELM: Final = "helm.sh/release.v1"
# Keys of Secrets that hold no secret: names of users, and the public half of a pair.
PUBLIC_KEYS: Final = frozenset(
    {"client-id", "sql-user", "rootUser", "access-key", "public.pem", "ca.crt", "namespace"}
)
SHORTEST: Final = 6  # a shorter one would be found in any text
# Who may hold the keys to the storage and root's credentials; everything else asks the catalog.
KEEPERS_OF_STORAGE: Final = ("minio", "polaris", "floe-bootstrap", "floe-keeper")
STORAGE_SECRETS: Final = frozenset({"floe-minio", "floe-minio-polaris", "floe-polaris-root"})


def _restricted(stack: Stack) -> list[Finding]:
    namespace = stack.kubectl.json("get", "namespace", stack.connection.namespace, "--output", "json")
    level = namespace["metadata"].get("labels", {}).get(ENFORCE)
    wrong = [] if level == "restricted" else [f"the namespace enforces {level or 'nothing'}, not restricted"]
    pods = stack.kubectl.items("pods")
    wrong += [
        f"{pod['metadata']['name']} uses Secret {name}"
        for pod in pods
        for name in sorted(_secrets_of(pod) & STORAGE_SECRETS)
        if not pod["metadata"]["name"].startswith(KEEPERS_OF_STORAGE)
    ]
    return [judged(wrong, f"enforces {level}; {len(pods)} pods hold only what they need")]


def _secrets_of(pod: Object) -> set[str]:
    """Names of the Secrets that a pod reads, as variables or as files."""
    spec = pod["spec"]
    containers = [*spec["containers"], *spec.get("initContainers", [])]
    references = [
        source.get("secretKeyRef", {}).get("name")
        for container in containers
        for variable in container.get("env", [])
        if (source := variable.get("valueFrom", {}))
    ]
    references += [
        source.get("secretRef", {}).get("name") for each in containers for source in each.get("envFrom", [])
    ]
    references += [volume.get("secret", {}).get("secretName") for volume in spec.get("volumes", [])]
    return {name for name in references if name}


def secrets_to_look_for(secrets: list[Object]) -> dict[str, str]:
    """Every value that must stay secret, with the place where it belongs.

    Args:
        secrets: Secrets of the namespace.

    Returns:
        Value -> `secret/key`; what Helm keeps in Secrets is no secret, but a place to look in.
    """
    found = {}
    for secret in secrets:
        if secret["type"] == HELM:
            continue
        for key, value in secret_values(secret).items():
            if key not in PUBLIC_KEYS and len(value.strip()) >= SHORTEST:
                found[value.strip()] = f"{secret['metadata']['name']}/{key}"
    return found


def _no_leak(stack: Stack) -> list[Finding]:
    secrets = stack.kubectl.items("secrets")
    hidden = secrets_to_look_for(secrets)
    if not hidden:
        return [judged(["there is no Secret to look for"], "nothing to look for")]
    wrong, places, unread = [], 0, 0
    for place, text in _places(stack, secrets):
        places += 1
        wrong += [f"the value of {name} is in {place}" for value, name in hidden.items() if value in text]
        unread += not text
    seen = f"{len(hidden)} secret values in none of {places} places" if not wrong else f"{len(wrong)} found"
    return [judged(wrong, seen, places=places, empty=unread)]


def _places(stack: Stack, secrets: list[Object]) -> Iterator[tuple[str, str]]:
    """Every text that people can read and that ought to hold no secret."""
    for config in stack.kubectl.items("configmaps"):
        yield f"ConfigMap {config['metadata']['name']}", json.dumps(config, ensure_ascii=False)
    for secret in secrets:
        if secret["type"] == HELM:
            yield f"values of {secret['metadata']['name']}", unpacked(secret)
    for pod in stack.kubectl.items("pods"):
        name = pod["metadata"]["name"]
        yield f"the spec of pod {name}", json.dumps(pod["spec"], ensure_ascii=False)
        yield f"the log of pod {name}", _log(stack, name)


def _log(stack: Stack, pod: str) -> str:
    try:
        return stack.kubectl.run("logs", pod, "--all-containers")
    except (
        StackError
    ):  # a pod that has just come or gone has none, and one that cannot start is another check's
        return ""


QUESTIONS: Final = (
    Question(
        {"B6": "Pod Security Standard restricted is enforced; clients hold no keys of the storage"},
        _restricted,
    ),
    Question({"B6.secrets": "No secret in ConfigMaps, Helm's values, pod specs or logs"}, _no_leak),
)
