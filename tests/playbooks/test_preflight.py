"""What preflight says of a cluster and of this machine."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any

import pytest

OURS = {"app.kubernetes.io/part-of": "floe-demo"}


def node(memory: str = "8Gi", cpu: str = "4", ready: str = "True") -> dict[str, Any]:
    amounts = {"memory": memory, "cpu": cpu}
    conditions = [{"type": "Ready", "status": ready}]
    return {
        "metadata": {"name": "n"},
        "spec": {},
        "status": {"capacity": amounts, "allocatable": amounts, "conditions": conditions},
    }


def containers(*requests: dict[str, str]) -> list[dict[str, Any]]:
    return [{"image": "a:1", "resources": {"requests": request}} for request in requests]


def running(
    memory: str, namespace: str = "other", owner: str = "web-5d9", kind: str = "ReplicaSet"
) -> dict[str, Any]:
    return {
        "metadata": {"namespace": namespace, "ownerReferences": [{"kind": kind, "name": owner}]},
        "spec": {"nodeName": "n", "containers": containers({"memory": memory, "cpu": "100m"})},
        "status": {"phase": "Running"},
    }


def workload(
    name: str, *requests: dict[str, str], kind: str = "Deployment", replicas: int = 1
) -> dict[str, Any]:
    template = {"spec": {"containers": containers(*requests)}}
    return {"kind": kind, "metadata": {"name": name}, "spec": {"replicas": replicas, "template": template}}


def test_enough_room(rules: ModuleType) -> None:
    wanted = [workload("polaris", {"memory": "1Gi", "cpu": "500m"}, {"memory": "1Gi"})]
    assert rules.capacity([node()], [running("5Gi")], wanted, "floe", 3600) == []


def test_under_four_gigabytes(rules: ModuleType) -> None:
    (problem,) = rules.capacity([node("2Gi")], [], [], "floe", 3600)
    assert "has 2048 MiB of memory, the stack needs 4 GB" in problem


def test_what_others_request_counts(rules: ModuleType) -> None:
    wanted = [workload("polaris", {"memory": "2Gi", "cpu": "4"}, kind="StatefulSet", replicas=2)]
    memory, cpu = rules.capacity([node()], [running("5Gi")], wanted, "floe", 3600)
    assert memory.startswith(
        "memory: 4096 MiB are requested, 3072 are left (8192 minus 5120 that other pods request)"
    )
    assert cpu.startswith("cpu: 8000 millicores are requested, 3900 are left")


def test_what_is_replaced_does_not_count(rules: ModuleType) -> None:
    there = [
        running("6Gi", namespace="floe", owner="polaris-5d9"),
        running("6Gi", namespace="floe", owner="pg", kind="StatefulSet"),
    ]
    wanted = [workload("polaris", {"memory": "6Gi"}), workload("pg", {"memory": "1Gi"}, kind="StatefulSet")]
    assert rules.capacity([node()], there, wanted, "floe", 3600) == []


def test_pods_that_have_ended_do_not_count(rules: ModuleType) -> None:
    ended = running("7Gi") | {"status": {"phase": "Succeeded"}}
    assert rules.capacity([node()], [ended], [workload("a", {"memory": "4Gi"})], "floe", 3600) == []


def test_no_node_is_ready(rules: ModuleType) -> None:
    assert "none of the 1 nodes is Ready" in rules.capacity([node(ready="False")], [], [], "floe", 3600)[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [("128Mi", 2**27), ("1G", 10**9), ("250m", 0.25), ("2", 2), ("1e3", 1000), ("0.5", 0.5), (3, 3)],
)
def test_quantities(rules: ModuleType, text: Any, value: float) -> None:
    assert rules.quantity(text) == value


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("helm", "v3.19.5", None),
        ("helm", "v4.3.1", None),
        ("helm", "v3.18.6", "helm is v3.18.6: version 3.19 or newer is needed"),
        ("helm", None, "helm is not on PATH: install version 3.19 or newer"),
        ("helm", "segmentation fault", "version 3.19 or newer is needed"),
    ],
)
def test_tools(rules: ModuleType, name: str, said: str | None, expected: str | None) -> None:
    problems = rules.tool_version(name, said, (3, 19))
    assert problems == [] if expected is None else expected in problems[0]


def test_old_kubernetes(rules: ModuleType) -> None:
    assert rules.kubernetes_version("v1.34.4", "1.29") == []
    assert "Kubernetes is v1.27.3+k3s1: 1.29 or newer" in rules.kubernetes_version("v1.27.3+k3s1", "1.29")[0]


def existing(kind: str, name: str, release: str | None) -> dict[str, Any]:
    annotations = {"meta.helm.sh/release-name": release} if release else {}
    return {"kind": kind, "metadata": {"name": name, "annotations": annotations}}


def namespace(labels: dict[str, str], phase: str = "Active") -> dict[str, Any]:
    return {"metadata": {"name": "floe", "labels": labels}, "status": {"phase": phase}}


def test_a_namespace_of_somebody_else(rules: ModuleType) -> None:
    (problem,) = rules.names(namespace({}), [existing("Deployment", "shop", None)], {})
    assert "namespace floe is not ours and not empty (Deployment shop ...)" in problem
    assert rules.names(namespace({}), [], {}) == []
    assert rules.names(None, [], {}) == []


def test_a_namespace_that_is_going(rules: ModuleType) -> None:
    assert "is being deleted" in rules.names(namespace(OURS, "Terminating"), [], {})[0]


def test_objects_of_another_release(rules: ModuleType) -> None:
    there = [
        existing("Service", "minio", None),
        existing("Service", "jaeger", "tracing"),
        existing("Service", "polaris", "infra"),
    ]
    manifests = {
        "infra": [{"kind": "Service", "metadata": {"name": name}} for name in ("minio", "jaeger", "polaris")]
    }
    none, other = rules.names(namespace(OURS), there, manifests)
    assert "Service minio in namespace floe is not of release infra but of no release" in none
    assert "but of release tracing" in other


def test_a_release_of_another_chart(rules: ModuleType) -> None:
    assert rules.chart_clash("floe", "floe-cube", None) == []
    assert rules.chart_clash("floe", "floe-cube", "floe-cube") == []
    assert "is of chart cube" in rules.chart_clash("floe", "floe-cube", "cube")[0]


def test_taken_ports_name_the_owner_and_a_way_out(rules: ModuleType) -> None:
    owners = {3000: "grafana (process 7)", 3100: "loki (process 8)"}
    (problem,) = rules.ports({"dagster": 3000, "cube_api": 4000}, owners)
    assert "port 3000 (dagster) on 127.0.0.1 is taken by grafana (process 7)" in problem
    assert '{"floe_ports": {"dagster": 3101}}' in problem


def test_a_port_that_is_taken_is_found_with_its_program(local_ports: ModuleType) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = local_ports.owners({"dagster": port, "cube_api": "x"}, namespace="floe", context="")
    assert found == {port: found[port]}
    assert f"(process {os.getpid()})" in found[port]


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        ("/bin/kubectl --context kind --namespace floe port-forward service/cube 4000:4000", True),
        ("kubectl -n floe port-forward service/cube 4000", True),  # by hand, in the current context
        ("kubectl --namespace=floe port-forward service/cube 4000", True),
        ("kubectl --context other --namespace floe port-forward service/cube 4000", False),
        ("kubectl -n grafana port-forward service/grafana 3000", False),
        ("kubectl port-forward service/cube 4000", False),
        ("", False),
    ],
)
def test_our_own_forward_takes_no_port_away(local_ports: ModuleType, command: str, ours: bool) -> None:
    assert local_ports.is_own_forward(command, "floe", "kind") is ours


def test_images_of_manifests_and_their_full_names(rules: ModuleType) -> None:
    assert rules.images_of([workload("a", {}, {}), {"kind": "Service", "metadata": {"name": "s"}}]) == {"a:1"}
    assert rules.full_name("minio:1") == "docker.io/library/minio:1"
    assert rules.full_name("apache/polaris:1") == "docker.io/apache/polaris:1"
    assert rules.full_name("localhost/floe/a:1") == "localhost/floe/a:1"
    assert rules.full_name("quay.io/minio/minio:1") == "quay.io/minio/minio:1"


def test_images_that_no_node_has(rules: ModuleType) -> None:
    listed = [
        {"names": ["floe-pipeline:local"]},
        {"names": ["docker.io/apache/polaris:1", "a@sha256:0"]},
        {"names": None},
    ]
    nodes = [{"status": {"images": listed}}, {"status": {}}]
    wanted = {"floe-pipeline:local", "apache/polaris:1", "minio:1"}
    assert rules.absent_images(nodes, wanted) == ["docker.io/library/minio:1"]


def test_an_image_of_our_own_has_to_be_built(rules: ModuleType) -> None:
    problem = rules.unbuilt_image(rules.full_name("floe-pipeline:local"))
    assert "has to be built first (leave floe_images.pipeline out, and the deploy builds it)" in problem
    assert "it has to be built first (make testbed-up" in rules.unbuilt_image("localhost/floe/jaeger:none")
    assert rules.unbuilt_image("docker.io/apache/polaris:1") == ""


class Registry(BaseHTTPRequestHandler):
    """A registry that gives everybody a token and has one image."""

    def do_HEAD(self) -> None:
        if self.headers.get("Authorization") != "Bearer good":
            self.send_response(401)
            realm = f"http://{self.headers['Host']}/token"
            self.send_header("WWW-Authenticate", f'Bearer realm="{realm}",service="r",scope="pull"')
        else:
            self.send_response(200 if self.path == "/v2/team/there/manifests/1" else 404)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"token": "good"}).encode())

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def registry_host() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_registry_is_asked(registry: ModuleType, registry_host: str) -> None:
    assert registry.missing(f"{registry_host}/team/there:1") == ""
    assert "does not have it, or not for everybody (HTTP 404)" in registry.missing(
        f"{registry_host}/team/gone:1"
    )


def test_a_registry_that_does_not_answer(registry: ModuleType) -> None:
    assert "cannot be reached from here" in registry.missing("127.0.0.1:9/team/there:1")
    assert "cannot be reached from here" in registry.missing("127.0.0.1:port/team/there:1")
