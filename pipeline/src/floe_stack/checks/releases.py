"""FR-001 to FR-003: the releases, what came with each, and the official charts below them."""

from __future__ import annotations

import re
from typing import Final

from floe_stack import releases
from floe_stack.checks.finding import Finding, Question, judged
from floe_stack.releases import DEPLOYED
from floe_stack.stack import Stack

INFRASTRUCTURE: Final = "floe-infrastructure"
RELEASES: Final = (INFRASTRUCTURE, "floe-dagster", "floe-cube")
OF_INFRASTRUCTURE: Final = ("postgresql", "minio", "polaris", "jaeger", "marquez")
OFFICIAL: Final = ("postgresql", "minio", "jaeger")
RELEASE_NAME: Final = "meta.helm.sh/release-name"
EXACT: Final = re.compile(r"\d+\.\d+\.\d+")


def _deployed(stack: Stack) -> list[Finding]:
    kept = releases.revisions(stack.kubectl)
    found = {name: release.revision for name, release in kept if release.status == DEPLOYED}
    wrong = [f"release {name} is not deployed" for name in RELEASES if name not in found]
    seen = ", ".join(f"{name} revision {found[name]}" for name in RELEASES if name in found)
    return [judged(wrong, seen, revisions=found)]


def _of_infrastructure(stack: Stack) -> list[Finding]:
    owners = {
        item["metadata"]["name"]: item["metadata"].get("annotations", {}).get(RELEASE_NAME)
        for item in stack.kubectl.items("deployments,statefulsets")
    }
    wrong = [
        f"{part} is {f'of release {owners[part]}' if part in owners else 'not there'}"
        for part in OF_INFRASTRUCTURE
        if owners.get(part) != INFRASTRUCTURE
    ]
    return [judged(wrong, f"{', '.join(OF_INFRASTRUCTURE)} came with {INFRASTRUCTURE}", owners=owners)]


def _official(stack: Stack) -> list[Finding]:
    release = releases.newest(stack.kubectl).get(INFRASTRUCTURE)
    charts = release.dependencies() if release else {}
    wrong = [f"the chart {name} is no dependency" for name in OFFICIAL if name not in charts]
    wrong += [
        f"the chart {name} is asked for as {version}, which is no version"
        for name, version in charts.items()
        if not EXACT.fullmatch(version)
    ]
    seen = ", ".join(f"{name} {version}" for name, version in charts.items())
    return [judged(wrong, f"{seen} as dependencies", charts=charts)]


QUESTIONS: Final = (
    Question({"FR-001": "The releases of all three charts are deployed"}, _deployed),
    Question(
        {"FR-002": "PostgreSQL, MinIO, Polaris, Jaeger and Marquez are of the infrastructure's release"},
        _of_infrastructure,
    ),
    Question({"FR-003": "Their own charts are dependencies in one version each"}, _official),
)
