"""One trace a run with all that happened in it; a collector that is down costs a run next to nothing."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from floe_pipeline import telemetry
from floe_pipeline.lake.catalog import Lake
from floe_pipeline.settings import Settings, load_settings
from floe_pipeline.telemetry import Phase, RunRecord, exporters
from floe_pipeline.telemetry.catalog_calls import name_call
from lake_writers import append_seed

RUN = "0b7f6a52-5b0e-4a34-9c56-3a1f0c8d2e11"
TRACE = "0b7f6a525b0e4a349c563a1f0c8d2e11"


@pytest.fixture(autouse=True)
def _off_again() -> Iterator[None]:
    yield
    telemetry.configure(load_settings(traces="off"))


@pytest.fixture
def spans(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """Sends traces to a file; calling it reads the spans."""
    path = tmp_path / "traces" / "spans.jsonl"
    telemetry.configure(load_settings(traces="file", traces_file=path))
    return lambda: [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_run_is_one_trace_named_by_its_id(spans: Callable[[], list[dict[str, Any]]]) -> None:
    with telemetry.run_trace("seed_job", run_id=RUN, attributes={"floe.orders": 5}):
        assert telemetry.current_trace_id() == TRACE
        with telemetry.span("work", rows=3, nothing=None), telemetry.run_trace("part", run_id=RUN):
            pass
    root, work, part = (
        next(span for span in spans() if span["name"] == name) for name in ("seed_job", "work", "part")
    )
    assert {span["trace_id"] for span in spans()} == {TRACE}
    assert (root["parent_id"], work["parent_id"], part["parent_id"]) == (
        None,
        root["span_id"],
        work["span_id"],
    )
    assert root["attributes"] == {"floe.run_id": RUN, "floe.orders": 5}
    assert work["attributes"] == {"rows": 3}
    assert root["start_ns"] <= work["start_ns"] <= work["end_ns"] <= root["end_ns"]


def test_parts_of_a_run_that_share_only_its_id_share_the_trace(
    spans: Callable[[], list[dict[str, Any]]],
) -> None:
    for name in ("generate", "transform"):
        with telemetry.run_trace(name, run_id="not a uuid"):
            pass
    assert len({span["trace_id"] for span in spans()}) == 1


def test_steps_of_a_run_are_below_the_root_that_is_recorded_at_its_end(
    spans: Callable[[], list[dict[str, Any]]],
) -> None:
    with telemetry.step_of_run("step bronze", run_id=RUN), telemetry.span("work"):
        assert telemetry.current_trace_id() == telemetry.trace_id_of(RUN) == TRACE
    assert telemetry.current_trace_id() is None
    began = time.time() - 60
    telemetry.record_run(
        RunRecord(
            "seed_job",
            RUN,
            began,
            time.time(),
            failure="it broke",
            attributes={"dagster.trigger": "sensor"},
            phases=[Phase("queued", began, began + 2)],
        )
    )
    found = {span["name"]: span for span in spans()}
    root = found["seed_job"]
    assert [span["name"] for span in spans() if span["parent_id"] is None] == ["seed_job"]
    assert found["step bronze"]["parent_id"] == found["queued"]["parent_id"] == root["span_id"]
    assert found["work"]["parent_id"] == found["step bronze"]["span_id"]
    assert {span["trace_id"] for span in spans()} == {TRACE}
    assert (root["status"], root["message"]) == ("ERROR", "it broke")
    assert root["attributes"] == {"floe.run_id": RUN, "dagster.trigger": "sensor"}
    assert root["start_ns"] == found["queued"]["start_ns"] <= found["step bronze"]["start_ns"]
    assert root["end_ns"] >= found["step bronze"]["end_ns"]
    assert found["queued"]["end_ns"] - found["queued"]["start_ns"] == pytest.approx(2e9, rel=1e-6)
    assert [found[name]["service"] for name in ("seed_job", "queued", "work")] == [
        "dagster",
        "dagster",
        "floe-pipeline",
    ]


def test_without_a_place_for_spans_nothing_is_traced() -> None:
    telemetry.configure(load_settings(traces="off"))
    with telemetry.step_of_run("step bronze", run_id=RUN):
        assert telemetry.current_trace_id() is None
    assert telemetry.trace_id_of(RUN) is None
    telemetry.record_run(RunRecord("seed_job", RUN, 0.0, 1.0))


def test_only_runs_begin_traces(spans: Callable[[], list[dict[str, Any]]], lake: Lake) -> None:
    lake.load("bronze.orders")
    with telemetry.span("stray"):
        assert telemetry.current_trace_id() is None
        with telemetry.run_trace("job", run_id=RUN):
            assert telemetry.current_trace_id() == TRACE
    assert [span["name"] for span in spans()] == ["job"]


def test_a_failure_marks_its_span(spans: Callable[[], list[dict[str, Any]]]) -> None:
    with pytest.raises(RuntimeError), telemetry.run_trace("job", run_id=RUN), telemetry.span("broken"):
        raise RuntimeError("boom")
    assert {span["name"]: span["status"] for span in spans()} == {"job": "ERROR", "broken": "ERROR"}


def test_worker_threads_continue_the_trace(spans: Callable[[], list[dict[str, Any]]]) -> None:
    def work(context: Any) -> None:
        with telemetry.carry(context), telemetry.span("in a thread"):
            pass

    with telemetry.run_trace("job", run_id=RUN):
        thread = threading.Thread(target=work, args=(telemetry.current_context(),))
        thread.start()
        thread.join()
    child, root = spans()
    assert (child["name"], child["parent_id"]) == ("in a thread", root["span_id"])


def test_every_commit_is_a_span_with_table_rows_and_snapshot(
    spans: Callable[[], list[dict[str, Any]]], lake: Lake
) -> None:
    with telemetry.run_trace("job", run_id=RUN):
        result = append_seed(lake)
    commits = {
        span["attributes"]["iceberg.table"]: span["attributes"]
        for span in spans()
        if span["name"].startswith("iceberg.append ")
    }
    assert {
        table: (found["iceberg.rows"], found["iceberg.snapshot_id"]) for table, found in commits.items()
    } == {f"bronze.{name}": (result.rows[name], str(result.snapshots[name])) for name in result.rows}
    calls = [span for span in spans() if span["name"] == "catalog.commit"]  # REST calls are below the commits
    assert {span["attributes"]["iceberg.table"] for span in calls} == set(commits)
    (generated,) = [span for span in spans() if span["name"] == "generate"]
    assert {f"bronze.{name}": generated["attributes"][f"floe.{name}"] for name in result.rows} == {
        table: found["iceberg.rows"] for table, found in commits.items()
    }
    ledger = lake.load("bronze.orders").current_snapshot().summary  # type: ignore[union-attr]
    assert TRACE in ledger.additional_properties["floe.ledger"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/api/catalog/v1/oauth/tokens", "catalog.get_token"),
        ("GET", "/api/catalog/v1/config?warehouse=floe", "catalog.get_config"),
        ("GET", "/api/catalog/v1/floe/namespaces", "catalog.list_namespaces"),
        ("GET", "/api/catalog/v1/floe/namespaces/gold/tables", "catalog.list_tables"),
        ("POST", "/api/catalog/v1/floe/namespaces/gold/tables", "catalog.create_table"),
        ("GET", "/api/catalog/v1/floe/namespaces/gold/tables/orders", "catalog.load_table"),
        ("POST", "/api/catalog/v1/floe/namespaces/gold/tables/orders", "catalog.commit"),
        ("POST", "/api/management/v1/principals", "POST"),
    ],
)
def test_calls_of_the_catalog_are_named_after_what_they_ask(
    method: str, path: str, name: str, spans: Callable[[], list[dict[str, Any]]]
) -> None:
    request = requests.Request(method, f"http://polaris:8181{path}").prepare()
    with telemetry.run_trace("job", run_id=RUN), telemetry.span(method) as call:
        name_call(call, request)
    assert [span["name"] for span in spans()] == [name, "job"]


def test_secrets_are_in_no_span(spans: Callable[[], list[dict[str, Any]]], settings: Settings) -> None:
    with telemetry.run_trace("job", run_id=RUN):
        Lake.connect(settings).ensure_tables()
    text = json.dumps(spans())
    assert "bronze" in text
    assert settings.catalog_client_secret.get_secret_value() not in text


@pytest.fixture(params=["closed port", "accepts and never answers"])
def dead_collector(request: pytest.FixtureRequest) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if request.param == "closed port":
            server.close()
        yield f"http://127.0.0.1:{port}"


def test_a_run_does_not_wait_for_a_dead_collector(
    dead_collector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporters, "COLLECTOR_SECONDS", 120.0)  # what waiting for an answer would take
    telemetry.configure(load_settings(traces="otlp", otlp_endpoint=dead_collector))
    began = time.perf_counter()
    with telemetry.run_trace("job", run_id=RUN):
        for _ in range(200):
            with telemetry.span("work"):
                pass
    assert time.perf_counter() - began < 30


def test_nobody_waits_twice_for_a_dead_collector(
    dead_collector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporters, "COLLECTOR_SECONDS", 120.0)
    telemetry.configure(load_settings(traces="otlp", otlp_endpoint=dead_collector))
    with telemetry.run_trace("first", run_id=RUN):
        pass
    began = time.perf_counter()
    runs = 100
    for _ in range(runs):
        with telemetry.run_trace("next", run_id=RUN):
            pass
    assert time.perf_counter() - began < runs * telemetry.FLUSH_SECONDS / 2


def test_a_process_ends_at_once_with_a_dead_collector(dead_collector: str) -> None:
    """The SDK's own way out waits for up to 30 seconds."""
    script = f"""
import time
from floe_pipeline import telemetry
from floe_pipeline.telemetry import Phase, RunRecord, exporters
from floe_pipeline.settings import load_settings
telemetry.configure(load_settings(traces="otlp", otlp_endpoint={dead_collector!r}))
with telemetry.run_trace("job", run_id="r"):
    pass
print(time.time())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert time.time() - float(done.stdout) < 15
    assert done.stderr.count("\n") <= 1
    assert "Traceback" not in done.stderr


def test_a_process_that_ends_has_sent_everything(collector: tuple[str, list[bytes]]) -> None:
    """Also a forked one, as a run's process is: `atexit` is not called there."""
    endpoint, received = collector
    script = f"""
import multiprocessing
from floe_pipeline import telemetry
from floe_pipeline.settings import load_settings

def work(name):
    telemetry.configure(load_settings(traces="otlp", otlp_endpoint={endpoint!r}))
    with telemetry.step_of_run(name, run_id="r"):
        pass

work("in_the_parent")
child = multiprocessing.get_context("fork").Process(target=work, args=("in_the_child",))
child.start()
child.join()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert "Traceback" not in done.stderr
    body = b"".join(received)
    assert all(name in body for name in (b"in_the_parent", b"in_the_child"))


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """A collector's address, and the requests' bodies that it has got."""
    received: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()


def test_a_live_collector_gets_the_whole_run(collector: tuple[str, list[bytes]]) -> None:
    endpoint, received = collector
    telemetry.configure(load_settings(traces="otlp", otlp_endpoint=endpoint))
    with telemetry.run_trace("whole_run", run_id=RUN), telemetry.span("inner_work"):
        pass
    body = b"".join(received)
    assert all(name in body for name in (b"whole_run", b"inner_work", bytes.fromhex(TRACE)))


def test_configuring_again_changes_nothing(spans: Callable[[], list[dict[str, Any]]], tmp_path: Path) -> None:
    same = load_settings(traces="file", traces_file=tmp_path / "traces" / "spans.jsonl")
    for _ in range(3):
        telemetry.configure(same)
    with telemetry.run_trace("job", run_id=RUN):
        pass
    assert len(spans()) == 1
