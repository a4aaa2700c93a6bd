"""An emptyDir that outgrows its limit: the pod is evicted, the node is not filled, all is made anew."""

from __future__ import annotations

import subprocess
import time

from floe_stack.checks.pods import bytes_of
from floe_stack.lake import ledger_totals
from floe_stack.stack import Stack

from .conftest import STACK, Record
from .faults import (
    ask_cube,
    eventually,
    fresh_question,
    healed,
    pods,
    restarts,
    table_ids,
    wait_made_anew,
)

PROMISE = 120
EVICTION_SECONDS = 150  # the kubelet measures volumes once a minute, and looks at them every ten seconds
MOST = 2**30  # bytes that this test writes at most
OVER = 64 * 2**20
FILLER = "/export/filler"


def test_the_disk_of_minio_is_full(stack: Stack, record: Record) -> None:
    tables, before = table_ids(stack), restarts(stack, "cube")
    name = _fill(stack)
    filled = time.monotonic()
    why = eventually(lambda: _why_evicted(stack, name), EVICTION_SECONDS)
    began = time.monotonic()
    said = eventually(lambda: _complaint(stack))
    wait_made_anew(stack, tables)
    proof = healed(stack, began)
    seeded = stack.settings().seed_orders
    assert ledger_totals(stack.lake().tables())["orders"].rows > seeded, "not seeded as on the first day"
    code, shown = _status()
    assert f"{name}: {why}" in shown
    assert code == 0, "what was evicted and replaced is no fault"
    assert "Pod ephemeral local storage usage exceeds the total limit of containers" in why
    assert restarts(stack, "cube") == before, "it heals without a restart"
    stack.kubectl.run("delete", "pod", name)
    record(
        "B2 disk",
        "MinIO's emptyDir outgrows its limit: evicted, made anew",
        promise=PROMISE,
        user_sees=said,
        status_says=why,
        evicted_after=round(began - filled, 1),
        **proof,
    )


def _fill(stack: Stack) -> str:
    """Write more than MinIO's pod may keep; returns its name."""
    (pod,) = pods(stack, "minio")
    name, (container,) = pod["metadata"]["name"], pod["spec"]["containers"]
    limit = bytes_of(container["resources"]["limits"]["ephemeral-storage"])
    assert limit + OVER <= MOST, (
        "deploy it with a small limit of ephemeral-storage, as molecule/resilience does"
    )
    stack.kubectl.run("exec", name, "--", "sh", "-c", f"head -c {limit + OVER} /dev/zero > {FILLER}")
    return str(name)


def _why_evicted(stack: Stack, name: str) -> str:
    """What its event says; the pod itself is "Completed" without a word, as MinIO ends well when told to."""
    events = stack.kubectl.items("events", f"--field-selector=involvedObject.name={name},reason=Evicted")
    return next((str(event["message"]).strip() for event in events), "")


def _complaint(stack: Stack) -> str:
    status, said = ask_cube(stack, fresh_question())
    return f"{status} {said}" if status >= 500 else ""


def _status() -> tuple[int, str]:
    """Exit code of `floe stack status`, and what it shows, without line breaks."""
    done = subprocess.run(
        [".venv/bin/floe", "stack", "status", "--target", STACK], capture_output=True, text=True, check=False
    )
    return done.returncode, " ".join(done.stdout.split())
