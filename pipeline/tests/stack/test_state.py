"""What is seen of a cluster, through kubectl as it is."""

from __future__ import annotations

from typing import Any

import pytest

from floe_stack.connection import Connection
from floe_stack.releases import Release
from floe_stack.stack import open_stack
from floe_stack.state import State, look

from .conftest import Cluster

FULL = "Pod ephemeral local storage usage exceeds the total limit of containers 5Gi. "


def container(name: str, *, ready: bool = False, **state: object) -> dict[str, Any]:
    return {"name": name, "ready": ready, "restartCount": 0, "state": state or {"running": {}}}


def a_pod(name: str, *statuses: dict[str, Any], **status: object) -> dict[str, Any]:
    spec = {"containers": [{"name": each["name"]} for each in statuses] or [{"name": "main"}]}
    known = {"phase": "Running", "containerStatuses": list(statuses)}
    return {"metadata": {"name": name}, "spec": spec, "status": known | status}


@pytest.fixture
def cluster(cluster: Cluster) -> Cluster:
    """A namespace with nothing in it."""
    for kind in ("secrets", "jobs", "pods", "nodes"):
        cluster.has(kind)
    return cluster


def seen(connection: Connection) -> State:
    with open_stack(connection) as stack:
        return look(stack)


def test_the_newest_revision_of_each_release_counts(cluster: Cluster, connection: Connection) -> None:
    revisions = [("floe-cube", 9, "superseded"), ("floe-cube", 10, "failed"), ("floe-dagster", 1, "deployed")]
    labels = [{"name": name, "version": str(number), "status": status} for name, number, status in revisions]
    cluster.has("secrets", *({"metadata": {"labels": each}} for each in labels))
    assert seen(connection).releases == {
        "floe-cube": Release(10, "failed"),
        "floe-dagster": Release(1, "deployed"),
    }


def test_a_failed_job_of_the_deploy_is_told_with_its_last_words(
    cluster: Cluster, connection: Connection
) -> None:
    failed = {"conditions": [{"type": "Failed", "status": "True"}]}
    hook = {"name": "floe-bootstrap", "annotations": {"helm.sh/hook": "post-install"}}
    cluster.has(
        "jobs",
        {"metadata": hook, "status": failed},
        {"metadata": {**hook, "name": "well"}, "status": {}},
        {"metadata": {"name": "dagster-run"}, "status": failed},  # which Dagster tells of
    )
    cluster.logs("job-floe-bootstrap", "connecting", "polaris refused root (401): check the Secret")
    assert seen(connection).failed_hooks == {"floe-bootstrap": "polaris refused root (401): check the Secret"}


def test_a_crash_is_told_with_the_last_words_of_the_container(
    cluster: Cluster, connection: Connection
) -> None:
    crashing = container("code", waiting={"reason": "CrashLoopBackOff", "message": "back-off 5m0s"})
    cluster.has("pods", a_pod("dagster-code-6c5f7d-abcde", container("other", ready=True), crashing))
    cluster.logs("dagster-code-6c5f7d-abcde", "starting", "ImportError: no module named floe")
    (pod,) = seen(connection).pods
    assert (pod.part, pod.state, pod.why, pod.ready) == (
        "dagster-code", "CrashLoopBackOff", "ImportError: no module named floe", False,
    )  # fmt: skip


def test_why_a_pod_waits_is_what_kubernetes_says(cluster: Cluster, connection: Connection) -> None:
    pulled = container("cube", waiting={"reason": "ErrImagePull", "message": "not found"})
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "1 Insufficient memory."}
    cluster.has(
        "pods",
        a_pod("cube-6c5f7d-abcde", pulled),
        a_pod("jaeger-6c5f7d-abcde", phase="Pending", conditions=[unscheduled]),
    )
    assert [(pod.part, pod.state, pod.why) for pod in seen(connection).pods] == [
        ("cube", "ErrImagePull", "not found"),
        ("jaeger", "Pending", "1 Insufficient memory."),
    ]


def test_an_evicted_pod_is_not_one_of_those_that_stay(cluster: Cluster, connection: Connection) -> None:
    cluster.has(
        "pods",
        a_pod("minio-6c5f7d-aaaaa", phase="Failed", reason="Evicted", message=FULL),
        a_pod("minio-6c5f7d-bbbbb", container("minio", ready=True)),
    )
    state = seen(connection)
    assert [(pod.name, pod.why) for pod in state.evicted] == [("minio-6c5f7d-aaaaa", FULL.strip())]
    assert [pod.name for pod in state.pods] == ["minio-6c5f7d-bbbbb"]


def test_parts_without_a_ready_pod_are_not_waited_for(cluster: Cluster, connection: Connection) -> None:
    cluster.has("pods", a_pod("minio-6c5f7d-bbbbb", container("minio", ready=True)))
    assert seen(connection).problems == {
        "Dagster": "no pod of dagster-webserver is ready",
        "Cube": "no pod of cube is ready",
        "the lake": "no pod of polaris is ready",
        "Jaeger": "no pod of jaeger is ready",
        "Marquez": "no pod of marquez and marquez-web is ready",
    }
    assert cluster.pids() == []


def test_one_that_does_not_answer_hides_no_other(cluster: Cluster, connection: Connection) -> None:
    cluster.has("pods", *(a_pod(f"{name}-0", container(name, ready=True)) for name in ("jaeger", "cube")))
    (cluster.folder / "jobs.json").unlink()
    cluster.run_pod("jaeger")
    problems = seen(connection).problems
    assert "Jaeger" not in problems
    assert "jobs not found" in problems["the deploy's Jobs"]
    assert 'services "cube" not found' in problems["Cube"]
