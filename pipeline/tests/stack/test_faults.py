"""Each fault of a stack is named with what was seen and what to do; `status` says the first, `doctor` all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from floe_stack import doctor, faults
from floe_stack.connection import Connection
from floe_stack.dagster import Instigator, Run
from floe_stack.faults import PAGE, findings, next_step
from floe_stack.releases import Release
from floe_stack.state import Pod, State

TROUBLESHOOTING = Path(__file__).parents[3] / PAGE
RELEASES = {name: Release(1, "deployed") for name in ("floe-infrastructure", "floe-dagster", "floe-cube")}
RUN = Run("id", "generate_orders_job", "SUCCESS", 1, 2, 3, {})
ON = Instigator(True, ())


def pod(name: str, **other: object) -> Pod:
    known = {"state": "Running", "ready": True, "restarts": 0, "last_end": "", "used": 1, "limit": 2}
    return Pod(name=name, **(known | other))  # type: ignore[arg-type]


def stack(**other: Any) -> State:
    """A stack that is well, but for what is given."""
    known: dict[str, Any] = {
        "pods": [pod(f"{part}-6c5f7d-abcde") for part in faults.PARTS],
        "releases": RELEASES,
        "run": RUN,
        "schedule": ON,
        "sensor": ON,
        "rows": {"bronze.orders": 10, "gold.orders": 10},
        "fresh_seconds": 100.0,
        "counted": 10,
    }
    return State(**(known | other))


def with_pod(name: str, **other: object) -> State:
    """A stack with one pod more, which is not ready."""
    return stack(pods=[*stack().pods, pod(name, **({"ready": False} | other))])


FAULTS = {
    "the API server is away": (
        stack(pods=[], problems={"Kubernetes": "connection refused"}),
        "Kubernetes: cannot be asked: connection refused:"
        " see docs/troubleshooting.md#the-context-or-the-api-server",
    ),
    "a release was never deployed": (
        stack(releases={"floe-infrastructure": Release(1, "deployed"), "floe-cube": Release(1, "deployed")}),
        "release floe-dagster: it is not deployed: make deploy-local-dagster TARGET=testbed",
    ),
    "a deploy failed": (
        stack(releases={**RELEASES, "floe-cube": Release(3, "failed")}),
        "release floe-cube: its revision 3 is failed: make deploy-local-cube TARGET=testbed;"
        " see docs/troubleshooting.md#a-deploy-stops",
    ),
    "a deploy was killed": (
        stack(releases={**RELEASES, "floe-infrastructure": Release(2, "pending-upgrade")}),
        "release floe-infrastructure: its revision 2 is pending-upgrade: unless a deploy is under way now,"
        " make deploy-local-infra TARGET=testbed; see docs/troubleshooting.md#a-deploy-was-killed",
    ),
    "the bootstrap failed": (
        stack(failed_hooks={"floe-bootstrap": "http://polaris:8181 refused root (401)"}),
        "job floe-bootstrap: it failed: http://polaris:8181 refused root (401):"
        " see docs/troubleshooting.md#the-bootstrap-job-failed",
    ),
    "no room on a node": (
        with_pod("jaeger-6c5f7d-fghij", state="Pending", why="0/1 nodes: 1 Insufficient memory"),
        "pod jaeger: jaeger-6c5f7d-fghij is Pending: 0/1 nodes: 1 Insufficient memory:"
        " see docs/troubleshooting.md#not-enough-memory-or-cpu",
    ),
    "no volume": (
        with_pod("minio-6c5f7d-fghij", state="Pending", why="unbound immediate PersistentVolumeClaims"),
        "see docs/troubleshooting.md#a-pod-stays-pending",
    ),
    "no image": (
        with_pod("cube-6c5f7d-fghij", state="ImagePullBackOff", why='Back-off pulling image "a:1"'),
        'pod cube: cube-6c5f7d-fghij is ImagePullBackOff: Back-off pulling image "a:1":'
        " see docs/troubleshooting.md#an-image-cannot-be-pulled",
    ),
    "a crash": (
        with_pod("dagster-code-6c5f7d-fghij", state="CrashLoopBackOff", why="ImportError: no module"),
        "pod dagster-code: dagster-code-6c5f7d-fghij is CrashLoopBackOff: ImportError: no module:"
        " see docs/troubleshooting.md#a-container-keeps-crashing",
    ),
    "too little memory": (
        with_pod("polaris-6c5f7d-fghij", ready=True, last_end="OOMKilled", restarts=4),
        "pod polaris: polaris-6c5f7d-fghij was out of memory (OOMKilled), restarted 4 times:"
        " see docs/troubleshooting.md#oomkilled",
    ),
    "a pod that is not ready": (
        with_pod("postgresql-0"),
        "pod postgresql: postgresql-0 is Running, not ready: make logs SERVICE=postgresql TARGET=testbed",
    ),
    "no pods": (
        stack(pods=[each for each in stack().pods if each.part != "cube"]),
        "pod cube: there is none: see docs/troubleshooting.md#pods-are-refused-by-the-namespace",
    ),
    "Dagster is away": (
        stack(problems={"Dagster": "502"}),
        "Dagster: does not answer: 502: make logs SERVICE=dagster-webserver TARGET=testbed",
    ),
    "the lake is away": (
        stack(problems={"the lake": "no token"}, rows=None),
        "the lake: does not answer: no token: make logs SERVICE=polaris TARGET=testbed",
    ),
    "Cube is away": (
        stack(problems={"Cube": "Cube answers 503: no lake"}, counted=None),
        "Cube: does not answer: Cube answers 503: no lake: make logs SERVICE=cube TARGET=testbed;"
        " see docs/troubleshooting.md#cube-answers-503",
    ),
    "Jaeger is away": (stack(problems={"Jaeger": "timeout"}), "make logs SERVICE=jaeger TARGET=testbed"),
    "Marquez is away": (stack(problems={"Marquez": "timeout"}), "make logs SERVICE=marquez TARGET=testbed"),
    "empty tables": (stack(rows={}, counted=None), "tables: the tables are empty: the sensor"),
    "a failed run": (
        stack(run=Run("id", "seed_job", "FAILURE", 1, 2, 3, {}), why_failed="step bronze: LakeError: away"),
        "is FAILURE: step bronze: LakeError: away:"
        " see docs/troubleshooting.md#a-run-failed-or-is-there-twice;"
        " make logs SERVICE=dagster-code TARGET=testbed",
    ),
    "the sensor is off": (
        stack(sensor=Instigator(False, ())),
        "sensor: empty_tables_sensor is off: switch it on in Dagster's UI under Automation",
    ),
    "the schedule is off": (
        stack(schedule=Instigator(False, ())),
        "schedule: generate_orders_schedule is off: switch it on in Dagster's UI under Automation"
        " (make port-forward TARGET=testbed); until then make generate TARGET=testbed",
    ),
    "Cube stays behind": (
        stack(counted=9),
        "Cube's data: Cube counts 9 orders, gold.orders has had 10 for 100 s: it is stale:"
        " make logs SERVICE=cube TARGET=testbed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_what_to_do(fault: str, connection: Connection) -> None:
    state, wanted = FAULTS[fault]
    wrong = [each for each in findings(state, connection) if not each.ok]
    assert len(wrong) == 1, wrong
    assert wanted in next_step(state, connection)


def test_a_stack_that_is_well_has_no_fault(connection: Connection) -> None:
    found = findings(stack(), connection)
    assert [each for each in found if not each.ok or each.remedy] == []
    assert [each.what for each in found] == [
        "releases", "pods", "Dagster", "the lake", "Cube", "Jaeger", "Marquez",
        "tables", "last run", "sensor", "schedule", "Cube's data",
    ]  # fmt: skip
    assert next_step(stack(), connection).startswith("all is well: make port-forward TARGET=testbed")


def test_what_is_not_deployed_is_no_fault_and_it_is_said_how_to_deploy(connection: Connection) -> None:
    (found,) = findings(State(), connection)
    assert found.ok
    assert next_step(State(), connection) == (
        "stack: nothing is deployed in namespace floe: make deploy-local-full TARGET=testbed"
    )


def test_one_that_was_evicted_is_told_of_and_is_no_fault(connection: Connection) -> None:
    full = "The node was low on resource: ephemeral-storage."
    state = stack(evicted=[pod("minio-6c5f7d-zzzzz", state="Evicted", ready=False, why=full)])
    (told,) = [each for each in findings(state, connection) if each.what == "evicted pod"]
    assert (told.ok, told.seen) == (True, f"minio-6c5f7d-zzzzz: {full}")
    assert told.remedy == (
        "see docs/troubleshooting.md#a-disk-is-full;"
        " to forget it: kubectl --namespace floe delete pod minio-6c5f7d-zzzzz"
    )
    assert next_step(state, connection).startswith("all is well")


def test_a_cause_comes_before_what_it_brings_about(connection: Connection) -> None:
    state = with_pod("cube-6c5f7d-fghij", state="Pending", why="1 Insufficient cpu")
    state.problems = {"Cube": "no pod of cube is ready"}
    assert [each.what for each in findings(state, connection) if not each.ok] == ["pod cube", "Cube"]


def test_a_commit_of_this_moment_may_be_missing_in_cube(connection: Connection) -> None:
    assert next_step(stack(counted=9, fresh_seconds=5), connection).startswith("all is well")


def test_every_remedy_is_a_heading() -> None:
    prose = re.sub(r"^```.*?^```", "", TROUBLESHOOTING.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    source = Path(faults.__file__).read_text()
    named = {
        *faults.WAITING.values(),
        *doctor.HEADINGS.values(),
        *re.findall(r"\"([a-z0-9]+(?:-[a-z0-9]+){2,})\"", source),
    }
    assert len(named) > 12
    assert named <= anchors
