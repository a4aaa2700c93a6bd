"""What holds for every chart in charts/: linted, valid, strict, documented, the same under both Helms."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from . import policies
from .conftest import Chart, Refusal, Render
from .helm import CHARTS, REPOSITORY, STAND_INS, Helm, find_tool
from .manifests import Manifests

NAMES = sorted(chart.parent.name for chart in CHARTS.glob("*/Chart.yaml"))
SCHEMAS = REPOSITORY / ".cache/kubernetes-schemas"
for_every_chart = pytest.mark.parametrize("name", NAMES)
# What scripts, people and other charts rely on: Service -> ports that must be there.
SERVICES = {
    "floe-infrastructure": {
        "postgresql": {5432},
        "minio": {9000},
        "minio-console": {9001},
        "polaris": {8181},
        "polaris-mgmt": {8182},
        "jaeger": {16686, 4317, 4318},
        "marquez": {5000},
        "marquez-admin": {5001},
        "marquez-web": {3000},
    },
    "floe-dagster": {"dagster-webserver": {3000}, "dagster-code": {4266}},
    "floe-cube": {"cube": {4000, 15432}, "cubestore": {3030, 3031}},
}
# MiB that the servers of a chart may ask for and use: together they have to fit into 4 GiB.
MEMORY = {"floe-infrastructure": (1100, 2900), "floe-dagster": (752, 2304), "floe-cube": (384, 1280)}
# Jaeger's chart has its probes built in; the role infrastructure patches them.
UNWATCHED = {"floe-infrastructure": ["jaeger/jaeger: needs a startup, a readiness and a liveness probe"]}
# Programs that write nothing, or only to a volume of their own.
WITHOUT_TMP = ("marquez-web", "minio", "jaeger")


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


def problems(objects: Manifests, policy: Callable[..., list[str]], **options: Any) -> list[str]:
    """What a policy says of every pod."""
    return [problem for pod in objects.pods for problem in policy(pod, **options)]


@for_every_chart
def test_services_have_the_names_and_ports_of_the_contract(render: Render, name: str) -> None:
    services = render(name).kind("Service")
    found = {service: set(each.service_ports) for service, each in services.items()}
    assert {service: found[service] & ports for service, ports in SERVICES[name].items()} == SERVICES[name]


@for_every_chart
def test_services_lead_to_ports_of_one_workload(render: Render, name: str) -> None:
    objects = render(name)
    for service in objects.kind("Service").values():
        selector = service.spec["selector"].items()
        (pod,) = (each for each in objects.pods if selector <= each.labels.items())
        open_ports = [port for container in pod.spec.containers for port in container.ports]
        targets = {port.name for port in open_ports} | {port.container_port for port in open_ports}
        wanted = SERVICES[name].get(service.metadata.name, set())
        assert {service.service_ports[port] for port in wanted} <= targets, service.metadata.name


@for_every_chart
def test_services_are_reached_from_inside_the_cluster_only(render: Render, name: str) -> None:
    kinds = {each.spec.get("type", "ClusterIP") for each in render(name).kind("Service").values()}
    assert kinds == {"ClusterIP"}


@for_every_chart
def test_every_pod_passes_restricted(render: Render, name: str) -> None:
    for file, values in values_files(name).items():
        fixed_ids = not values.get("openshift", False)
        assert problems(render(name, values), policies.not_restricted, fixed_ids=fixed_ids) == [], file


@for_every_chart
def test_openshift_gives_the_user_ids(render: Render, name: str) -> None:
    objects = render(name, values_files(name).get("values-openshift.yaml", {"openshift": True}))
    assert not re.search(r"(runAsUser|runAsGroup|fsGroup): \d", objects.text)


@for_every_chart
def test_servers_are_watched(render: Render, name: str) -> None:
    assert problems(render(name), policies.without_good_probes) == UNWATCHED.get(name, [])


@for_every_chart
def test_a_read_only_root_leaves_room_to_write(render: Render, name: str) -> None:
    assert problems(render(name), policies.without_room_to_write, programs=WITHOUT_TMP) == []


@for_every_chart
def test_the_stack_fits_into_a_small_machine(render: Render, name: str) -> None:
    memory, (requests, limits) = policies.sums(render(name).pods), MEMORY[name]
    assert memory["requests"] <= requests
    assert memory["limits"] <= limits


@for_every_chart
def test_no_secret_is_written_out(render: Render, name: str) -> None:
    assert policies.secrets_written_out(render(name)) == []


@for_every_chart
def test_secrets_are_those_of_the_readme(render: Render, name: str) -> None:
    described = policies.secrets_of_readme((CHARTS / name / "README.md").read_text())
    objects = render(name)
    used = {key for pod in objects.pods for c in pod.spec.all_containers for key in c.secret_keys.values()}
    mounted = set(re.findall(r"secret(?:Name)?: \{?(?:name: )?(floe-[a-z-]+)", objects.text))
    assert used <= described, "a key is used that the README does not tell"
    assert {secret for secret, _ in described} == {secret for secret, _ in used} | mounted


@for_every_chart
def test_every_container_is_limited(render: Render, name: str) -> None:
    assert problems(render(name), policies.without_limits) == []


@for_every_chart
def test_no_secret_is_an_argument(render: Render, name: str) -> None:
    assert problems(render(name), policies.secrets_in_arguments) == []


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


@pytest.mark.parametrize("helper", ["floe.selector", "floe.image", "floe.containerSecurity"])
def test_copies_of_a_helper_are_alike(helper: str) -> None:
    pattern = re.compile(rf'{{{{- define "{re.escape(helper)}" -}}}}\n(.*?)\n{{{{- end }}}}', re.DOTALL)
    found = [pattern.findall((CHARTS / name / "templates/_helpers.tpl").read_text()) for name in NAMES]
    assert found == [found[0]] * len(NAMES)
    assert len(found[0]) == 1


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
