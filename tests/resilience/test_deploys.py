"""SC-001, SC-006, B3, E1, FR-015, FR-016, FR-018: what a deploy promises, before anything is broken."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from floe_stack import releases
from floe_stack.doors import DOORS, Door
from floe_stack.kubectl import Kubectl
from floe_stack.stack import Stack
from waiting import until

from .conftest import Record
from .deploys import ROOT, play

DOCUMENTED = re.compile(r"^kubectl -n floe port-forward service/(\S+) ([\d: ]+?) +#", re.MULTILINE)
TARGETS = (
    "deploy-local-full",
    "deploy-local-infra",
    "deploy-local-dagster",
    "deploy-local-cube",
    "undeploy-local",
)
HELM = ROOT / "build/testbed/bin/helm"


@contextmanager
def untouched(kubectl: Kubectl) -> Iterator[None]:
    """No release has another revision after the block, and no pod another name."""

    def seen() -> tuple[dict[str, int], set[str]]:
        newest = {name: release.revision for name, release in releases.newest(kubectl).items()}
        return newest, {pod["metadata"]["name"] for pod in kubectl.items("pods")}

    before = seen()
    yield
    assert seen() == before


def test_everything_was_deployed_in_time_and_the_infrastructure_first(stack: Stack, record: Record) -> None:
    evidence = json.loads((ROOT / "build/evidence/deploy.json").read_text())
    assert evidence["namespace"] == stack.connection.namespace
    (whole,) = (check for check in evidence["checks"] if check["id"] == "US1.1")
    phases = {phase["name"]: phase["seconds"] for phase in whole["evidence"]["phases"]}
    order = ["floe-infrastructure", "polaris_bootstrap", "floe-dagster", "floe-cube"]
    assert [name for name in phases if name in order] == order
    assert whole["passed"]
    record(
        "SC-001",
        "The complete stack, from nothing",
        seconds=whole["seconds"],
        promise=300,
        ours=90,
        phases=phases,
    )


def test_an_application_without_its_infrastructure_is_refused(stack: Stack, record: Record) -> None:
    nowhere = f"{stack.connection.namespace}-nowhere"
    began = time.monotonic()
    played = play("--tags", "cube", "-e", f"floe_namespace={nowhere}")
    seconds = time.monotonic() - began
    assert played.returncode != 0
    said = f"Nothing was changed. Namespace {nowhere} has no catalog yet"
    assert said in played.stdout
    assert not stack.kubectl.run("get", "namespace", nowhere, "--ignore-not-found")
    record(
        "FR-016", "Cube without its infrastructure is refused", seconds=seconds, promise=60, user_sees=said
    )


def test_a_second_deploy_changes_nothing(stack: Stack, record: Record) -> None:
    with untouched(stack.kubectl):
        began = time.monotonic()
        played = play()
        seconds = time.monotonic() - began
    assert played.returncode == 0, played.stdout
    assert " changed=0 " in played.stdout
    record("B3", "A second deploy: changed=0", seconds=seconds, promise=60, ours=15)


def test_check_mode_says_what_would_change_and_changes_nothing(stack: Stack, record: Record) -> None:
    other = json.dumps({"floe_cube_values": {"freshnessSeconds": 3}})
    with untouched(stack.kubectl):
        began = time.monotonic()
        played = play("--check", "--tags", "cube", "-e", other)
        seconds = time.monotonic() - began
    assert played.returncode == 0, played.stdout
    assert " changed=1 " in played.stdout
    record("B3 check", "Check mode of another value: changed=1, and nothing is", seconds=seconds, promise=60)


def test_too_little_memory_is_said_before_anything_is_installed(stack: Stack, record: Record) -> None:
    with untouched(stack.kubectl):
        began = time.monotonic()
        played = play("-e", "preflight_minimum_memory_mib=1000000")
        seconds = time.monotonic() - began
    assert played.returncode != 0
    said = re.search(r"MiB of memory, the stack needs [^\n]+", played.stdout)
    assert said, played.stdout
    assert "Nothing was changed" in played.stdout
    record(
        "E1", "A cluster with too little memory is refused", seconds=seconds, promise=60, user_sees=said[0]
    )


def test_each_part_has_its_make_target(record: Record) -> None:
    began = time.monotonic()
    for target in TARGETS:
        asked = ["make", "--dry-run", target, "TARGET=testbed"]
        done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "ansible-playbook -i inventory/testbed" in done.stdout
    seconds = time.monotonic() - began
    record("FR-015", f"make {', '.join(TARGETS)}", seconds=seconds, promise=60)


def test_every_chart_is_linted_and_rendered_without_a_complaint(stack: Stack, record: Record) -> None:
    charts = list((ROOT / "build/charts" / stack.connection.namespace).glob("floe-*/"))
    assert len(charts) == 3
    version = stack.kubectl.json("version", "--output", "json")["serverVersion"]["gitVersion"]
    began = time.monotonic()
    for chart in charts:
        for action in ("lint", "template"):
            command = [HELM, action, chart, "--values", f"{chart}.values.yaml", "--kube-version", version]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert not re.search(r"\[(WARNING|ERROR)\]", done.stdout), done.stdout
    seconds = time.monotonic() - began
    record("SC-006", "helm lint and helm template of each chart", seconds=seconds, promise=60)


def test_each_door_has_a_documented_command_that_opens_it(stack: Stack, record: Record) -> None:
    commands = DOCUMENTED.findall((ROOT / "docs/operate.md").read_text())
    documented = {
        (service, int(port.rpartition(":")[2])) for service, ports in commands for port in ports.split()
    }
    assert documented == {(door.service, door.port) for door in DOORS}
    began = time.monotonic()
    for door in DOORS:
        with forwarded(stack.kubectl, door) as port:
            until(lambda door=door, port=port: door.answers(port), 20)
    seconds = time.monotonic() - began
    record("FR-018", f"The documented commands of {len(DOORS)} doors", seconds=seconds, promise=120)


@contextmanager
def forwarded(kubectl: Kubectl, door: Door) -> Iterator[int]:
    """kubectl's own forward to a door, on a free port."""
    command = kubectl.command("port-forward", f"service/{door.service}", f":{door.port}")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
            assert found
            yield int(found[1])
        finally:
            process.terminate()
