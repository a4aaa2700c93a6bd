"""When a release is ready, when it is on its way, and when it will never be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def ago(seconds: int) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def deployment(**status: Any) -> dict[str, Any]:
    whole = {
        "observedGeneration": 2,
        "replicas": 1,
        "updatedReplicas": 1,
        "readyReplicas": 1,
        "availableReplicas": 1,
    }
    return {
        "kind": "Deployment",
        "metadata": {"name": "polaris", "generation": 2},
        "spec": {"replicas": 1},
        "status": whole | status,
    }


def pod(*containers: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {"name": "polaris-1", **metadata},
        "status": {"phase": "Pending", "containerStatuses": list(containers)},
    }


def waiting(reason: str, **more: Any) -> dict[str, Any]:
    return {"name": "polaris", "state": {"waiting": {"reason": reason, "message": "said so"}}, **more}


def job(*, failed: int = 0, **conditions: str) -> dict[str, Any]:
    listed = [{"type": kind, "status": "True", "message": text} for kind, text in conditions.items()]
    return {
        "kind": "Job",
        "metadata": {"name": "boot"},
        "spec": {},
        "status": {"failed": failed, "conditions": listed},
    }


def test_ready(release_state: ModuleType) -> None:
    state = release_state.judge([deployment()], [job(Complete="")], [], NOW)
    assert state.is_ready
    assert state.ready == ["Deployment/polaris", "Job/boot"]


def test_what_only_needs_time_says_what_to_read(release_state: ModuleType) -> None:
    late = deployment(readyReplicas=0)
    assert release_state.judge([late], [], [], NOW).remedy == "it-takes-longer-than-the-deadline"
    assert release_state.judge([late], [], [pod(waiting("ErrImagePull"))], NOW).remedy == ""
    assert release_state.judge([deployment()], [], [], NOW).remedy == ""


def test_nothing_there_is_not_ready(release_state: ModuleType) -> None:
    assert not release_state.judge([], [], [], NOW).is_ready


@pytest.mark.parametrize(
    ("status", "waits_for"),
    [
        ({"observedGeneration": 1}, "its controller to see it"),
        ({"updatedReplicas": 0}, "1 of 1 pods to be made"),
        ({"replicas": 2}, "old pods to end"),
        ({"readyReplicas": 0}, "1 of 1 pods to be ready"),
        ({"availableReplicas": 0}, "1 of 1 pods to be ready"),
    ],
)
def test_on_its_way(release_state: ModuleType, status: dict[str, int], waits_for: str) -> None:
    state = release_state.judge([deployment(**status)], [], [], NOW)
    assert state.waiting == {"Deployment/polaris": waits_for}
    assert not state.hopeless


@pytest.mark.parametrize(
    "reason",
    [
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "CreateContainerConfigError",
    ],
)
def test_a_pod_that_will_never_start(release_state: ModuleType, reason: str) -> None:
    (trouble,) = release_state.judge([deployment(readyReplicas=0)], [], [pod(waiting(reason))], NOW).hopeless
    assert trouble.name == "Pod/polaris-1"
    assert reason in trouble.what
    assert "said so" in trouble.what


@pytest.mark.parametrize(("restarts", "hopeless"), [(2, False), (3, True)])
def test_a_container_that_is_killed_for_memory_each_time(
    release_state: ModuleType, restarts: int, hopeless: bool
) -> None:
    killed = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    crashing = waiting("CrashLoopBackOff", restartCount=restarts, lastState=killed)
    troubles = release_state.judge([deployment(readyReplicas=0)], [], [pod(crashing)], NOW).hopeless
    assert [trouble.remedy for trouble in troubles] == (["oomkilled"] if hopeless else [])
    assert not hopeless or "OOMKilled, restarted 3 times: its limit is too low" in troubles[0].what


def test_a_pod_that_crashes_is_given_time(release_state: ModuleType) -> None:
    assert not release_state.judge(
        [deployment(readyReplicas=0)], [], [pod(waiting("CrashLoopBackOff"))], NOW
    ).hopeless


def test_a_pod_that_is_going_does_not_count(release_state: ModuleType) -> None:
    going = pod(waiting("ErrImagePull"), deletionTimestamp=ago(1))
    assert not release_state.judge([deployment()], [], [going], NOW).hopeless


@pytest.mark.parametrize(("revision", "stuck"), [("pg-old", ["polaris-1"]), ("pg-new", [])])
def test_a_pod_that_holds_up_its_own_replacement(
    release_state: ModuleType, revision: str, stuck: list[str]
) -> None:
    item = deployment(updatedReplicas=0, updateRevision="pg-new") | {"kind": "StatefulSet"}
    broken = pod(waiting("ImagePullBackOff"), labels={"controller-revision-hash": revision})
    state = release_state.judge([item], [], [broken], NOW)
    assert state.stuck == stuck
    assert bool(state.hopeless) != bool(stuck)


@pytest.mark.parametrize(("seconds", "hopeless"), [(10, False), (60, True)])
def test_a_pod_without_a_node(release_state: ModuleType, seconds: int, hopeless: bool) -> None:
    item = pod()
    item["status"]["conditions"] = [
        {
            "type": "PodScheduled",
            "status": "False",
            "message": "Insufficient memory",
            "lastTransitionTime": ago(seconds),
        }
    ]
    found = release_state.judge([deployment(readyReplicas=0)], [], [item], NOW).hopeless
    assert bool(found) == hopeless
    assert all("Insufficient memory" in trouble.what for trouble in found)


@pytest.mark.parametrize(("seconds", "hopeless"), [(10, False), (60, True)])
def test_pods_that_are_refused(release_state: ModuleType, seconds: int, hopeless: bool) -> None:
    failure = {
        "type": "ReplicaFailure",
        "status": "True",
        "message": "violates PodSecurity",
        "lastTransitionTime": ago(seconds),
    }
    state = release_state.judge([deployment(updatedReplicas=0, conditions=[failure])], [], [], NOW)
    assert bool(state.hopeless) == hopeless


def test_a_failed_job_counts_once_helm_has_ended(release_state: ModuleType) -> None:
    failed = job(failed=4, Failed="reached the specified backoff limit")
    assert not release_state.judge([], [failed], [], NOW, helm_runs=True).hopeless
    (trouble,) = release_state.judge([], [failed], [], NOW).hopeless
    assert trouble.what == "reached the specified backoff limit"


def test_a_job_says_how_often_it_failed(release_state: ModuleType) -> None:
    assert release_state.judge([], [job(failed=2)], [], NOW).waiting == {
        "Job/boot": "its success (2 failed so far)"
    }


def test_description_names_the_reason_of_the_last_end(release_state: ModuleType) -> None:
    killed = waiting(
        "CrashLoopBackOff", restartCount=3, lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    )
    text, remedy = release_state.describe_pod(pod(killed))
    assert "3 restarts, last ended with 137 (OOMKilled)" in text
    assert remedy == "oomkilled"


@pytest.mark.parametrize(
    ("found", "held"),
    [
        ([{"name": "a", "image": "i", "probe": {"period": 3, "path": "/"}}, {"name": "b"}], True),
        ([{"name": "a", "image": "i", "probe": {"period": 10}}], False),
        ([{"name": "a", "image": "i", "probe": {"period": 3, "delay": 1}}], False),
        ([{"name": "b", "probe": {"period": 3}}], False),
        (None, False),
    ],
)
def test_a_patch_that_holds_already(release_state: ModuleType, found: Any, held: bool) -> None:
    wanted = {"spec": {"containers": [{"name": "a", "probe": {"period": 3, "delay": 0}}]}}
    assert release_state.holds(wanted, {"spec": {"containers": found, "more": 1}}) == held


def test_a_patch_is_of_the_workload_that_it_names(release_state: ModuleType) -> None:
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "polaris"},
        "spec": {"replicas": 2},
    }
    assert release_state.would_change(patch, [deployment()])
    assert not release_state.would_change(patch, [deployment() | {"spec": {"replicas": 2}}])
    assert not release_state.would_change(patch, [deployment() | {"kind": "StatefulSet"}])
    assert not release_state.would_change(patch, [])
