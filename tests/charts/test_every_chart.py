"""What holds for every chart in charts/: linted, valid, strict, documented, the same under both Helms."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from . import policies
from .conftest import Chart, Refusal, Render
from .helm import CHARTS, REPOSITORY, STAND_INS, Helm, find_tool

NAMES = sorted(chart.parent.name for chart in CHARTS.glob("*/Chart.yaml"))
SCHEMAS = REPOSITORY / ".cache/kubernetes-schemas"
for_every_chart = pytest.mark.parametrize("name", NAMES)


def values_files(name: str) -> dict[str, dict[str, Any]]:
    """Values with which a chart is used: its own, those of its further files, those of ci/."""
    files = [*CHARTS.joinpath(name).glob("values*.yaml"), *CHARTS.joinpath(name, "ci").glob("*.yaml")]
    return {file.name: yaml.safe_load(file.read_text()) or {} for file in sorted(files)}


@for_every_chart
def test_helm_lint_finds_nothing(every_helm: Helm, chart: Chart, name: str) -> None:
    for values in values_files(name).values():
        said = every_helm.lint(chart(name), values)
        assert "[WARNING]" not in said
        assert "[ERROR]" not in said


@for_every_chart
def test_helm_3_and_4_render_the_same(every_helm: Helm, render: Render, chart: Chart, name: str) -> None:
    for file, values in values_files(name).items():
        mine = [each.raw for each in every_helm.template(chart(name), values)]
        assert sorted(mine, key=json.dumps) == sorted(
            (each.raw for each in render(name, values)), key=json.dumps
        ), file


@for_every_chart
def test_every_container_is_limited(render: Render, name: str) -> None:
    assert [problem for pod in render(name).pods for problem in policies.without_limits(pod)] == []


@for_every_chart
def test_no_secret_is_an_argument(render: Render, name: str) -> None:
    assert [problem for pod in render(name).pods for problem in policies.secrets_in_arguments(pod)] == []


@for_every_chart
def test_kubernetes_accepts_every_object(render: Render, name: str, tmp_path: Path) -> None:
    kubeconform = find_tool("kubeconform")
    if kubeconform is None:
        pytest.skip("kubeconform needs Go to be compiled: install it and run `make test-charts`")
    for file, values in values_files(name).items():
        objects = tmp_path / file
        objects.write_text(render(name, values).text)
        template = f"{SCHEMAS}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
        command = [str(kubeconform), "-strict", "-summary", "-schema-location", template, str(objects)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Skipped: 0" in done.stdout


@for_every_chart
def test_an_unknown_key_is_refused_by_name(refusal: Refusal, name: str) -> None:
    assert "no-such-key" in refusal(name, {"no-such-key": True})


@for_every_chart
def test_schema_is_strict_all_the_way_down(name: str) -> None:
    schema = json.loads((CHARTS / name / "values.schema.json").read_text())
    own = {
        **schema,
        "$defs": {key: part for key, part in schema.get("$defs", {}).items() if key != "dependencies"},
    }
    assert list(open_objects(own)) == []


def open_objects(schema: Any, path: str = "") -> list[str]:
    """Paths of objects that list their keys and yet accept others."""
    found = []
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and schema.get("additionalProperties") is not False:
            found.append(path or "/")
        for key, part in schema.items():
            found += open_objects(part, f"{path}/{key}")
    return found


@for_every_chart
def test_readme_table_says_what_values_yaml_says(name: str) -> None:
    command = [sys.executable, str(REPOSITORY / "scripts/chart_readme.py"), "--check", str(CHARTS / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@for_every_chart
def test_every_own_value_is_documented(name: str) -> None:
    """A key of values.yaml is in the README's table, or below one that is."""
    chart = yaml.safe_load((CHARTS / name / "Chart.yaml").read_text())
    dependencies = {each["name"] for each in chart.get("dependencies", [])}
    readme = (CHARTS / name / "README.md").read_text()
    values = yaml.safe_load((CHARTS / name / "values.yaml").read_text())
    missing = [
        path
        for path in leaves(values)
        if not any(f"| `{'.'.join(path[:n])}` |" in readme for n in range(1, len(path) + 1))
    ]
    assert [".".join(path) for path in missing if path[0] not in dependencies] == []


def leaves(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of everything in nested maps that is not itself a map."""
    if isinstance(value, dict) and value:
        return [leaf for key, part in value.items() for leaf in leaves(part, (*path, key))]
    return [path]


@for_every_chart
def test_lock_fits_the_dependencies(name: str) -> None:
    """`helm dependency build` refuses a lock whose digest is not that of what is asked and locked."""
    wanted = yaml.safe_load((CHARTS / name / "Chart.yaml").read_text()).get("dependencies", [])
    if not wanted:
        pytest.skip("no dependencies")
    lock = yaml.safe_load((CHARTS / name / "Chart.lock").read_text())
    keys = ("name", "version", "repository")  # in the order in which Helm writes them
    ordered = [[{key: each[key] for key in keys} for each in part] for part in (wanted, lock["dependencies"])]
    digest = hashlib.sha256(json.dumps(ordered, separators=(",", ":")).encode()).hexdigest()
    assert lock["digest"] == f"sha256:{digest}"


def test_stand_ins_have_the_versions_of_the_real_charts() -> None:
    chart = yaml.safe_load((CHARTS / "floe-infrastructure/Chart.yaml").read_text())
    pinned = {each["name"]: each["version"] for each in chart["dependencies"]}
    for file in STAND_INS.glob("*/Chart.yaml"):
        stand_in = yaml.safe_load(file.read_text())
        assert stand_in["version"] == pinned[stand_in["name"]]


def test_stand_ins_have_only_keys_of_the_real_charts() -> None:
    schema = json.loads((CHARTS / "floe-infrastructure/values.schema.json").read_text())
    for file in STAND_INS.glob("*/values.yaml"):
        known = schema["$defs"]["dependencies"][file.parent.name]
        assert [
            ".".join(path) for path in leaves(yaml.safe_load(file.read_text())) if not is_known(known, path)
        ] == []


def is_known(schema: dict[str, Any], path: tuple[str, ...]) -> bool:
    """Whether a schema has a key; below a map that is free, every key is known."""
    for key in path:
        if "properties" not in schema:
            return True
        if key not in schema["properties"]:
            return False
        schema = schema["properties"][key]
    return True
