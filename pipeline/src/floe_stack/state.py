"""How a stack is now: its releases, pods, runs and data, each asked where it is known."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from floe_stack.checks.pods import bytes_of, services, working_sets
from floe_stack.cube import COUNT
from floe_stack.dagster import FAILURE, GENERATE_JOB, SCHEDULE, SEED_JOB, SENSOR, Instigator, Run
from floe_stack.errors import StackError
from floe_stack.kubectl import Object
from floe_stack.lake import row_counts
from floe_stack.releases import Release, newest
from floe_stack.stack import Stack

Told = TypeVar("Told")

CRASHES: Final = "CrashLoopBackOff"
EVICTED: Final = "Evicted"
HOOK: Final = "helm.sh/hook"  # the annotation of a Job that is part of a deploy
MART: Final = "gold.orders"  # the one that Cube's count of orders is made from


@dataclass(frozen=True)
class Pod:
    """A pod that is to stay.

    Attributes:
        name: Of the pod.
        state: Running, or why not.
        ready: Whether all its containers are.
        restarts: Of all its containers.
        last_end: Why a container ended last, if one did.
        used: Bytes in use; None when nobody tells.
        limit: Bytes that it may use.
        why: What Kubernetes says about a state that is not Running; for a crash, the container's last words.
    """

    name: str
    state: str
    ready: bool
    restarts: int
    last_end: str
    used: int | None
    limit: int | None
    why: str = ""

    @property
    def part(self) -> str:
        """Name of the Deployment or StatefulSet that it belongs to."""
        of_deployment = re.fullmatch(r"(.+)-[a-z0-9]+-[a-z0-9]{5}", self.name)
        return of_deployment[1] if of_deployment else self.name.rpartition("-")[0]


@dataclass
class State:
    """What was seen. What could not be asked is None, and why is in `problems`.

    Attributes:
        pods: By name.
        evicted: Pods that their node ended, each with its reason; others have taken their places.
        releases: By name.
        failed_hooks: Jobs of a deploy that failed, each with its last words.
        run: The newest run that seeds or generates.
        why_failed: The step of it that failed, and why.
        schedule: Of generation.
        sensor: Of the seed.
        rows: Of each table.
        fresh_seconds: Since the marts were published.
        counted: Orders that Cube counts.
        problems: What a part that does not answer says instead.
    """

    pods: list[Pod] = field(default_factory=list)
    evicted: list[Pod] = field(default_factory=list)
    releases: dict[str, Release] = field(default_factory=dict)
    failed_hooks: dict[str, str] = field(default_factory=dict)
    run: Run | None = None
    why_failed: str = ""
    schedule: Instigator | None = None
    sensor: Instigator | None = None
    rows: dict[str, int] | None = None
    fresh_seconds: float | None = None
    counted: int | None = None
    problems: dict[str, str] = field(default_factory=dict)


def look(stack: Stack, say: Callable[[str], None] = lambda _: None) -> State:
    """Ask every part of the stack; one that does not answer hides no other.

    Args:
        stack: The stack.
        say: Takes a line about what is asked.
    """
    state = State()

    def ask(name: str, question: Callable[[], Told], *parts: str) -> Told | None:
        """An answer of parts that have a ready pod: the others would be waited for in vain."""
        ready = {pod.part for pod in state.pods if pod.ready}
        away = [part for part in parts if part not in ready]
        if away:
            state.problems[name] = f"no pod of {' and '.join(away)} is ready"
            return None
        say(f"asking {name}")
        try:
            return question()
        except Exception as error:  # a part that is down is what this looks for
            state.problems[name] = str(error).strip().partition("\n")[0]
            return None

    state.releases = ask("Helm", lambda: newest(stack.kubectl)) or {}
    state.failed_hooks = ask("the deploy's Jobs", lambda: _failed_hooks(stack)) or {}
    pods = ask("Kubernetes", lambda: _pods(stack)) or []
    state.pods = [pod for pod in pods if pod.state != EVICTED]
    state.evicted = [pod for pod in pods if pod.state == EVICTED]
    if state.pods:
        ask("Dagster", lambda: _ask_dagster(stack, state), "dagster-webserver")
        # Cube first: what is committed in between must not look as if Cube had missed it.
        state.counted = ask("Cube", lambda: stack.cube.number(COUNT), "cube")
        ask("the lake", lambda: _ask_lake(stack, state), "polaris", "minio")
        ask("Jaeger", lambda: stack.jaeger, "jaeger")
        ask("Marquez", lambda: stack.marquez, "marquez", "marquez-web")
    return state


def _failed_hooks(stack: Stack) -> dict[str, str]:
    jobs = [job for job in stack.kubectl.items("jobs") if HOOK in job["metadata"].get("annotations", {})]
    return {
        job["metadata"]["name"]: _last_words(stack, f"job/{job['metadata']['name']}", "--all-containers")
        for job in jobs
        if any(
            each["type"] == "Failed" and each["status"] == "True"
            for each in job["status"].get("conditions", [])
        )
    }


def _last_words(stack: Stack, *of: str) -> str:
    """The last line of a log; what kubectl says when there is none."""
    try:
        lines = stack.kubectl.run("logs", "--tail=5", *of).strip().splitlines()
    except StackError as error:
        return str(error)
    return lines[-1] if lines else "it said nothing"


def _pods(stack: Stack) -> list[Pod]:
    used, _ = working_sets(stack)
    return sorted((_pod(stack, pod, used) for pod in services(stack)), key=lambda pod: pod.name)


def _pod(stack: Stack, pod: Object, used: dict[tuple[str, str], int]) -> Pod:
    name, containers = pod["metadata"]["name"], pod["spec"]["containers"]
    statuses: list[dict[str, Any]] = pod["status"].get("containerStatuses", [])
    waiting: Object = next(filter(None, (each["state"].get("waiting") for each in statuses)), {})
    ends = [each.get("lastState", {}).get("terminated", {}).get("reason") for each in statuses]
    parts = [used[name, container["name"]] for container in containers if (name, container["name"]) in used]
    limits = [container.get("resources", {}).get("limits", {}).get("memory") for container in containers]
    state = waiting.get("reason") or _phase(pod)
    return Pod(
        name=name,
        state=state,
        ready=bool(statuses) and all(each["ready"] for each in statuses),
        restarts=sum(each["restartCount"] for each in statuses),
        last_end=next(filter(None, ends), ""),
        used=sum(parts) if parts else None,
        limit=sum(map(bytes_of, limits)) if all(limits) else None,
        why=_last_crash(stack, name, statuses) if state == CRASHES else waiting.get("message") or _told(pod),
    )


def _phase(pod: Object) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    phase: str = pod["status"].get("reason") or pod["status"]["phase"]  # a reason is Evicted, for example
    return phase


def _told(pod: Object) -> str:
    """Why a pod was evicted, or has no node."""
    unscheduled = (
        each.get("message", "")
        for each in pod["status"].get("conditions", [])
        if each["type"] == "PodScheduled" and each["status"] == "False"
    )
    message: str = pod["status"].get("message") or next(unscheduled, "")
    return message.strip()


def _last_crash(stack: Stack, pod: str, statuses: list[dict[str, Any]]) -> str:
    container = next(
        each["name"] for each in statuses if each["state"].get("waiting", {}).get("reason") == CRASHES
    )
    return _last_words(stack, pod, f"--container={container}", "--previous")


def _ask_dagster(stack: Stack, state: State) -> None:
    dagster = stack.dagster
    state.schedule, state.sensor = dagster.schedule(SCHEDULE), dagster.sensor(SENSOR)
    runs = dagster.runs(limit=20)
    state.run = next((run for run in runs if run.job in {SEED_JOB, GENERATE_JOB}), None)
    if state.run and state.run.status == FAILURE:
        state.why_failed = dagster.why_failed(state.run.id)


def _ask_lake(stack: Stack, state: State) -> None:
    tables = stack.lake().tables()
    state.rows = row_counts(tables)
    snapshot = tables[MART].current_snapshot() if MART in tables else None
    if snapshot:
        state.fresh_seconds = max(0.0, time.time() - snapshot.timestamp_ms / 1000)
