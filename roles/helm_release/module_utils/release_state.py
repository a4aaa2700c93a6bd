"""Judges what a release made: ready, on its way, or in a state that it will not leave by itself.

Works on objects as the API server returns them; knows no client, so that it can be tested without a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]

# Reasons of a waiting container that no amount of waiting changes -> heading in docs/troubleshooting.md.
HOPELESS_WAITING = {
    "ErrImagePull": "an-image-cannot-be-pulled",
    "ImagePullBackOff": "an-image-cannot-be-pulled",
    "ErrImageNeverPull": "an-image-cannot-be-pulled",
    "InvalidImageName": "an-image-cannot-be-pulled",
    "CreateContainerConfigError": "a-secret-or-configmap-is-missing",
    "CreateContainerError": "a-container-cannot-be-created",
    "RunContainerError": "a-container-cannot-be-created",
}
# What may still heal when a pod makes room or a patch arrives, but not for long.
GRACE_SECONDS = 45
OOM_RESTARTS = 3
REMEDY_UNSCHEDULABLE = "a-pod-stays-pending"
REMEDY_REFUSED = "pods-are-refused-by-the-namespace"
REMEDY_CRASH = "a-container-keeps-crashing"
REMEDY_MEMORY = "oomkilled"
REMEDY_JOB = "the-bootstrap-job-failed"
REMEDY_SLOW = "it-takes-longer-than-the-deadline"


@dataclass(frozen=True)
class Trouble:
    """Something that is not as it should be.

    Attributes:
        name: Kind and name of the object, such as `Pod/minio-0`.
        what: What is wrong with it, in a sentence.
        remedy: Heading in docs/troubleshooting.md.
    """

    name: str
    what: str
    remedy: str


@dataclass
class State:
    """What was seen of a release at one moment.

    Attributes:
        ready: Names of the workloads and Jobs that are where they should be.
        waiting: Name -> what it waits for.
        hopeless: What will not heal by itself.
        stuck: Pods of an older revision that will never be ready: a StatefulSet does not replace them before.
    """

    ready: list[str] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)
    hopeless: list[Trouble] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)

    @property
    def is_ready(self) -> bool:
        """Whether everything is there and works."""
        return bool(self.ready) and not self.waiting and not self.hopeless

    @property
    def remedy(self) -> str:
        """What to read of the whole when it is waited for and nothing is hopeless; else empty."""
        return REMEDY_SLOW if self.waiting and not self.hopeless else ""


def judge(
    workloads: Iterable[Object],
    jobs: Iterable[Object],
    pods: Iterable[Object],
    now: datetime,
    *,
    helm_runs: bool = False,
) -> State:
    """Judge a release by its Deployments and StatefulSets, its Jobs and its pods.

    While Helm runs, a failed Job is one that Helm is about to replace, or whose failure Helm itself reports.
    """
    state = State()
    revisions = set()
    for item in workloads:
        revisions.add(item.get("status", {}).get("updateRevision"))
        missing = _workload_waits_for(item)
        refused = _refusal(item, now)
        if refused:
            state.hopeless.append(Trouble(_name(item), refused, REMEDY_REFUSED))
        elif missing:
            state.waiting[_name(item)] = missing
        else:
            state.ready.append(_name(item))
    for job in jobs:
        _judge_job(job, state, helm_runs)
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp"):
            continue
        troubles = pod_troubles(pod, now)
        revision = pod["metadata"].get("labels", {}).get("controller-revision-hash")
        if troubles and revision and revision not in revisions:
            state.stuck.append(pod["metadata"]["name"])
        else:
            state.hopeless += troubles
    return state


def _judge_job(job: Object, state: State, helm_runs: bool) -> None:
    conditions = _conditions(job)
    if "Complete" in conditions:
        state.ready.append(_name(job))
    elif "Failed" in conditions and not helm_runs:
        why = conditions["Failed"].get("message") or conditions["Failed"].get("reason", "failed")
        state.hopeless.append(Trouble(_name(job), why, REMEDY_JOB))
    else:
        failed = job.get("status", {}).get("failed", 0)
        state.waiting[_name(job)] = f"its success{f' ({failed} failed so far)' if failed else ''}"


def _workload_waits_for(item: Object) -> str:
    """Returns what a Deployment or StatefulSet waits for, empty when its rollout is through."""
    status, wanted = item.get("status", {}), item["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < item["metadata"].get("generation", 1):
        return "its controller to see it"
    if status.get("updatedReplicas", 0) < wanted:
        return f"{wanted - status.get('updatedReplicas', 0)} of {wanted} pods to be made"
    if status.get("replicas", 0) > wanted:
        return "old pods to end"
    ready = status.get("readyReplicas", 0)
    if item["kind"] == "Deployment":
        ready = min(ready, status.get("availableReplicas", 0))
    return f"{wanted - ready} of {wanted} pods to be ready" if ready < wanted else ""


def _refusal(item: Object, now: datetime) -> str:
    """Returns why pods of a Deployment cannot even be made, once it has been so for a while."""
    failure = _conditions(item).get("ReplicaFailure")
    if failure and _age(failure.get("lastTransitionTime"), now) >= GRACE_SECONDS:
        return str(failure.get("message") or failure.get("reason"))
    return ""


def pod_troubles(pod: Object, now: datetime) -> list[Trouble]:
    """What in a pod will not heal by waiting."""
    found = []
    for container in container_statuses(pod):
        waiting = container.get("state", {}).get("waiting") or {}
        remedy = HOPELESS_WAITING.get(waiting.get("reason", ""))
        if remedy:
            what = f"container {container['name']}: {waiting['reason']}: {waiting.get('message', '')}".rstrip(
                ": "
            )
            found.append(Trouble(_name(pod), what, remedy))
        elif _keeps_being_killed(container):
            times = container["restartCount"]
            what = f"container {container['name']}: OOMKilled, restarted {times} times: its limit is too low"
            found.append(Trouble(_name(pod), what, REMEDY_MEMORY))
    scheduled = _conditions(pod, status="False").get("PodScheduled")
    if scheduled and _age(scheduled.get("lastTransitionTime"), now) >= GRACE_SECONDS:
        found.append(
            Trouble(_name(pod), f"no node has room: {scheduled.get('message', '')}", REMEDY_UNSCHEDULABLE)
        )
    return found


def _keeps_being_killed(container: Object) -> bool:
    """Whether a container hits its memory limit at every start; once or twice may be a busy moment."""
    last = container.get("lastState", {}).get("terminated") or {}
    return last.get("reason") == "OOMKilled" and container.get("restartCount", 0) >= OOM_RESTARTS


def parts_of(
    workloads: Iterable[Object], jobs: Iterable[Object], pods: Iterable[Object], state: State
) -> list[Object]:
    """Returns a row for each workload and Job: pods that are ready, seconds they took, restarts, state."""
    rows, pods = [], list(pods)
    for item in [*workloads, *jobs]:
        labels = item["spec"]["selector"]["matchLabels"].items()
        own = [pod for pod in pods if labels <= pod["metadata"].get("labels", {}).items()]
        name, status = _name(item), item.get("status", {})
        if item["kind"] == "Job":
            ready = f"{status.get('succeeded', 0)}/1"
        else:
            ready = f"{status.get('readyReplicas', 0)}/{item['spec'].get('replicas', 1)}"
        wrong = next((t.what for t in state.hopeless if t.name in {name, *map(_name, own)}), None)
        waits = state.waiting.get(name)
        rows.append(
            {
                "part": item["metadata"]["name"],
                "kind": item["kind"],
                "pods": ready,
                "seconds": max((s for pod in own if (s := _seconds_to_ready(pod)) is not None), default=""),
                "restarts": sum(c.get("restartCount", 0) for pod in own for c in container_statuses(pod)),
                "state": wrong or (f"waits for {waits}" if waits else "ready"),
            }
        )
    return rows


def _seconds_to_ready(pod: Object) -> int | None:
    """Seconds from the making of a pod until it was ready; None while it is not."""
    ready = _conditions(pod).get("Ready")
    if not ready:
        return None
    return round(_age(pod["metadata"].get("creationTimestamp"), _moment(ready["lastTransitionTime"])))


def would_change(patch: Object, workloads: Iterable[Object]) -> bool:
    """Whether a strategic merge patch is of one of the workloads and would change it."""
    named = (patch["kind"], patch["metadata"]["name"])
    wanted = {key: part for key, part in patch.items() if key not in {"apiVersion", "kind"}}
    return any((w["kind"], w["metadata"]["name"]) == named and not holds(wanted, w) for w in workloads)


def holds(wanted: object, found: object) -> bool:
    """Whether a strategic merge patch would change nothing.

    Items of lists go by their names, and what is absent is as good as zero, which Kubernetes does not write.
    """
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(holds(value, found.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list) and all(isinstance(item, dict) and "name" in item for item in wanted):
        named = {item.get("name"): item for item in found} if isinstance(found, list) else {}
        return all(holds(item, named.get(item["name"])) for item in wanted)
    return wanted == found or (not wanted and found is None)


def container_statuses(pod: Object) -> list[Object]:
    """Statuses of a pod's containers, in the order in which they start."""
    status = pod.get("status", {})
    found: list[Object] = [
        *(status.get("initContainerStatuses") or []),
        *(status.get("containerStatuses") or []),
    ]
    return found


def describe_pod(pod: Object) -> tuple[str, str]:
    """Returns a pod's state in a line, and what to read in docs/troubleshooting.md ('' when it is well)."""
    phase = pod.get("status", {}).get("phase", "Unknown")
    parts, remedy = [], ""
    for container in container_statuses(pod):
        kind, detail = next(iter(container.get("state", {}).items()), ("unknown", {}))
        last = container.get("lastState", {}).get("terminated") or {}
        reason = (detail or {}).get("reason", "")
        text = f"{container['name']} {kind}" + (f" ({reason})" if reason else "")
        if container.get("restartCount"):
            text += f", {container['restartCount']} restarts, last ended with {last.get('exitCode', '?')}"
            text += f" ({last['reason']})" if last.get("reason") else ""
        if kind == "running" and not container.get("ready"):
            text += ", not ready"
        parts.append(text)
        if "OOMKilled" in (reason, last.get("reason")):
            remedy = REMEDY_MEMORY
        elif reason in HOPELESS_WAITING:
            remedy = HOPELESS_WAITING[reason]
        elif container.get("restartCount") or (kind == "terminated" and reason != "Completed"):
            remedy = remedy or REMEDY_CRASH
    if phase == "Pending" and not parts:
        remedy = REMEDY_UNSCHEDULABLE
    return f"{phase}: {'; '.join(parts) or 'no container yet'}", remedy


def is_well(pod: Object) -> bool:
    """Whether a pod has ended well or is Ready."""
    return pod.get("status", {}).get("phase") == "Succeeded" or "Ready" in _conditions(pod)


def _conditions(item: Object, status: str = "True") -> dict[str, Object]:
    return {c["type"]: c for c in item.get("status", {}).get("conditions") or [] if c.get("status") == status}


def _name(item: Object) -> str:
    return f"{item['kind']}/{item['metadata']['name']}"


def _age(moment: str | None, now: datetime) -> float:
    return (now - _moment(moment)).total_seconds() if moment else 0.0


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def utc_now() -> datetime:
    """The present, as the API server writes it."""
    return datetime.now(UTC)
