"""Faults, and what shows that they are healed: orders that are made now, and B1 afterwards."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
from psycopg2 import Error as SqlError

from floe_pipeline.lake.errors import LakeError
from floe_pipeline.lake.tables import SPECS
from floe_stack.checks import totals
from floe_stack.dagster import GENERATE_JOB, SUCCESS
from floe_stack.errors import StackError
from floe_stack.generate import generate
from floe_stack.kubectl import Object
from floe_stack.stack import Stack

ORDERS = 20
Seen = TypeVar("Seen")

HEAL_SECONDS = 300.0  # given up then; the promise is checked by whoever waits
AWAY = (StackError, LakeError, httpx.HTTPError, SqlError, OSError)

STATEFUL = ("postgresql",)
OF_PART = re.compile(r"(-[a-z0-9]+-[a-z0-9]{5}|-\d+)$")  # what a pod's name has more than its workload's


def pods(stack: Stack, part: str) -> list[Object]:
    """Running pods of a part that are not on their way out."""
    return [
        pod
        for pod in stack.kubectl.items("pods", "--field-selector=status.phase=Running")
        if OF_PART.sub("", pod["metadata"]["name"]) == part and "deletionTimestamp" not in pod["metadata"]
    ]


def restarts(stack: Stack, part: str) -> list[tuple[str, int]]:
    """Id and restarts of a part's pods: the same later on if nobody restarted it."""
    return [
        (pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"])
        for pod in pods(stack, part)
    ]


def is_ready(stack: Stack, part: str) -> bool:
    """Whether a part's one pod is."""
    (pod,) = pods(stack, part)
    ready: bool = pod["status"]["containerStatuses"][0]["ready"]
    return ready


def workload(part: str) -> str:
    """Kind and name of what makes a part's pods."""
    return f"statefulset/{part}" if part in STATEFUL else f"deployment/{part}"


def lose_pod(stack: Stack, part: str, *, at_once: bool = False) -> float:
    """Delete a part's pod and wait until it is gone; returns when that began.

    Args:
        stack: The stack.
        part: Name of its Deployment or StatefulSet.
        at_once: Kill it as a lost node would, without its grace period.
    """
    (pod,) = pods(stack, part)
    began = time.monotonic()
    force = ("--grace-period=0", "--force") if at_once else ()
    stack.kubectl.run("delete", "pod", pod["metadata"]["name"], *force)
    return began


@contextmanager
def away(stack: Stack, part: str) -> Iterator[None]:
    """A part without a pod for as long as the block lasts; what its emptyDir held is lost."""
    scale(stack, part, 0)
    try:
        eventually(lambda: not pods(stack, part), 60)
        yield
    finally:
        scale(stack, part, 1)


@contextmanager
def asleep(stack: Stack, run_id: str, step: str) -> Iterator[None]:
    """A run that stands still in a step for as long as the block lasts, as on a laptop that is closed."""
    eventually(lambda: stack.dagster.run(run_id).steps.get(step, (None, None))[0])
    number = re.compile(rf"{run_id} - (\d+) - ")  # as Dagster begins each line of the run's log
    (pid,) = set(number.findall(stack.kubectl.run("logs", "deployment/dagster-code", "--since=1m")))
    _signal(stack, pid, "STOP")
    try:
        yield
    finally:
        _signal(stack, pid, "CONT")


def _signal(stack: Stack, pid: str, name: str) -> None:
    stack.kubectl.run("exec", "deployment/dagster-code", "--", "sh", "-c", f"kill -{name} {pid}")


def scale(stack: Stack, part: str, replicas: int) -> None:
    """Set the number of pods of a part."""
    stack.kubectl.run("scale", workload(part), f"--replicas={replicas}")


def eventually(condition: Callable[[], Seen], seconds: float = HEAL_SECONDS) -> Seen:
    """What a condition says as soon as that is true; unlike `waiting.until` it may fail meanwhile.

    Raises:
        AssertionError: It was not in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        last: object
        try:
            if seen := condition():
                return seen
            last = seen
        except AWAY as error:
            last = error
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain, last: {last}"
        time.sleep(0.5)


def ask_cube(stack: Stack, query: dict[str, Any]) -> tuple[int, str]:
    """Status and words of Cube's answer, asked past its cache; as a browser would, without waiting longer."""
    answer = stack.cube.http.post("/cubejs-api/v1/load", json={"query": query, "cache": "no-cache"})
    said = answer.json()
    return answer.status_code, str(said.get("error") or said.get("data"))


def fresh_question() -> dict[str, Any]:
    """A question that Cube has no answer to yet."""
    return {
        "measures": ["Orders.count"],
        "dimensions": ["Orders.customer_id"],
        "order": {"Orders.count": "desc"},
        "limit": 1 + time.time_ns() % 997,
    }


def add_unread_orders(stack: Stack) -> None:
    """Add orders that Cube has not read yet: what it has read it answers from memory, storage or not."""
    run_id = stack.dagster.launch(GENERATE_JOB, {"orders": ORDERS})
    eventually(lambda: stack.dagster.run(run_id).status == SUCCESS)


def wait_well(stack: Stack) -> None:
    """Wait until every workload has the pods that it wants, every table is there, and no run is under way."""

    def well() -> bool:
        workloads = stack.kubectl.items("deployments,statefulsets")
        return all(
            item["status"].get("readyReplicas", 0) == item["spec"]["replicas"] == 1 for item in workloads
        )

    eventually(well)
    eventually(lambda: table_ids(stack).keys() == SPECS.keys())
    eventually(stack.dagster.is_quiet)


def table_ids(stack: Stack) -> dict[str, str]:
    """Which table each name stands for, as the catalog knows it; a table made again has another id."""
    return {name: str(table.metadata.table_uuid) for name, table in stack.lake().tables().items()}


def wait_made_anew(stack: Stack, before: dict[str, str]) -> None:
    """Wait until every table is there again after all of them were lost, so that new orders come on top."""

    def all_new() -> bool:
        now = table_ids(stack)
        return now.keys() == before.keys() and not set(now.values()) & set(before.values())

    eventually(all_new)


def healed(stack: Stack, began: float) -> dict[str, Any]:
    """Wait until orders that are made now are in Cube and all five places agree, to the row and the cent.

    Args:
        stack: The stack.
        began: When the fault was, or ended.

    Returns:
        Evidence: `seconds` from then until the look at the five places began that found them equal, what it
        found, and how often orders were asked for in vain.
    """
    tries = 0

    def try_once() -> dict[str, Any]:
        nonlocal tries
        tries += 1
        hops = generate(stack, orders=ORDERS)
        seconds = time.monotonic() - began
        first, *_ = totals.QUESTIONS[0].look(stack)
        if not first.passed:
            raise StackError(f"B1 does not hold: {first.evidence.get('differences')}")
        return {"seconds": seconds, "proof": first.seen, "run": hops.run.id, "tries": tries}

    return eventually(try_once)
