"""What Helm keeps of each release in the namespace: revisions, their state, their chart."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass, field
from typing import Any, Final

from floe_stack.kubectl import Kubectl, Object, secret_values

KEPT_BY_HELM: Final = "--selector=owner=helm"
DEPLOYED: Final = "deployed"


@dataclass(frozen=True)
class Release:
    """A revision of a release, and Helm's word for it: deployed, superseded, failed, pending-upgrade ..."""

    revision: int
    status: str
    secret: Object = field(default_factory=dict, compare=False, repr=False)

    def dependencies(self) -> dict[str, str]:
        """Charts that its chart depends on, each with the version that it asks for."""
        chart: dict[str, Any] = json.loads(unpacked(self.secret))["chart"]["metadata"]
        return {each["name"]: each["version"] for each in chart.get("dependencies") or ()}


def unpacked(secret: Object) -> str:
    """All that Helm knows of a revision, as JSON: chart, values, manifest."""
    packed = base64.b64decode(secret_values(secret)["release"])
    return gzip.decompress(packed).decode(errors="replace")


def revisions(kubectl: Kubectl) -> list[tuple[str, Release]]:
    """Every revision that Helm keeps, with the name of its release, the oldest first."""
    kept = [(secret["metadata"]["labels"], secret) for secret in kubectl.items("secrets", KEPT_BY_HELM)]
    found = [(of["name"], Release(int(of["version"]), of["status"], secret)) for of, secret in kept]
    return sorted(found, key=lambda each: each[1].revision)


def newest(kubectl: Kubectl) -> dict[str, Release]:
    """The newest revision of each release."""
    return dict(revisions(kubectl))
