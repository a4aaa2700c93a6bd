"""Forwards as a user meets them: taken ports, pods that restart, a clean end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from floe_pipeline.defs.ports import free_port
from floe_stack.connection import Connection
from floe_stack.doors import CUBE_SQL, DAGSTER, DOORS, JAEGER
from floe_stack.errors import StackError
from floe_stack.forwards import Forwards, require_free
from floe_stack.kubectl import Kubectl

from .conftest import Cluster

Until = Callable[..., None]
PORT_FORWARD = (sys.executable, "-c", "from floe_pipeline.cli import main; main()", "stack", "port-forward")


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_command_gets_free_ports_of_its_own(cluster: Cluster, connection: Connection) -> None:
    cluster.run_pod("dagster-webserver", "dagster")
    cluster.run_pod("jaeger", "traces")
    with Forwards(Kubectl(connection)) as forwards:
        addresses = {forwards.address(DAGSTER), forwards.address(JAEGER), forwards.address(DAGSTER)}
        assert {httpx.get(address).text for address in addresses} == {"dagster", "traces"}
        assert len(cluster.pids()) == len(addresses) == 2


def test_a_pod_that_restarts_is_reached_again_on_the_same_port(
    cluster: Cluster, connection: Connection, until: Until
) -> None:
    pod = cluster.run_pod("jaeger", "first")
    with Forwards(Kubectl(connection)) as forwards:
        address, forward = forwards.address(JAEGER), forwards.open(JAEGER)
        pod.stop()
        cluster.run_pod("jaeger", "second")
        began = time.monotonic()
        until(lambda: forward.is_usable() and httpx.get(address).text == "second", 5)
        assert time.monotonic() - began < 5
        assert forward.starts >= 2


def test_no_kubectl_outlives_the_command(cluster: Cluster, connection: Connection, until: Until) -> None:
    cluster.run_pod("jaeger")
    with Forwards(Kubectl(connection)) as forwards:
        forwards.address(JAEGER)
        assert all(map(is_running, cluster.pids()))
    until(lambda: not any(map(is_running, cluster.pids())), 3)


def test_a_service_that_is_not_there_is_named_with_kubectls_words(
    cluster: Cluster, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("floe_stack.forwards.USABLE_SECONDS", 10.0)
    with (
        Forwards(Kubectl(connection)) as forwards,
        pytest.raises(StackError, match=r'Jaeger does not answer .* services "jaeger" not found'),
    ):
        forwards.address(JAEGER)


def test_every_taken_port_is_named_with_its_owner_and_the_way_out(connection: Connection) -> None:
    ports = connection.ports
    with (
        socket.create_server(("127.0.0.1", ports.dagster)),
        socket.create_server(("127.0.0.1", ports.cube_sql)),
        pytest.raises(StackError) as refused,
    ):
        require_free(DOORS, ports)
    first, second = str(refused.value).splitlines()
    assert f"port {ports.dagster} of 127.0.0.1, for Dagster, is taken by pid {os.getpid()}" in first
    assert f"floe_ports: {{dagster: {ports.dagster + 1}}}" in first
    assert f"port {ports.cube_sql}" in second
    assert "Cube SQL" in second


def test_cube_sql_answers_only_when_postgresql_is_spoken(cluster: Cluster) -> None:
    web = cluster.run_pod("cube")
    assert not CUBE_SQL.answers(web.port)
    assert not CUBE_SQL.answers(free_port())


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_make_port_forward_from_start_to_end(
    cluster: Cluster, connection: Connection, tmp_path: Path, until: Until, ending: signal.Signals
) -> None:
    """Each door is said to be open, and one that restarts is said to be; any signal ends everything."""
    for door in DOORS:
        cluster.run_pod(door.service)
    (tmp_path / "build/testbed").mkdir(parents=True)
    (tmp_path / "build/testbed/connection.json").write_text(connection.model_dump_json())
    own = subprocess.Popen(["sleep", "60"])  # a process of the user that is none of our business
    with (tmp_path / "said").open("w") as file:
        process = subprocess.Popen(
            [*PORT_FORWARD, "--target", "testbed"], stdout=file, stderr=subprocess.STDOUT, cwd=tmp_path
        )

    def lines(words: str) -> list[str]:
        return [line for line in (tmp_path / "said").read_text().splitlines() if words in line]

    try:
        # the web servers answer; nobody speaks PostgreSQL behind Cube's SQL port
        until(lambda: len(lines(" open")) == len(DOORS) - 1, 30)
        assert httpx.get(f"http://127.0.0.1:{connection.ports.dagster}").text == "first"
        cluster.run_pod("jaeger", "second")
        until(lambda: _text(connection) == "second", 5)
    finally:
        process.send_signal(ending)
        code = process.wait(20)
    assert code == 0, (tmp_path / "said").read_text()
    assert not any(map(is_running, cluster.pids()))
    assert own.poll() is None
    own.kill()
    own.wait()


def _text(connection: Connection) -> str:
    try:
        return httpx.get(f"http://127.0.0.1:{connection.ports.jaeger}").text
    except httpx.HTTPError:
        return ""
