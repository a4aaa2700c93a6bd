"""`floe stack doctor`: one table of what a deploy needs and what the stack suffers from."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from floe_pipeline.cli import main
from floe_pipeline.options import Chosen
from floe_stack.connection import Connection

from .conftest import Cluster

WELL = [
    {"check": "tools", "seen": "helm v4.0.1", "problems": []},
    {"check": "cluster", "seen": "kind", "problems": []},
]
ANSIBLE = """#!{python}
import json, pathlib, sys
given = json.loads(sys.argv[sys.argv.index("--extra-vars") + 1])
pathlib.Path("asked.json").write_text(json.dumps([sys.argv[1:], given]))
answer = pathlib.Path("answer.json")
if not answer.exists():
    print("PLAY [Deploy]"), sys.exit("[ERROR]: the inventory cannot be read")
pathlib.Path(given["preflight_answer"]).write_text(answer.read_text())
"""
Doctor = Callable[..., tuple[int, str]]


@pytest.fixture
def doctor(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    connection: Connection,
) -> Doctor:
    """Run it with what preflight sees; gives the exit code and the table."""
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "bin" / "ansible-playbook"
    program.parent.mkdir()
    program.write_text(ANSIBLE.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    def run(looked: list[dict[str, object]] | None = WELL, **other: object) -> tuple[int, str]:
        if looked is not None:
            (tmp_path / "answer.json").write_text(json.dumps(looked))
        file = tmp_path / "build/testbed/connection.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(connection.model_copy(update=other).model_dump_json())
        Chosen.verbose = False
        with pytest.raises(SystemExit) as left:
            main(["stack", "doctor", "--target", "testbed"])
        assert isinstance(left.value.code, int)
        return left.value.code, capsys.readouterr().out

    return run


@pytest.fixture
def cluster(cluster: Cluster) -> Cluster:
    for kind in ("secrets", "jobs", "pods", "nodes"):
        cluster.has(kind)
    return cluster


def test_a_machine_that_may_deploy_is_well(doctor: Doctor, cluster: Cluster) -> None:
    (cluster.folder / "namespace.json").unlink()
    code, said = doctor()
    assert code == 0
    assert said.splitlines() == [
        "ok  tools    helm v4.0.1",
        "ok  cluster  kind",
        "ok  stack    nothing is deployed in namespace floe",
        "             make deploy-local-full TARGET=testbed",
    ]


def test_preflight_is_asked_about_the_stack_that_commands_look_at(
    doctor: Doctor, cluster: Cluster, tmp_path: Path
) -> None:
    del cluster
    doctor(namespace="other", context="kind")
    arguments, given = json.loads((tmp_path / "asked.json").read_text())
    assert arguments[:5] == ["--inventory", "inventory/testbed", "deploy.yml", "--tags", "preflight"]
    assert (given["floe_namespace"], given["floe_context"]) == ("other", "kind")
    assert given["floe_ports"].keys() == {"dagster", "cube_api", "cube_sql", "jaeger", "marquez", "minio"}


@pytest.mark.parametrize(
    ("check", "problem", "remedy"),
    [
        ("tools", "helm is v3.10.0: version 3.19 or newer is needed", "helm-or-kubectl"),
        ("ports", "port 3000 (dagster) on 127.0.0.1 is taken by grafana (process 7)", "a-port-is-taken"),
        ("capacity", "memory: 1100 MiB are requested, 9 are left", "not-enough-memory-or-cpu"),
        ("cluster", "floe_context='x' is not in the kubeconfig", "the-context-or-the-api-server"),
    ],
)
def test_what_a_deploy_would_refuse_is_shown_with_a_heading(
    doctor: Doctor, cluster: Cluster, check: str, problem: str, remedy: str
) -> None:
    (cluster.folder / "namespace.json").unlink()
    code, said = doctor([{"check": check, "seen": "", "problems": [problem, "something else"]}])
    assert code == 1
    assert f"no  {check}" in said
    assert f"{problem}\n" in said
    assert said.count(f"see docs/troubleshooting.md#{remedy}") == 2


def test_a_cluster_that_is_away_is_not_asked_twice(doctor: Doctor) -> None:
    away = "the API server does not answer: is your local Kubernetes running? (refused)"
    code, said = doctor([{"check": "cluster", "seen": "", "problems": [away]}], kubectl="never-started")
    assert code == 1
    assert "no  stack    it cannot be looked at" in said
    assert "never-started" not in said


def test_a_kubectl_that_is_missing_is_named(doctor: Doctor) -> None:
    code, said = doctor(
        [{"check": "tools", "seen": "", "problems": ["kubectl is not on PATH"]}], kubectl="gone"
    )
    assert code == 1
    assert "gone is not there: install kubectl" in said


def test_faults_of_the_stack_come_below(doctor: Doctor, cluster: Cluster) -> None:
    labels = {"name": "floe-infrastructure", "version": "2", "status": "failed"}
    cluster.has("secrets", {"metadata": {"labels": labels}})
    code, said = doctor()
    assert code == 1
    assert said.splitlines()[2:4] == [
        "no  release floe-infrastructure  its revision 2 is failed",
        f"    {'':<27}  make deploy-local-infra TARGET=testbed; see docs/troubleshooting.md#a-deploy-stops",
    ]


def test_a_preflight_that_cannot_run_hides_no_stack(doctor: Doctor, cluster: Cluster) -> None:
    (cluster.folder / "namespace.json").unlink()
    code, said = doctor(None)
    assert code == 1
    assert "no  preflight  [ERROR]: the inventory cannot be read" in said
    assert "nothing is deployed" in said
