"""Reads from the API server what belongs to a release, and what its pods have to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

Object = dict[str, Any]
HOOKS = ("post-install", "post-upgrade")
LAST_EVENTS, LAST_LINES = 5, 12


class Api(Protocol):
    """The API server, as `kubernetes_api` gives it."""

    def send(self, method: str, path: str) -> bytes:
        """Sends a request and returns the answer."""

    def items(self, path: str) -> list[Object]:
        """Returns what a list holds."""


@dataclass
class Release:
    """What belongs to a release.

    Attributes:
        workloads: Deployments and StatefulSets that Helm made.
        jobs: Jobs of its hooks that run after an installation or upgrade.
        pods: of both.
        revision: of the release, such as `3 deployed`; empty when there is no release.
    """

    workloads: list[Object]
    jobs: list[Object]
    pods: list[Object]
    revision: str


def read_release(api: Api, namespace: str, name: str) -> Release:
    """Reads a release; Helm's own annotations say what belongs to it, so no chart has to carry a label."""
    apps, batch, core = (f"/apis/apps/v1/namespaces/{namespace}", f"/apis/batch/v1/namespaces/{namespace}",
                         f"/api/v1/namespaces/{namespace}")  # fmt: skip
    workloads = [
        item
        for kind in ("Deployment", "StatefulSet")
        for item in _list(api, f"{apps}/{kind.lower()}s", kind)
        if _annotations(item).get("meta.helm.sh/release-name") == name
    ]
    jobs = [
        item
        for item in _list(api, f"{batch}/jobs", "Job")
        if item["metadata"].get("labels", {}).get("app.kubernetes.io/instance") == name
        and any(hook in _annotations(item).get("helm.sh/hook", "") for hook in HOOKS)
    ]
    selectors = [item["spec"]["selector"]["matchLabels"].items() for item in [*workloads, *jobs]]
    pods = [
        pod
        for pod in _list(api, f"{core}/pods", "Pod")
        if any(labels <= pod["metadata"].get("labels", {}).items() for labels in selectors)
    ]
    query = urlencode({"labelSelector": f"owner=helm,name={name}"})
    records = [item["metadata"]["labels"] for item in api.items(f"{core}/secrets?{query}")]
    last = max(records, key=lambda labels: int(labels["version"]), default=None)
    revision = f"{last['version']} {last['status']}" if last else ""
    return Release(workloads, jobs, pods, revision)


def last_events(api: Api, namespace: str, name: str) -> list[str]:
    """Returns what was last said about an object, oldest first, each once."""
    query = urlencode({"fieldSelector": f"involvedObject.name={name}"})
    events = _list(api, f"/api/v1/namespaces/{namespace}/events?{query}", "Event")
    events.sort(key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    texts = [f"{event.get('reason', '')}: {event.get('message', '').strip()}" for event in events]
    return list(dict.fromkeys(reversed(texts)))[:LAST_EVENTS][::-1]


def last_lines(api: Api, namespace: str, pod: str, container: str, *, previous: bool) -> list[str]:
    """Returns the end of a container's log: of the run before the present one when it has been restarted."""
    query = urlencode({"container": container, "tailLines": LAST_LINES, "previous": str(previous).lower()})
    log = api.send("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log?{query}")
    text = log.decode(errors="replace")
    return [line for line in text.splitlines() if line.strip()]


def _list(api: Api, path: str, kind: str) -> list[Object]:
    return [{**item, "kind": kind} for item in api.items(path)]  # a list's items come without their kind


def _annotations(item: Object) -> dict[str, str]:
    return item["metadata"].get("annotations") or {}
