"""What belongs to a release is found by Helm's own marks and by selectors, whatever labels a chart uses."""

from __future__ import annotations

from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from .conftest import load


class Api:
    """Serves lists by the last part of their path."""

    def __init__(self, **lists: list[dict[str, Any]]) -> None:
        self.lists, self.asked = lists, [""]

    def items(self, path: str) -> list[dict[str, Any]]:
        return self.lists.get(urlsplit(path).path.rpartition("/")[2], [])

    def send(self, method: str, path: str) -> bytes:
        assert method == "GET"
        self.asked.append(path)
        return b"first\n\nlast\n"


def made_by(release: str, name: str, **match: str) -> dict[str, Any]:
    annotations = {"meta.helm.sh/release-name": release}
    return {
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"selector": {"matchLabels": match}},
    }


def labelled(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}}


def hook(name: str, when: str, instance: str = "infra") -> dict[str, Any]:
    metadata = {
        "name": name,
        "annotations": {"helm.sh/hook": when},
        "labels": {"app.kubernetes.io/instance": instance},
    }
    return {"metadata": metadata, "spec": {"selector": {"matchLabels": {"job": name}}}}


@pytest.fixture(scope="module")
def reader() -> ModuleType:
    return load("roles/helm_release/module_utils/release_reader.py")


def test_what_belongs_to_a_release(reader: ModuleType) -> None:
    api = Api(
        deployments=[made_by("infra", "minio", app="minio"), made_by("other", "shop", app="shop")],
        statefulsets=[made_by("infra", "pg", role="db")],
        jobs=[
            hook("boot", "post-install,post-upgrade"),
            hook("before", "pre-upgrade"),
            hook("theirs", "post-install", "other"),
        ],
        pods=[
            labelled("minio-1", app="minio", hash="x"),
            labelled("shop-1", app="shop"),
            labelled("pg-0", role="db"),
            labelled("boot-1", job="boot"),
            labelled("loose"),
        ],
        secrets=[
            labelled("a", version="2", status="superseded"),
            labelled("b", version="10", status="deployed"),
        ],
    )
    release = reader.read_release(api, "floe", "infra")
    assert [(w["kind"], w["metadata"]["name"]) for w in release.workloads] == [
        ("Deployment", "minio"),
        ("StatefulSet", "pg"),
    ]
    assert [job["metadata"]["name"] for job in release.jobs] == ["boot"]
    assert [pod["metadata"]["name"] for pod in release.pods] == ["minio-1", "pg-0", "boot-1"]
    assert release.revision == "10 deployed"


def test_no_release(reader: ModuleType) -> None:
    release = reader.read_release(Api(), "floe", "infra")
    assert (release.workloads, release.jobs, release.pods, release.revision) == ([], [], [], "")


def test_the_last_events_each_once(reader: ModuleType) -> None:
    events = [
        {"metadata": {}, "reason": f"R{n % 7}", "message": "m", "lastTimestamp": f"2026-11-26T12:00:{n:02}Z"}
        for n in range(9)
    ]
    found = reader.last_events(Api(events=events[::-1]), "floe", "minio-1")
    assert found == ["R4: m", "R5: m", "R6: m", "R0: m", "R1: m"]


def test_the_log_of_the_run_before(reader: ModuleType) -> None:
    api = Api()
    assert reader.last_lines(api, "floe", "minio-1", "minio", previous=True) == ["first", "last"]
    asked = parse_qs(urlsplit(api.asked[-1]).query)
    assert asked == {"container": ["minio"], "tailLines": ["12"], "previous": ["true"]}


def test_a_row_for_each_part(release_state: ModuleType) -> None:
    ready = {
        "observedGeneration": 1,
        "replicas": 1,
        "updatedReplicas": 1,
        "readyReplicas": 1,
        "availableReplicas": 1,
    }
    minio = made_by("infra", "minio", app="minio") | {"kind": "Deployment", "status": ready}
    boot = hook("boot", "post-install") | {"kind": "Job", "status": {}}
    pod = labelled("minio-1", app="minio") | {"kind": "Pod"}
    pod["metadata"]["creationTimestamp"] = "2026-11-26T12:00:00Z"
    pod["status"] = {
        "containerStatuses": [{"name": "minio", "restartCount": 2, "state": {"running": {}}}],
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-26T12:01:05Z"}],
    }
    state = release_state.judge([minio], [boot], [pod], release_state.utc_now())
    assert release_state.parts_of([minio], [boot], [pod], state) == [
        {
            "part": "minio",
            "kind": "Deployment",
            "pods": "1/1",
            "seconds": 65,
            "restarts": 2,
            "state": "ready",
        },
        {
            "part": "boot",
            "kind": "Job",
            "pods": "0/1",
            "seconds": "",
            "restarts": 0,
            "state": "waits for its success",
        },
    ]
