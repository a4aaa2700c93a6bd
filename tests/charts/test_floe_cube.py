"""floe-cube as it is rendered: what a user, a cluster's admission or an attacker would notice."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from .conftest import Refusal, Render
from .helm import CHARTS, Helm
from .manifests import Container, Manifests

NAME = "floe-cube"
CHART = CHARTS / NAME


@pytest.fixture
def rendered(render: Render) -> Manifests:
    return render(NAME)


@pytest.fixture
def cube(rendered: Manifests) -> Container:
    return rendered.pod("cube").container("cube")


def test_only_readiness_asks_the_catalog(cube: Container) -> None:
    """A Cube that is killed because its catalog is down would be no nearer to an answer."""
    probes = (cube.startup_probe, cube.readiness_probe, cube.liveness_probe)
    paths = [probe.http_get.path for probe in probes if probe and probe.http_get]
    assert paths == ["/", "/readyz", "/"]


def test_cube_says_why_it_is_not_ready(rendered: Manifests) -> None:
    """Without its address nobody could read the message; a client would only time out."""
    assert rendered.get("Service", "cube").spec["publishNotReadyAddresses"] is True


def test_what_is_written_goes_to_volumes(rendered: Manifests, cube: Container) -> None:
    assert cube.values["HOME"] == "/tmp", "DuckDB keeps extensions in its home"
    store = rendered.pod("cubestore").container("cubestore")
    (data,) = (mount.mount_path for mount in store.volume_mounts if mount.name == "data")
    for folder in ("CUBESTORE_DATA_DIR", "CUBESTORE_REMOTE_DIR"):
        assert store.values[folder].startswith(f"{data}/")


def test_cube_holds_no_keys_but_its_own(cube: Container) -> None:
    assert {secret for secret, _ in cube.secret_keys.values()} == {"floe-cube", "floe-polaris-cube"}
    assert not [each.name for each in cube.env if "S3" in each.name or "AWS" in each.name]


def test_variables_are_all_that_cube_js_reads(cube: Container) -> None:
    read = set(re.findall(r"setting\('(\w+)'", (CHART / "cube.js").read_text()))
    assert {each.name for each in cube.env if each.name.startswith("FLOE_")} == read


def test_configuration_is_mounted_as_it_is_in_the_chart(rendered: Manifests, cube: Container) -> None:
    pod = rendered.pod("cube")
    (config,) = (volume.config_map for volume in pod.spec.volumes if volume.config_map)
    data = rendered.get("ConfigMap", config["name"]).data
    mounted = {item["path"]: data[item["key"]].strip() for item in config["items"]}
    files = [*CHART.glob("*.js"), *CHART.glob("model/*.yml")]
    wanted = {str(file.relative_to(CHART)) for file in files}
    assert mounted == {path: (CHART / path).read_text().strip() for path in wanted}
    assert "/cube/conf" in {mount.mount_path for mount in cube.volume_mounts}


def test_traces_go_where_those_of_runs_go(render: Render, cube: Container) -> None:
    (code,) = render("floe-dagster").pod("dagster-code").spec.containers
    for name in ("FLOE_TRACES", "FLOE_OTLP_ENDPOINT"):
        assert cube.values[name] == code.values[name]


def test_changed_model_restarts_cube_alone(helm: Helm, rendered: Manifests, tmp_path: Path) -> None:
    changed = shutil.copytree(CHART, tmp_path / NAME)
    with (changed / "model/orders.yml").open("a") as model:
        model.write("# changed\n")
    again = helm.template(changed)
    assert again.pod("cube").annotations != rendered.pod("cube").annotations
    assert again.pod("cubestore") == rendered.pod("cubestore")


def test_cube_store_can_be_left_out(render: Render, rendered: Manifests, cube: Container) -> None:
    assert cube.values["CUBEJS_CACHE_AND_QUEUE_DRIVER"] == "cubestore"
    assert (
        f"{cube.values['CUBEJS_CUBESTORE_HOST']}:{cube.values['CUBEJS_CUBESTORE_PORT']}" == "cubestore:3030"
    )
    alone = render(NAME, {"cubestore": {"enabled": False}})
    assert "cubestore" not in {each.metadata.name for each in alone}
    values = alone.pod("cube").container("cube").values
    assert values["CUBEJS_CACHE_AND_QUEUE_DRIVER"] == "memory"
    assert not [name for name in values if "CUBESTORE" in name]


def test_questions_under_way_are_finished(rendered: Manifests, cube: Container) -> None:
    grace = rendered.pod("cube").spec.termination_grace_period_seconds
    assert grace is not None
    assert int(cube.values["CUBEJS_GRACEFUL_SHUTDOWN"]) < grace


def test_no_variables_of_services_and_no_api_token(rendered: Manifests) -> None:
    for pod in rendered.pods:
        assert pod.spec.enable_service_links is False, "a Service cubestore would set CUBESTORE_PORT=tcp://…"
        assert pod.spec.automount_service_account_token is False


@pytest.mark.parametrize("name", ["cube", "cubestore"])
def test_every_image_can_be_replaced(render: Render, name: str) -> None:
    image = {"repository": "mirror/replaced", "tag": "9.9.9", "pullPolicy": "Always"}
    objects = render(NAME, {name: {"image": image}, "imagePullSecrets": ["mirror"]})
    container = objects.pod(name).container(name)
    assert (container.image, container.image_pull_policy) == ("mirror/replaced:9.9.9", "Always")
    for pod in objects.pods:
        assert (pod.spec.model_extra or {})["imagePullSecrets"] == [{"name": "mirror"}]


def test_values_reach_cube(render: Render) -> None:
    lake = {"uri": "https://catalog.example/api", "catalog": "demo", "scope": "PRINCIPAL_ROLE:reader"}
    values = {
        "lake": lake,
        "freshnessSeconds": 7,
        "telemetry": {"traces": "off", "otlpEndpoint": "https://collector.example/otlp"},
        "logLevel": "info",
        "cube": {"duckdbMemory": "1GB"},
    }
    found = render(NAME, values).pod("cube").container("cube").values
    assert found["FLOE_CATALOG_URI"] == lake["uri"]
    assert found["FLOE_CATALOG_NAME"] == lake["catalog"]
    assert found["FLOE_CATALOG_SCOPE"] == lake["scope"]
    assert found["FLOE_CUBE_FRESHNESS_SECONDS"] == "7"
    assert found["FLOE_TRACES"] == "off"
    assert found["FLOE_OTLP_ENDPOINT"] == "https://collector.example/otlp"
    assert found["CUBEJS_LOG_LEVEL"] == "info"
    assert found["CUBEJS_DB_DUCKDB_MEMORY_LIMIT"] == "1GB"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cubes": {}}, "cubes"),
        ({"cube": {"imag": {}}}, "imag"),
        ({"cube": {"image": {"tag": ""}}}, "/cube/image/tag"),
        ({"cube": {"duckdbMemory": "256Mi"}}, "256Mi"),
        ({"cubestore": {"enabled": "no"}}, "enabled"),
        ({"cubestore": {"size": "big"}}, "big"),
        ({"freshnessSeconds": 0}, "freshnessSeconds"),
        ({"freshnessSeconds": "2s"}, "freshnessSeconds"),
        ({"telemetry": {"traces": "file"}}, "/telemetry/traces"),
        ({"telemetry": {"otlpEndpoint": "jaeger:4318"}}, "otlpEndpoint"),
        ({"telemetry": {"tracesUrl": ""}}, "tracesUrl"),
        ({"logLevel": "LOUD"}, "logLevel"),
        ({"lake": {"uri": "polaris:8181"}}, "uri"),
        ({"lake": {"scope": "ALL"}}, "scope"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_wrong_values_are_refused_by_name(refusal: Refusal, values: dict[str, object], message: str) -> None:
    assert message in refusal(NAME, values)
