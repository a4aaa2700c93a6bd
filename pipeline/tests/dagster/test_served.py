"""`floe demo-ui` as a user meets it: the real daemon, webserver and code server, driven over GraphQL."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from floe_pipeline.defs.ports import free_port
from floe_pipeline.embedded import embedded_platform
from floe_pipeline.lake.catalog import Lake
from floe_pipeline.lake.tables import BRONZE, GOLD
from floe_pipeline.verify.checks import run_checks

COMMAND = (sys.executable, "-c", "from floe_pipeline.cli import main; main()")
SEED, CYCLE, LAUNCHED = 200, 20, 17
RUNS = """{ runsOrError(limit: 50) { ... on Runs { results {
    runId jobName status tags { key value } } } ... on PythonError { message } } }"""
LOGS = """query ($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
    ... on MessageEvent { message } } } } }"""
LAUNCH = """mutation ($job: String!, $config: RunConfigData!) { launchRun(executionParams: {
    selector: {repositoryName: "__repository__", repositoryLocationName: "floe", jobName: $job},
    runConfigData: $config }) { __typename
    ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""

pytestmark = [pytest.mark.services, pytest.mark.slow]


class Served:
    """The platform of one home, and what its GraphQL API tells."""

    def __init__(self, home: Path, extensions: Path) -> None:
        self.home = home
        self.port = free_port()
        environment = os.environ | {
            "PYTHONUNBUFFERED": "1",
            "FLOE_DUCKDB_EXTENSION_DIRECTORY": str(extensions),
            "FLOE_SCHEDULE_CRON": "* * * * *",
            "FLOE_SENSOR_SECONDS": "5",
            "FLOE_SEED_ORDERS": str(SEED),
            "FLOE_SEED_CUSTOMERS": "40",
            "FLOE_CYCLE_ORDERS": str(CYCLE),
        }
        self.process = subprocess.Popen(
            [*COMMAND, "demo-ui", "--home", str(home), "--port", str(self.port)],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        answer = httpx.post(
            f"http://127.0.0.1:{self.port}/graphql",
            json={"query": query, "variables": variables},
            timeout=30,
        )
        body = answer.json()
        assert "errors" not in body, body
        return body["data"]

    def runs(self, **wanted: str) -> list[dict[str, Any]]:
        """Runs whose fields and tags are as wanted; a tag's slash is a double underscore here."""
        found = []
        for run in self.ask(RUNS)["runsOrError"]["results"]:
            known = {**run, **{tag["key"].replace("/", "__"): tag["value"] for tag in run["tags"]}}
            if all(known.get(name) == value for name, value in wanted.items()):
                found.append(run)
        return found

    def await_run(self, **wanted: str) -> dict[str, Any]:
        return until(lambda: self.runs(**wanted), f"a run with {wanted}", self)[0]

    def launch(self, job: str, config: dict[str, object]) -> str:
        launched = self.ask(LAUNCH, job=job, config=config)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return launched["run"]["runId"]

    def pid_of(self, run: str) -> int:
        """The process that executes the run's steps, as Dagster's log names it."""

        def look() -> int | None:
            events = self.ask(LOGS, run=run)["logsForRun"]["events"]
            pids = [re.search(r"in process \(pid: (\d+)\)", event.get("message", "")) for event in events]
            return next((int(pid[1]) for pid in pids if pid), None)

        return until(look, f"the process of run {run}", self)

    def roots(self, run: str) -> list[dict[str, Any]]:
        """Spans that begin the trace of a run."""
        spans = [json.loads(line) for line in (self.home / "traces.jsonl").read_text().splitlines()]
        trace_id = uuid.UUID(run).hex
        return [span for span in spans if span["trace_id"] == trace_id and span["parent_id"] is None]

    def stop(self) -> str:
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate(timeout=60)
        return out


def until(look: Callable[[], Any], what: str, served: Served, seconds: float = 150) -> Any:
    """What `look` finds, asked again until it finds something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert served.process.poll() is None, served.process.communicate()
        with suppress(httpx.TransportError):  # not listening yet
            if found := look():
                return found
        time.sleep(0.3)
    raise AssertionError(f"{what} did not come within {seconds} s: {served.runs()}")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, duckdb_extensions: Path) -> Iterator[Served]:
    """A platform that begins with nothing."""
    platform = Served(tmp_path_factory.mktemp("served") / "home", duckdb_extensions)
    yield platform
    if platform.process.poll() is None:
        platform.stop()


@pytest.mark.timeout(480)  # a tick is waited for, and a killed run's retry
def test_a_whole_day_in_a_minute(served: Served) -> None:
    """Seeded by the sensor, grown by schedule and launch, a killed run made good: each batch once."""
    served.await_run(jobName="seed_job", status="SUCCESS", dagster__sensor_name="empty_tables_sensor")

    launched = served.launch("generate_orders_job", {"orders": LAUNCHED})
    served.await_run(runId=launched, status="SUCCESS")

    killed = served.launch("generate_orders_job", {"orders": LAUNCHED})
    os.kill(served.pid_of(killed), signal.SIGKILL)
    served.await_run(dagster__parent_run_id=killed, status="SUCCESS")

    served.await_run(status="SUCCESS", dagster__schedule_name="generate_orders_schedule")
    until(lambda: not served.runs(status="STARTED"), "quiet", served)
    until(lambda: served.roots(killed), "the end of the killed run in its trace", served)

    runs = served.ask(RUNS)["runsOrError"]["results"]
    said = served.stop()
    assert served.process.returncode == 0, said
    assert "The same command goes on from here" in said
    triggers = {}
    for run in runs:
        (root,) = served.roots(run["runId"])
        assert root["name"] == run["jobName"]
        assert root["status"] == ("ERROR" if run["status"] == "FAILURE" else "UNSET")
        triggers[run["runId"]] = root["attributes"]["dagster.trigger"]
    assert (triggers[launched], triggers[killed]) == ("graphql", "graphql")
    assert {"sensor", "schedule", "retry"} <= set(triggers.values())
    with embedded_platform(served.home) as settings:
        lake = Lake.connect(settings)
        checks = run_checks(lake, settings)
        assert [check.title for check in checks if not check.passed] == []
        orders = {table: rows.rows for table, rows in lake.table_totals((*BRONZE, *GOLD)).items()}
    added = orders["bronze.orders"] - SEED - 2 * LAUNCHED
    assert added >= CYCLE
    assert added % CYCLE == 0
    assert orders["gold.orders"] == orders["bronze.orders"]


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        ran = subprocess.run(
            [*COMMAND, "demo-ui", "--home", str(tmp_path / "home"), "--port", str(port)],
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
    assert ran.returncode == 1
    assert f"port {port} of 127.0.0.1 is taken by" in ran.stderr
    assert not (tmp_path / "home").exists()
