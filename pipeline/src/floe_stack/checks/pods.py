"""US1, FR-004, FR-017, B4: the pods, how they came up, how they are watched, and what they use."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from floe_stack.checks.finding import Finding, Question, judged, within
from floe_stack.errors import StackError
from floe_stack.kubectl import Object
from floe_stack.stack import Stack

PARTS: Final = (
    "postgresql", "minio", "polaris", "jaeger", "marquez", "marquez-web",
    "dagster-webserver", "dagster-daemon", "dagster-code", "cube",
)  # fmt: skip
OPTIONAL_PARTS: Final = ("cubestore",)  # cube keeps its cache itself where it is off
RUNNING_PROMISE, RUNNING_OURS = 300, 90
DETECT_PROMISE, DETECT_OURS = 30, 15
MIB: Final = 2**20
SUM_MIB: Final = 3 * 1024
UNITS: Final = {
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
}  # fmt: skip


def bytes_of(quantity: str) -> int:
    """A Kubernetes quantity of memory in bytes.

    Raises:
        ValueError: It is none.
    """
    for unit, factor in UNITS.items():
        if quantity.endswith(unit):
            return int(float(quantity.removesuffix(unit)) * factor)
    return int(quantity)


def services(stack: Stack) -> list[Object]:
    """The pods that are to stay: those of Jobs, which end, are left out.

    A pod that its node evicted says so, unless its program ended well: then it is "Succeeded", and only an
    event knows why. Here it says so, too.
    """
    pods = [pod for pod in stack.kubectl.items("pods") if not _is_of_job(pod)]
    for pod in pods:
        if pod["status"]["phase"] == "Succeeded" and "deletionTimestamp" not in pod["metadata"]:
            pod["status"] |= {"reason": "Evicted", "message": _why_evicted(stack, pod["metadata"]["name"])}
    return pods


def _why_evicted(stack: Stack, name: str) -> str:
    events = stack.kubectl.items("events", f"--field-selector=involvedObject.name={name},reason=Evicted")
    return next((event["message"] for event in events), "its node ended it")  # events are kept for an hour


def _is_of_job(pod: Object) -> bool:
    return any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", []))


def _statuses(pod: Object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pod["status"].get("containerStatuses", [])
    return found


def _running_seconds(pod: Object) -> float | None:
    """From a pod's creation until all its containers ran; None when one does not.

    Not until it was ready: a pod that was busy once and failed a probe became ready only after that.
    """
    starts = [status["state"].get("running", {}).get("startedAt") for status in _statuses(pod)]
    if not starts or not all(starts):
        return None
    created = datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    return max((datetime.fromisoformat(start) - created).total_seconds() for start in starts)


def _all_running(stack: Stack) -> list[Finding]:
    workloads = {item["metadata"]["name"]: item for item in stack.kubectl.items("deployments,statefulsets")}
    wrong = [f"{part} is not deployed" for part in PARTS if part not in workloads]
    wrong += [
        f"{name} has {item['status'].get('readyReplicas', 0)} of {item['spec']['replicas']} pods ready"
        for name, item in workloads.items()
        if item["status"].get("readyReplicas", 0) < item["spec"]["replicas"]
    ]
    seconds = {pod["metadata"]["name"]: _running_seconds(pod) for pod in services(stack)}
    slowest = max((value for value in seconds.values() if value is not None), default=0.0)
    found = within(
        slowest,
        promise=RUNNING_PROMISE,
        ours=RUNNING_OURS,
        unit="s",
        seen=f"{len(workloads)} parts, all ready; the slowest pod ran {slowest:.0f} s after it was made",
        seconds_to_run=seconds,
        absent=[part for part in OPTIONAL_PARTS if part not in workloads],
    )
    return [judged(wrong, f"{len(wrong)} parts are not ready", seconds_to_run=seconds) if wrong else found]


def _untouched(stack: Stack) -> list[Finding]:
    pods, wrong = services(stack), []
    for pod in pods:
        name, statuses = pod["metadata"]["name"], _statuses(pod)
        ready = sum(status["ready"] for status in statuses)
        restarts = sum(status["restartCount"] for status in statuses)
        if not statuses or ready < len(pod["spec"]["containers"]) or pod["status"]["phase"] != "Running":
            wrong.append(f"{name}: {pod['status']['phase']}, {ready}/{len(pod['spec']['containers'])} ready")
        if restarts:
            wrong.append(f"{name}: {restarts} restarts ({_why_restarted(statuses)})")
    if not pods:
        wrong.append("there are no pods")
    finding = judged(
        wrong, f"{len(pods)} pods 1/1, no restarts" if not wrong else f"{len(wrong)} are not well"
    )
    return [finding, finding]


def _why_restarted(statuses: list[dict[str, Any]]) -> str:
    ends = [status.get("lastState", {}).get("terminated") for status in statuses]
    return (
        ", ".join(f"{end['reason']}, exit code {end['exitCode']}" for end in ends if end) or "no reason kept"
    )


def _no_volumes(stack: Stack) -> list[Finding]:
    claims = [item["metadata"]["name"] for item in stack.kubectl.items("persistentvolumeclaims")]
    if stack.connection.persistent:
        wrong = [] if claims else ["floe_persistent is true, but there is no volume claim"]
        return [judged(wrong, f"{len(claims)} volume claims, as floe_persistent asks for", claims=claims)]
    wrong = [f"{name} is a volume claim, though floe_persistent is false" for name in claims]
    return [judged(wrong, "no volume claims, data in emptyDir", claims=claims)]


def detection_seconds(probe: dict[str, Any]) -> float:
    """The longest that a probe needs to tell that its container failed right after it was looked at."""
    timeout = float(probe.get("timeoutSeconds", 1))
    period = max(float(probe.get("periodSeconds", 10)), timeout)
    return period * int(probe.get("failureThreshold", 3)) + timeout


def _detection(stack: Stack) -> list[Finding]:
    seconds: dict[str, float] = {}
    wrong = []
    for pod in services(stack):
        for container in pod["spec"]["containers"]:
            name = f"{pod['metadata']['name']}/{container['name']}"
            probes = [container[kind] for kind in ("readinessProbe", "livenessProbe") if kind in container]
            if probes:
                seconds[name] = min(map(detection_seconds, probes))
            else:
                wrong.append(f"{name} has neither a readiness nor a liveness probe")
    wrong += [f"{name}: {each:g} s" for name, each in seconds.items() if each >= DETECT_PROMISE]
    slowest = max(seconds.values(), default=float("inf"))
    found = within(
        slowest,
        promise=DETECT_PROMISE,
        ours=DETECT_OURS,
        unit="s",
        seen=f"a failure shows after at most {slowest:g} s, by {len(seconds)} containers' probes",
        seconds=seconds,
    )
    return [judged(wrong, f"{len(wrong)} are slower or unwatched", seconds=seconds) if wrong else found]


def working_sets(stack: Stack) -> tuple[dict[tuple[str, str], int], str]:
    """Bytes in use by (pod, container), and who told: the metrics API, else the kubelets themselves."""
    namespace = stack.connection.namespace
    try:
        metrics = stack.kubectl.json(
            "get", "--raw", f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods"
        )
    except StackError:
        return dict(_from_kubelets(stack)), "kubelet"
    found = {
        (pod["metadata"]["name"], container["name"]): bytes_of(container["usage"]["memory"])
        for pod in metrics["items"]
        for container in pod["containers"]
    }
    return found, "metrics.k8s.io"


def _from_kubelets(stack: Stack) -> Iterator[tuple[tuple[str, str], int]]:
    for node in stack.kubectl.items("nodes"):
        path = f"/api/v1/nodes/{node['metadata']['name']}/proxy/stats/summary"
        for pod in stack.kubectl.json("get", "--raw", path)["pods"]:
            if pod["podRef"]["namespace"] == stack.connection.namespace:
                for container in pod["containers"]:
                    used = container.get("memory", {}).get("workingSetBytes", 0)
                    yield (pod["podRef"]["name"], container["name"]), int(used)


def _memory(stack: Stack) -> list[Finding]:
    used, told_by = working_sets(stack)
    rows: dict[str, dict[str, float | None]] = {}
    wrong = []
    for pod in services(stack):
        for container in pod["spec"]["containers"]:
            key = (pod["metadata"]["name"], container["name"])
            name = "/".join(key)
            limit = container.get("resources", {}).get("limits", {}).get("memory")
            if key not in used:
                wrong.append(f"{name}: {told_by} does not tell what it uses")
                continue
            rows[name] = {
                "working_set_mib": round(used[key] / MIB, 1),
                "limit_mib": round(bytes_of(limit) / MIB, 1) if limit else None,
            }
            if not limit:
                wrong.append(f"{name} has no memory limit")
            elif used[key] >= bytes_of(limit):
                wrong.append(f"{name} uses {used[key] / MIB:.0f} MiB of {bytes_of(limit) / MIB:.0f} MiB")
        wrong += [
            f"{pod['metadata']['name']}: OOMKilled"
            for status in _statuses(pod)
            if status.get("lastState", {}).get("terminated", {}).get("reason") == "OOMKilled"
        ]
    total = sum(row["working_set_mib"] or 0 for row in rows.values())
    if total >= SUM_MIB:
        wrong.append(f"together {total:.0f} MiB, not below {SUM_MIB} MiB")
    fullest = max(
        rows, key=lambda name: (rows[name]["working_set_mib"] or 0) / (rows[name]["limit_mib"] or 1e9)
    )
    share = 100 * (rows[fullest]["working_set_mib"] or 0) / (rows[fullest]["limit_mib"] or 1e9)
    seen = (
        f"{total:.0f} MiB in use of {SUM_MIB}; {fullest.split('/')[0]} is nearest to its limit, {share:.0f} %"
    )
    return [judged(wrong, seen, told_by=told_by, total_mib=round(total, 1), containers=rows)]


QUESTIONS: Final = (
    Question({"US1.1": "Every part of the stack is running, within five minutes"}, _all_running),
    Question(
        {
            "US1.2": "Every pod is READY 1/1 without a restart",
            "SC-002": "All pods are running, and nobody had to touch anything",
        },
        _untouched,
    ),
    Question({"FR-004": "Services with state use emptyDir unless volumes were asked for"}, _no_volumes),
    Question({"FR-017": "Probes tell within 30 s that a service failed"}, _detection),
)
AFTER_RUNS: Final = (
    Question({"B4": "Each pod is below its memory limit, all together below 3 GiB"}, _memory),
)
