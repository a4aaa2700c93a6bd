"""`floe stack ...` where something is missing: one line that says what to do, and an exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from floe_pipeline.cli import main
from floe_pipeline.options import Chosen
from floe_stack.connection import Connection

from .conftest import Cluster

SOURCES = Path(__file__).parents[2] / "src"
Floe = Callable[..., tuple[int, str]]


@pytest.fixture
def floe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Floe:
    """Run `floe stack` in an empty folder; gives exit code and what was said."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        Chosen.verbose = False
        with pytest.raises(SystemExit) as left:
            main(["stack", *arguments])
        assert isinstance(left.value.code, int)
        return left.value.code, capsys.readouterr().err

    return run


def write(folder: Path, text: str) -> None:
    file = folder / "build/testbed/connection.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize("command", ["verify", "generate", "port-forward", "status", "reset-data"])
def test_without_a_connection_it_is_said_what_writes_one(floe: Floe, command: str) -> None:
    code, said = floe(command, "--target", "testbed")
    assert code == 1
    assert said.splitlines()[-1] == (
        "floe: build/testbed/connection.json is not there: `make connection TARGET=testbed` writes it"
    )


def test_a_connection_that_cannot_be_used_names_the_field(
    floe: Floe, tmp_path: Path, connection: Connection
) -> None:
    wrong = json.loads(connection.model_dump_json())
    wrong["ports"]["dagster"] = 70000
    write(tmp_path, json.dumps(wrong))
    code, said = floe("status", "--target", "testbed")
    assert code == 1
    assert "ports.dagster: Input should be less than or equal to 65535" in said


def test_a_kubectl_that_is_missing_is_named(floe: Floe, tmp_path: Path, connection: Connection) -> None:
    write(tmp_path, connection.model_copy(update={"kubectl": "no-such-kubectl"}).model_dump_json())
    code, said = floe("status", "--target", "testbed")
    assert code == 1
    assert "no-such-kubectl is not there: install kubectl, or set floe_kubectl" in said


def test_a_namespace_that_is_missing_is_kubectls_own_error(
    floe: Floe, tmp_path: Path, cluster: Cluster, connection: Connection
) -> None:
    (cluster.folder / "namespace.json").unlink()
    write(tmp_path, connection.model_dump_json())
    code, said = floe("generate", "--target", "testbed")
    assert code == 1
    assert "kubectl get namespace floe: Error from server (NotFound)" in said
    assert cluster.pids() == []


def test_a_part_that_is_not_there_is_answered_with_those_that_are(
    floe: Floe, tmp_path: Path, cluster: Cluster, connection: Connection
) -> None:
    write(tmp_path, connection.model_dump_json())
    items = [{"kind": "Deployment", "metadata": {"name": "cube"}}]
    (cluster.folder / "deployments,statefulsets,jobs.json").write_text(json.dumps({"items": items}))
    assert "name a part (SERVICE=...); there are: cube" in floe("logs", "--target", "testbed")[1]
    assert "'cub' is no part; there are: cube" in floe("logs", "cub", "--target", "testbed")[1]


@pytest.mark.parametrize("orders", ["0", "-1", "1.5", "1000001", "many"])
def test_a_batch_of_a_wrong_size_is_refused_before_anything_is_asked(floe: Floe, orders: str) -> None:
    code, said = floe("generate", f"--orders={orders}")
    assert code == 2
    assert f"'{orders}' is not a whole number from 1 to 1000000" in said


def test_only_the_command_line_knows_of_this_package() -> None:
    knowing = [
        path.relative_to(SOURCES).as_posix()
        for package in ("floe_pipeline", "floe_synthetic", "floe_catalog")
        for path in (SOURCES / package).rglob("*.py")
        if "floe_stack" in path.read_text()
    ]
    assert knowing == ["floe_pipeline/cli.py"]
