"""Inputs that must be refused, each with the message that it must get, and inputs that must pass."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from .conftest import CHECKOUT

HERE = Path(__file__).parent
HELM = CHECKOUT / ".cache/bin/helm"  # made by scripts/kubernetes_tools.py
STAND_INS = CHECKOUT / "roles/testbed/files/charts"
REFUSED, ACCEPTED = (sorted((HERE / name).glob("*.yml")) for name in ("refused", "accepted"))


@pytest.fixture(scope="session")
def chart(chart_folder: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    destination = tmp_path_factory.mktemp("charts") / "floe-infrastructure"
    dependencies = {
        "postgresql": STAND_INS / "postgresql",
        "jaeger": STAND_INS / "jaeger",
        "minio": CHECKOUT / ".cache/charts/minio",
    }
    chart_folder.build_chart(CHECKOUT / "charts/floe-infrastructure", destination, dependencies, None)
    return destination


def problems_of(file: Path, rules: ModuleType, chart_values: ModuleType, chart: Path) -> list[str]:
    """What a deploy with the variables of a file would refuse."""
    given = yaml.safe_load(file.read_text())
    inventory = yaml.safe_load((CHECKOUT / "inventory/local/group_vars/all/main.yml").read_text())
    defaults: dict[str, Any] = {k: v for k, v in inventory.items() if "{{" not in str(v)}
    unknown = given.get("variables", {}).keys() - defaults.keys()
    assert not unknown, f"{file.name} sets what no inventory has: {unknown}"
    variables = defaults | given.get("variables", {})

    problems: list[str] = rules.settings(variables)
    problems += rules.context(given.get("context", "docker-desktop"), variables["floe_allow_context"])
    if isinstance(variables["floe_ports"], dict):
        problems += rules.same_ports(default_ports(inventory) | variables["floe_ports"])
    if not problems:
        places = yaml.safe_load((CHECKOUT / "roles/infrastructure/vars/main.yml").read_text())
        values = chart_values.image_values(variables["floe_images"], places["_infrastructure_image_places"])
        problems += rendering_problems(chart, values | given.get("values", {}))
    return problems


def default_ports(inventory: dict[str, Any]) -> dict[str, int]:
    literal = inventory["floe_local_ports"].partition("| combine")[0].partition("{{")[2]
    ports: dict[str, int] = yaml.safe_load(literal)
    return ports


def rendering_problems(chart: Path, values: dict[str, Any]) -> list[str]:
    command = [HELM, "template", "floe-infrastructure", chart, "--values", "-"]
    done = subprocess.run(command, input=yaml.safe_dump(values), capture_output=True, text=True, check=False)
    return [done.stderr] if done.returncode else []


@pytest.mark.parametrize("file", REFUSED, ids=lambda file: file.stem)
def test_refused(file: Path, rules: ModuleType, chart_values: ModuleType, chart: Path) -> None:
    problems = problems_of(file, rules, chart_values, chart)
    wanted = yaml.safe_load(file.read_text())["says"]
    assert any(wanted in problem for problem in problems), problems


@pytest.mark.parametrize("file", ACCEPTED, ids=lambda file: file.stem)
def test_accepted(file: Path, rules: ModuleType, chart_values: ModuleType, chart: Path) -> None:
    assert problems_of(file, rules, chart_values, chart) == []


def test_there_are_enough() -> None:
    assert len(REFUSED) >= 25
    assert len(ACCEPTED) >= 10


def test_everything_that_is_wrong_comes_in_one_list(rules: ModuleType) -> None:
    inventory = yaml.safe_load((CHECKOUT / "inventory/local/group_vars/all/main.yml").read_text())
    wrong = {"floe_namespace": "A", "floe_ports": {"dagster": 1, "x": 2}, "floe_images": {"minio": "a"}}
    problems = rules.settings(inventory | wrong)
    assert len(problems) == 4, problems
