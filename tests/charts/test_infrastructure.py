"""floe-infrastructure as it is rendered: what a user, a cluster's admission or an attacker would notice."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from .conftest import Chart, Refusal, Render
from .helm import CHARTS, Helm
from .manifests import Manifests

NAME = "floe-infrastructure"
CHART = CHARTS / NAME
OWN = {"polaris", "marquez", "marquez-web", "floe-bootstrap", "floe-keeper"}
IMAGES = {
    ("bootstrap", "image"): "floe-bootstrap",
    ("polaris", "image"): "polaris",
    ("polaris", "adminTool", "image"): "polaris",
    ("marquez", "image"): "marquez",
    ("marquez", "web", "image"): "marquez-web",
    ("postgresql", "image"): "postgresql",
    ("minio", "image"): "minio",
    ("jaeger", "jaeger", "image"): "jaeger",
}


def values_file(name: str) -> dict[str, object]:
    return dict(yaml.safe_load((CHART / name).read_text()))


@pytest.fixture
def rendered(render: Render) -> Manifests:
    return render(NAME)


def test_another_version_of_the_chart_leaves_the_pods_alone(
    helm: Helm, chart: Chart, rendered: Manifests, tmp_path: Path
) -> None:
    newer = tmp_path / NAME
    shutil.copytree(chart(NAME), newer)
    description = newer / "Chart.yaml"
    description.write_text(re.sub(r"^version:.*$", "version: 99.0.0", description.read_text(), flags=re.M))
    objects = helm.template(newer)
    labels = objects.get("Deployment", "polaris").raw["metadata"]["labels"]
    assert labels["helm.sh/chart"] == f"{NAME}-99.0.0"
    assert templates(objects) == templates(rendered)


def templates(objects: Manifests) -> dict[str, object]:
    """What the pods of each Deployment and StatefulSet are made from."""
    kinds = ("Deployment", "StatefulSet")
    return {name: item.spec["template"] for kind in kinds for name, item in objects.kind(kind).items()}


def test_health_is_to_be_had_of_pods_that_are_not_ready(rendered: Manifests) -> None:
    for name in ("polaris-mgmt", "marquez-admin"):
        assert rendered.get("Service", name).spec["publishNotReadyAddresses"] is True


def test_root_keys_are_held_by_the_bootstrap_alone(rendered: Manifests) -> None:
    holders: dict[str, set[str]] = {}
    for pod in rendered.pods:
        for container in pod.spec.all_containers:
            for name, _ in container.secret_keys.values():
                holders.setdefault(name, set()).add(f"{pod.name}/{container.name}")
    jobs = {"floe-bootstrap/bootstrap", "floe-bootstrap/storage-user", "floe-keeper/keeper"}
    assert holders["floe-minio"] == {"minio/minio", *jobs}
    assert holders["floe-polaris-root"] == {"polaris/root-credentials", *jobs}
    assert holders["floe-minio-polaris"] == {"polaris/polaris", *jobs}


@pytest.mark.parametrize("path", IMAGES, ids=".".join)
def test_every_image_can_be_replaced(render: Render, rendered: Manifests, path: tuple[str, ...]) -> None:
    image: dict[str, object] = {"repository": "mirror/replaced", "tag": "9.9.9"}
    if path[0] in {"postgresql", "jaeger"}:
        image["registry"] = "registry.example"
    values: dict[str, object] = image
    for key in reversed(path):
        values = {key: values}
    changed = render(NAME, values).pod(IMAGES[path])
    assert any(each.image.endswith("mirror/replaced:9.9.9") for each in changed.spec.all_containers)
    assert len(IMAGES) == len({each.image for pod in rendered.pods for each in pod.spec.all_containers})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"polariss": {}}, "polariss"),
        ({"polaris": {"imag": {}}}, "imag"),
        ({"polaris": {"image": {"tag": ""}}}, "/polaris/image/tag"),
        ({"polaris": {"resources": {"limits": {"memory": "-5Mi"}}}}, "-5Mi"),
        ({"polaris": {"tokenLifetime": 3600}}, "/polaris/tokenLifetime"),
        ({"polaris": {"tokenLifetime": "1h"}}, "/polaris/tokenLifetime"),
        ({"polaris": {"tokenLifetime": "PT"}}, "/polaris/tokenLifetime"),
        ({"polaris": {"tokenLifetime": "PT0S"}}, "/polaris/tokenLifetime"),
        ({"marquez": {"logLevel": "LOUD"}}, "logLevel"),
        ({"bootstrap": {"backoffLimit": -1}}, "backoffLimit"),
        ({"bootstrap": {"image": {"tag": 1.7}}}, "/bootstrap/image/tag"),
        ({"lake": {"warehouse": "s3://floe-warehouse"}}, "warehouse"),
        ({"openshift": "yes"}, "openshift"),
        ({"minio": {"persistance": {"enabled": True}}}, "persistance"),
        ({"minio": {"persistence": {"enable": True}}}, "enable"),
        ({"postgresql": {"primary": {"persistence": {"enabled": "yes"}}}}, "enabled"),
        ({"postgresql": {"auth": {"pasword": "x"}}}, "pasword"),
        ({"jaeger": {"jaeger": {"image": {"tga": "1"}}}}, "tga"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_wrong_values_are_refused_by_name(refusal: Refusal, values: dict[str, object], message: str) -> None:
    assert message in refusal(NAME, values)


def test_nothing_outlives_its_pod_by_default(rendered: Manifests) -> None:
    assert not rendered.kind("PersistentVolumeClaim")
    assert all("volumeClaimTemplates" not in each.spec for each in rendered)


def test_volumes_by_one_file(render: Render) -> None:
    objects = render(NAME, values_file("values-persistent.yaml"))
    (claim,) = objects.get("StatefulSet", "postgresql").spec["volumeClaimTemplates"]
    mounts = {
        mount.name: mount.mount_path for mount in objects.pod("postgresql").spec.containers[0].volume_mounts
    }
    assert mounts[claim["metadata"]["name"]] == "/bitnami/postgresql"
    assert set(objects.kind("PersistentVolumeClaim")) == {"minio"}


def test_bootstrap_runs_after_install_and_upgrade(rendered: Manifests) -> None:
    job = rendered.get("Job", "floe-bootstrap")
    assert job.hooks == {"post-install", "post-upgrade"}
    assert job.metadata.annotations["helm.sh/hook-delete-policy"] == "before-hook-creation"
    assert job.spec["backoffLimit"] == 3
    assert job.pod is not None
    assert job.pod.spec.restart_policy == "Never"
    assert job.pod.container("bootstrap").command == ["floe", "bootstrap"]


def test_nothing_waits_for_the_hook(rendered: Manifests) -> None:
    """With --wait Helm starts hooks only when all pods are ready, so none may need what a hook makes."""
    assert {each.metadata.name for each in rendered if each.hooks} == {"floe-bootstrap"}


def test_bootstrap_variables_are_settings_of_the_pipeline(rendered: Manifests) -> None:
    from floe_pipeline.settings import Settings, variable  # noqa: PLC0415 - only this test needs the package

    known = {variable(field) for field in Settings.model_fields} | {
        "POLARIS_ACCESS_KEY",
        "POLARIS_SECRET_KEY",
    }
    container = rendered.pod("floe-bootstrap").container("bootstrap")
    assert {each.name for each in container.env} <= known


def test_polaris_keeps_its_state_in_the_database_and_its_tokens_over_a_restart(rendered: Manifests) -> None:
    polaris = rendered.pod("polaris")
    server, realm = polaris.container("polaris"), polaris.container("bootstrap-realm")
    for container in (server, realm):
        assert container.values["POLARIS_PERSISTENCE_TYPE"] == "relational-jdbc"
        assert container.values["QUARKUS_DATASOURCE_JDBC_URL"] == "jdbc:postgresql://postgresql:5432/polaris"
        assert container.secret_keys["QUARKUS_DATASOURCE_PASSWORD"] == ("floe-postgresql", "polaris-password")
    properties = rendered.get("ConfigMap", "polaris").data["application.properties"]
    assert "rsa-key-pair.private-key-file=/deployments/config/private.pem" in properties
    (mount,) = (mount for mount in server.volume_mounts if mount.mount_path == "/deployments/config")
    (volume,) = (volume for volume in polaris.spec.volumes if volume.name == mount.name)
    assert "floe-polaris-token-broker" in json.dumps(volume.model_dump())


@pytest.mark.parametrize("lifetime", ["PT1H", "PT15S", "PT90M", "PT12H30M15S"])
def test_tokens_live_as_long_as_they_are_told(render: Render, lifetime: str) -> None:
    objects = render(NAME, {"polaris": {"tokenLifetime": lifetime}})
    properties = objects.get("ConfigMap", "polaris").data["application.properties"].splitlines()
    assert f"polaris.authentication.token-broker.max-token-generation={lifetime}" in properties


def test_another_lifetime_of_tokens_restarts_polaris(render: Render, rendered: Manifests) -> None:
    changed = render(NAME, {"polaris": {"tokenLifetime": "PT5M"}})
    assert changed.pod("polaris").annotations != rendered.pod("polaris").annotations


@pytest.mark.parametrize("name", ["minio", "postgresql"])
def test_data_in_an_emptydir_cannot_fill_the_disk_of_the_node(rendered: Manifests, name: str) -> None:
    """Nor do they ask for room: a cluster that does not count it, as rootless ones, would find none."""
    resources = rendered.pod(name).container(name).resources
    assert str(resources.limits["ephemeral-storage"]).endswith("Gi")
    assert resources.requests["ephemeral-storage"] == "0"


def test_root_credentials_reach_the_admin_tool_in_a_file(rendered: Manifests, tmp_path: Path) -> None:
    polaris = rendered.pod("polaris")
    writer, tool = polaris.container("root-credentials"), polaris.container("bootstrap-realm")
    path = tool.args[-1].removeprefix("--credentials-file=")
    assert tool.args == ["bootstrap", f"--credentials-file={path}"]
    given = {"ROOT_CLIENT_ID": "root", "ROOT_CLIENT_SECRET": r"""a"b\c'd$e"""}
    assert set(writer.secret_keys) == set(given)
    file = tmp_path / "credentials.json"
    script = writer.command[-1].replace(path, str(file))
    subprocess.run([*writer.command[:-1], script], env={**writer.values, **given}, check=True)
    assert json.loads(file.read_text()) == {
        "POLARIS": {"client-id": "root", "client-secret": given["ROOT_CLIENT_SECRET"]}
    }
    assert file.stat().st_mode & 0o077 == 0
    (volume,) = (each for each in polaris.spec.volumes if each.name == "root-credentials")
    assert volume.empty_dir == {"medium": "Memory", "sizeLimit": "1Mi"}


@pytest.mark.parametrize("name", ["polaris", "marquez"])
def test_programs_that_end_without_a_database_wait_for_it(rendered: Manifests, name: str) -> None:
    first = rendered.pod(name).spec.init_containers[0]
    assert "pg_isready" in " ".join(first.command)
    assert first.image == rendered.pod("postgresql").container("postgresql").image


def test_own_pods_get_no_variables_of_services_and_no_api_token(rendered: Manifests) -> None:
    for pod in rendered.pods:
        if pod.name in OWN:
            assert pod.spec.enable_service_links is False, "a Service marquez would set MARQUEZ_PORT=tcp://…"
            assert pod.spec.automount_service_account_token is (pod.name == "floe-keeper")


def test_the_one_pod_that_uses_the_kubernetes_api_may_restart_three_deployments(rendered: Manifests) -> None:
    rules = [rule for role in rendered.kind("Role").values() for rule in role.raw["rules"]]
    assert rules == [
        {
            "apiGroups": ["apps"],
            "resources": ["deployments"],
            "resourceNames": ["polaris", "marquez", "dagster-webserver"],
            "verbs": ["patch"],
        }
    ]
    assert set(rendered.kind("Deployment")) >= {"polaris", "marquez"}
    assert not rendered.kind("ClusterRole")


def test_the_keeper_can_be_left_out(render: Render) -> None:
    left = render(NAME, {"keeper": {"enabled": False}})
    assert "floe-keeper" not in {each.metadata.name for each in left}
    assert "floe-bootstrap" in {each.metadata.name for each in left}


def test_changed_configuration_restarts_its_pod(render: Render, rendered: Manifests) -> None:
    for name in ("polaris", "marquez"):
        changed = render(NAME, {name: {"logLevel": "DEBUG"}})
        assert changed.pod(name).annotations != rendered.pod(name).annotations
        others = [pod for pod in changed.pods if pod.name != name]
        assert others == [pod for pod in rendered.pods if pod.name != name]


def test_databases_and_roles_come_from_variables(rendered: Manifests) -> None:
    (script,) = rendered.get("ConfigMap", "floe-postgresql-initdb").data.values()
    container = rendered.pod("postgresql").container("postgresql")
    for variable in re.findall(r"\\getenv \w+ (\w+)", script):
        assert container.secret_keys[variable][0] == "floe-postgresql"
    assert set(re.findall(r"CREATE DATABASE (\w+) OWNER (\w+)", script)) == {
        (name, name) for name in ("dagster", "marquez", "polaris")
    }


def test_pull_secrets_reach_the_own_pods(render: Render) -> None:
    objects = render(NAME, {"imagePullSecrets": ["mirror"]})
    for name in OWN:
        assert (objects.pod(name).spec.model_extra or {})["imagePullSecrets"] == [{"name": "mirror"}]
