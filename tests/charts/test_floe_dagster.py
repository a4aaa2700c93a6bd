"""floe-dagster as it is rendered: what a user, a cluster's admission or an attacker would notice."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance, DagsterRun
from dagster._core.instance import InstanceRef
from dagster_k8s import K8sRunLauncher
from dagster_k8s.job import construct_dagster_k8s_job
from kubernetes.client import ApiClient

from floe_pipeline.settings import Settings, load_settings, variable

from .conftest import Refusal, Render
from .helm import CHARTS, REPOSITORY
from .manifests import Container, Manifests, Object, Pod, Probe
from .policies import not_restricted, secrets_in_arguments, without_limits, without_room_to_write

NAME = "floe-dagster"
CHART = CHARTS / NAME
PODS = {"dagster-webserver": "webserver", "dagster-daemon": "daemon", "dagster-code": "code"}


@pytest.fixture
def rendered(render: Render) -> Manifests:
    return render(NAME)


@pytest.fixture
def code(rendered: Manifests) -> Container:
    return rendered.pod("dagster-code").container("code")


@pytest.fixture
def daemon(rendered: Manifests) -> Container:
    return rendered.pod("dagster-daemon").container("daemon")


def test_workloads_have_the_names_of_the_contract(rendered: Manifests) -> None:
    assert {pod.name: pod.spec.containers[0].name for pod in rendered.pods} == PODS


def test_the_code_location_is_asked_whether_it_serves(code: Container) -> None:
    assert code.liveness_probe is not None
    assert code.liveness_probe.grpc == {"port": 4266, "service": "DagsterApi"}


def test_probes_start_no_python(rendered: Manifests) -> None:
    for pod in rendered.pods:
        for container in pod.spec.containers:
            for probe in (container.startup_probe, container.readiness_probe, container.liveness_probe):
                assert probe
                program = probe.exec["command"][0] if probe.exec else None
                assert program in {None, "/bin/bash"}


def run_probe(probe: Probe | None, folder: Path) -> bool:
    """Run a probe's script with a folder of the test's own as the process' /proc and as /tmp."""
    assert probe
    assert probe.exec
    shell, options, script = probe.exec["command"]
    local = re.sub(r"/(proc/1|tmp)/", f"{folder}/", script)
    return subprocess.run([shell, options, local], check=False).returncode == 0


def test_daemon_is_ready_when_its_threads_run(daemon: Container, tmp_path: Path) -> None:
    for threads, ready in ((1, False), (11, True)):
        (tmp_path / "status").write_text(f"Name:\tdagster-daemon\nThreads:\t{threads}\nSigQ:\t0/1\n")
        assert run_probe(daemon.readiness_probe, tmp_path) is ready
        assert run_probe(daemon.startup_probe, tmp_path) is ready


def test_daemon_that_uses_no_processor_time_is_dead(daemon: Container, tmp_path: Path) -> None:
    def alive(user: int, system: int) -> bool:
        fields = f"S 0 1 1 0 -1 4194560 9 9 9 9 {user} {system} 0 0 20 0 11 0 99"
        (tmp_path / "stat").write_text(f"1 (dagster (daemon) x) {fields}\n")
        return run_probe(daemon.liveness_probe, tmp_path)

    assert [alive(100, 5), alive(101, 5), alive(101, 5), alive(101, 6)] == [True, True, False, True]


def test_the_home_of_dagster_can_be_written_to(rendered: Manifests) -> None:
    for pod in rendered.pods:
        (home,) = (m for m in pod.spec.containers[0].volume_mounts if m.mount_path == "/opt/dagster/home")
        assert not home.read_only


def test_the_password_of_the_database_is_named_and_not_written(rendered: Manifests) -> None:
    instance = yaml.safe_load(rendered.get("ConfigMap", "dagster").data["dagster.yaml"])
    password = instance["storage"]["postgres"]["postgres_db"]["password"]
    assert password == {"env": "DAGSTER_POSTGRES_PASSWORD"}


def test_only_the_code_location_can_write_to_the_lake(rendered: Manifests) -> None:
    holders: dict[str, set[str]] = {}
    for pod in rendered.pods:
        for secret, _ in pod.spec.containers[0].secret_keys.values():
            holders.setdefault(secret, set()).add(pod.name)
    assert holders == {"floe-postgresql": set(PODS), "floe-polaris-pipeline": {"dagster-code"}}


def settings_of(container: Container) -> Settings:
    """The pipeline's settings as it would read them in this container."""
    given = {variable(field): field for field in Settings.model_fields}
    values = {given[each.name]: each.value or "secret" for each in container.env if each.name in given}
    unknown = {each.name for each in container.env if each.name.startswith("FLOE_")} - set(given)
    assert unknown == set()
    return load_settings(**values)


def test_values_are_settings_of_the_pipeline(code: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)
    mine, default = settings_of(code), load_settings()
    differ = {field for field in Settings.model_fields if getattr(mine, field) != getattr(default, field)}
    assert differ == {
        "target",
        "catalog_uri",
        "catalog_client_id",
        "catalog_client_secret",
        "traces",
        "traces_url",
        "lineage",
        "lineage_ui_url",
        "duckdb_memory_limit",
    }


def test_big_numbers_reach_the_pipeline_whole(render: Render) -> None:
    values = yaml.safe_load((CHART / "ci/busy-values.yaml").read_text())
    settings = settings_of(render(NAME, values).pod("dagster-code").container("code"))
    assert settings.seed_orders == 1_000_000
    assert settings.schedule_cron == "* * * * *"


def test_instance_is_that_of_demo_ui_but_for_storage_and_logs(rendered: Manifests) -> None:
    mine = yaml.safe_load(rendered.get("ConfigMap", "dagster").data["dagster.yaml"])
    theirs = yaml.safe_load((REPOSITORY / "pipeline/src/floe_pipeline/defs/dagster.yaml").read_text())
    assert set(mine) - set(theirs) == {"storage", "compute_logs"}
    assert {key: mine[key] for key in theirs} == theirs


def test_dagster_accepts_the_instance(rendered: Manifests, tmp_path: Path) -> None:
    """Without its storage, which would want a database."""
    config = yaml.safe_load(rendered.get("ConfigMap", "dagster").data["dagster.yaml"])
    storage = config.pop("storage")
    assert storage["postgres"]["postgres_db"]["hostname"] == "postgresql"
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(config))
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
        assert type(instance.run_launcher).__name__ == "CodeServerRunLauncher"
        assert type(instance.compute_log_manager).__name__ == "NoOpComputeLogManager"


def test_workspace_names_the_code_location_as_the_service_does(rendered: Manifests) -> None:
    workspace = yaml.safe_load(rendered.get("ConfigMap", "dagster").data["workspace.yaml"])
    (location,) = workspace["load_from"]
    server = location["grpc_server"]
    assert server["port"] in rendered.get("Service", server["host"]).service_ports
    assert server["location_name"] == "floe"


def test_changed_instance_restarts_everything(render: Render, rendered: Manifests) -> None:
    changed = render(NAME, {"database": {"name": "other"}})
    for name in PODS:
        assert changed.pod(name).annotations != rendered.pod(name).annotations


@pytest.mark.parametrize(
    ("name", "program", "needed"),
    [
        ("dagster-webserver", "dagster-webserver", ["database"]),
        ("dagster-daemon", "dagster-daemon run", ["database", "code"]),
    ],
)
def test_a_program_starts_once_what_it_needs_is_there(
    rendered: Manifests, name: str, program: str, needed: list[str]
) -> None:
    waits, starts = rendered.pod(name).spec.containers[0].command[-1].split("exec " + program)
    assert "--workspace /etc/dagster/workspace.yaml" in starts
    addresses = {"database": "postgresql:5432", "code": "dagster-code:4266"}
    found = {each: waits.count(address) for each, address in addresses.items()}
    assert found == {each: int(each in needed) for each in addresses}
    with contextlib.ExitStack() as servers:
        script = f"set -e\n{waits}\necho started"
        for each in needed:
            port = servers.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            script = script.replace(addresses[each], f"127.0.0.1:{port}")
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=10, check=True)
    assert done.stdout == "started\n"


def test_a_run_under_way_may_end(render: Render, rendered: Manifests, code: Container) -> None:
    assert code.command[0] == "python", "signals reach the code server only if no shell is in between"
    assert rendered.pod("dagster-code").spec.termination_grace_period_seconds == 120
    patient = render(NAME, {"drainSeconds": 300}).pod("dagster-code").spec
    assert patient.termination_grace_period_seconds == 300


def test_no_variables_of_services_and_no_api_token(rendered: Manifests) -> None:
    for pod in rendered.pods:
        assert pod.spec.enable_service_links is False
        assert pod.spec.automount_service_account_token is False


def test_one_image_can_be_replaced(render: Render) -> None:
    image = {"repository": "mirror/replaced", "tag": "9.9.9", "pullPolicy": "Always"}
    objects = render(NAME, {"image": image, "imagePullSecrets": ["mirror"]})
    for pod in objects.pods:
        assert pod.spec.containers[0].image == "mirror/replaced:9.9.9"
        assert (pod.spec.model_extra or {})["imagePullSecrets"] == [{"name": "mirror"}]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"webserverr": {}}, "webserverr"),
        ({"image": {"tag": ""}}, "/image/tag"),
        ({"generation": {"seedOrder": 5}}, "seedOrder"),
        ({"generation": {"seedOrders": 0}}, "seedOrders"),
        ({"generation": {"cycleOrders": "many"}}, "cycleOrders"),
        ({"generation": {"scheduleCron": "every 5 minutes"}}, "scheduleCron"),
        ({"maintenance": {"compactFiles": 1}}, "compactFiles"),
        ({"engine": {"duckdbMemoryLimit": "1Gi"}}, "1Gi"),
        ({"telemetry": {"traces": "file"}}, "traces"),
        ({"telemetry": {"otlpEndpoint": "jaeger:4318"}}, "otlpEndpoint"),
        ({"database": {"port": 0}}, "port"),
        ({"lake": {"uri": "polaris"}}, "uri"),
        ({"target": "embedded"}, "target"),
        ({"drainSeconds": 0}, "drainSeconds"),
        ({"code": {"resources": {"limits": {"memory": "lots"}}}}, "lots"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_wrong_values_are_refused_by_name(refusal: Refusal, values: dict[str, object], message: str) -> None:
    assert message in refusal(NAME, values)


@pytest.fixture
def with_jobs(render: Render) -> Manifests:
    return render(NAME, {"runs": {"isolation": "job"}})


@pytest.fixture
def job_of_a_run(with_jobs: Manifests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pod:
    """The pods of a run's Job, made as Dagster makes them of its instance."""
    monkeypatch.setattr("dagster_k8s.launcher.load_kubernetes_config", lambda **_: None)
    config = yaml.safe_load(with_jobs.get("ConfigMap", "dagster").data["dagster.yaml"])
    del config["storage"]
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(config))
    with DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
        launcher = instance.run_launcher
        assert isinstance(launcher, K8sRunLauncher)
        context = launcher.get_container_context_for_run(DagsterRun(job_name="seed_job"))
        job = construct_dagster_k8s_job(
            context.get_k8s_job_config(None, launcher), ["dagster"], "run", context.run_k8s_config
        )
    pod = Object.model_validate(ApiClient().sanitize_for_serialization(job)).pod
    assert pod
    return pod


def test_a_job_of_a_run_is_as_good_a_pod_as_the_code_location(
    job_of_a_run: Pod, with_jobs: Manifests
) -> None:
    assert not_restricted(job_of_a_run) + without_limits(job_of_a_run) == []
    assert without_room_to_write(job_of_a_run) + secrets_in_arguments(job_of_a_run) == []
    code = with_jobs.pod("dagster-code").container("code")
    (container,) = job_of_a_run.spec.containers
    assert container.image == code.image
    assert {each.name: each for each in code.env}.items() <= {
        each.name: each for each in container.env
    }.items()


def test_only_daemon_and_webserver_may_start_jobs(job_of_a_run: Pod, with_jobs: Manifests) -> None:
    tokens = {pod.name: pod.spec.automount_service_account_token for pod in with_jobs.pods}
    assert tokens == {"dagster-webserver": True, "dagster-daemon": True, "dagster-code": False}
    assert job_of_a_run.spec.automount_service_account_token is False
    allowed = with_jobs.get("Role", "dagster").raw["rules"]
    changing = {
        kind
        for rule in allowed
        for kind in rule["resources"]
        if not {"get", "list"}.issuperset(rule["verbs"])
    }
    assert changing == {"jobs"}


def test_nobody_talks_to_the_api_server_unless_runs_are_jobs(rendered: Manifests) -> None:
    assert not any(pod.spec.automount_service_account_token for pod in rendered.pods)
    assert rendered.kind("Role") == rendered.kind("ServiceAccount") == {}
