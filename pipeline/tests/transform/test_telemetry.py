"""Traces and lineage of a build: complete, linked to each other, and never in its way."""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from floe_pipeline.lake.append import append_batch
from floe_pipeline.settings import Settings
from floe_pipeline.telemetry import configure, run_trace
from floe_pipeline.transform import lineage
from floe_pipeline.transform.runner import BuildError, build, check

from .conftest import MARTS, Shop

Event = dict[str, Any]


def with_telemetry(shop: Shop, **values: object) -> Settings:
    return shop.settings.model_copy(update=values)


@pytest.fixture(scope="module")
def told(open_shop: Shop) -> Iterator[tuple[str, list[Event], list[Event], dict[str, int]]]:
    """A run's id, its lineage events, its spans, and the snapshots that it made."""
    settings = with_telemetry(open_shop, lineage="file", traces="file")
    configure(settings)
    run_id = str(uuid.uuid4())
    with run_trace("test_job", run_id=run_id):
        open_shop.until = open_shop.until.replace(hour=12)
        appended = append_batch(
            open_shop.lake, batch_id="told", seed=11, orders=8, until=open_shop.until, run_id=run_id
        )
        origin = lineage.Origin(run_id, uuid.UUID(run_id).hex, "test_job")
        lineage.emit_generate(settings, appended, origin=origin)
        result = build(settings, lake=open_shop.lake, run_id=run_id, job="test_job")
    assert lineage.flush()
    configure(open_shop.settings)
    made = {f"bronze.{name}": number for name, number in appended.snapshots.items()} | result.snapshots
    yield run_id, lines(settings.lineage_file), lines(settings.traces_file), made


def lines(path: Path) -> list[Event]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def outputs(events: list[Event]) -> dict[str, tuple[Event, Event]]:
    """By name: each dataset that was written, with the event that says so."""
    return {
        output["name"]: (output, event)
        for event in events
        if event["eventType"] == "COMPLETE"
        for output in event["outputs"]
    }


def test_every_mart_leads_back_to_run_trace_and_snapshot(
    told: tuple[str, list[Event], list[Event], dict[str, int]],
) -> None:
    run_id, events, _, snapshots = told
    schema = json.loads(files("floe_pipeline.transform").joinpath("FloeRunFacet.json").read_text())
    found = outputs(events)
    assert set(snapshots) >= {"bronze.orders", "bronze.order_items", *(f"gold.{name}" for name in MARTS)}
    for table, snapshot in snapshots.items():
        output, event = found[table]
        assert output["namespace"].startswith("iceberg://floe")
        assert output["facets"]["version"]["datasetVersion"] == str(snapshot)
        assert output["outputFacets"]["outputStatistics"]["rowCount"] > 0
        facet = event["run"]["facets"]["floe"]
        jsonschema.validate(facet, schema)
        assert facet["runId"] == run_id
        assert facet["traceId"] == uuid.UUID(run_id).hex
        if table.startswith("gold."):
            assert facet["snapshotId"] == str(snapshot)
        assert facet["job"] == "floe.test_job"


def test_lineage_goes_from_bronze_over_dbt_to_gold(
    told: tuple[str, list[Event], list[Event], dict[str, int]],
) -> None:
    found = outputs(told[1])
    catalog = found["gold.orders"][0]["namespace"]
    seen, reach = set(), ["gold.daily_revenue"]
    while reach:
        name = reach.pop()
        seen.add(name)
        if name in found:
            reach += [
                source["name"] for source in found[name][1].get("inputs", []) if source["name"] not in seen
            ]
    assert {"int_pending_totals", "stg_orders", "bronze.orders", "bronze.order_items"} <= seen
    assert "stg_products" in seen
    columns = found["gold.daily_revenue"][0]["facets"]["columnLineage"]["fields"]
    source = {"namespace": "dbt://floe", "name": "int_pending_totals"}
    assert [field | source for field in columns["net_revenue"]["inputFields"]] == columns["net_revenue"][
        "inputFields"
    ]
    assert {field["field"] for field in columns["net_revenue"]["inputFields"]} == {"status", "total_amount"}
    origin = found["stg_orders"][0]["facets"]["columnLineage"]["fields"]["order_date"]["inputFields"]
    assert [(each["namespace"], each["name"], each["field"]) for each in origin] == [
        (catalog, "bronze.orders", "ordered_at")
    ]
    everything = json.dumps(told[1])
    assert "duckdb:" not in everything
    jobs = {event["job"]["name"] for event in told[1]}
    assert {"generate", "dbt.orders", "dbt.int_pending_totals.test", "dbt.marts_agree"} <= jobs


def test_lineage_goes_on_to_the_cubes_and_their_members(
    told: tuple[str, list[Event], list[Event], dict[str, int]],
) -> None:
    run_id, events, _, snapshots = told
    found = outputs(events)
    for cube, mart in (
        ("Orders", "gold.orders"),
        ("Customers", "gold.customers"),
        ("Products", "gold.products"),
    ):
        output, event = found[cube]
        assert (output["namespace"], event["job"]["name"]) == ("cube://floe", f"cube.{cube}")
        assert [source["name"] for source in event["inputs"]] == [mart]
        facet = event["run"]["facets"]["floe"]
        assert (facet["runId"], facet["snapshotId"]) == (run_id, str(snapshots[mart]))
        members = {field["name"] for field in output["facets"]["schema"]["fields"]}
        columns = output["facets"]["columnLineage"]["fields"]
        assert set(columns) == members
        known = {field["name"] for field in event["inputs"][0]["facets"]["schema"]["fields"]}
        assert {source["field"] for each in columns.values() for source in each["inputFields"]} <= known
    revenue = found["Orders"][0]["facets"]["columnLineage"]["fields"]["total_revenue"]["inputFields"]
    assert [(source["name"], source["field"]) for source in revenue] == [("gold.orders", "total_amount")]


def test_each_run_begins_just_before_it_ends(
    told: tuple[str, list[Event], list[Event], dict[str, int]],
) -> None:
    """While a run is open without its tables, Marquez leaves its job out of the graph."""
    events = told[1]
    states = [(event["run"]["runId"], event["eventType"]) for event in events]
    assert states == [(run, state) for run, _ in states[::2] for state in ("START", "COMPLETE")]


def test_a_span_for_each_model_test_and_commit(
    told: tuple[str, list[Event], list[Event], dict[str, int]],
) -> None:
    run_id, _, spans, snapshots = told
    by_id = {span["span_id"]: span for span in spans}
    assert {span["trace_id"] for span in spans} == {uuid.UUID(run_id).hex}
    (whole,) = [span for span in spans if span["name"] == "dbt.build"]
    nodes = [span for span in spans if span["name"].startswith(("dbt.model ", "dbt.test "))]
    assert len(nodes) == whole["attributes"]["dbt.nodes"]
    assert all(span["parent_id"] == whole["span_id"] for span in nodes)
    assert {span["attributes"]["dbt.status"] for span in nodes} == {"success", "pass"}
    commits = [span for span in spans if span["name"].startswith("iceberg.publish ")]
    assert {span["attributes"]["iceberg.snapshot_id"] for span in commits} == {
        str(snapshot) for table, snapshot in snapshots.items() if table.startswith("gold.")
    }
    for span in commits:
        mart = span["attributes"]["iceberg.table"].removeprefix("gold.")
        assert by_id[span["parent_id"]]["name"] == f"dbt.model {mart}"
        assert [
            each
            for each in spans
            if each["parent_id"] == span["span_id"] and each["name"] == "catalog.commit"
        ]


def test_what_failed_says_why_and_keeps_its_place_in_the_graph(shop: Shop) -> None:
    settings = with_telemetry(shop, lineage="file", traces="file")
    configure(settings)
    lines_of = shop.lake.catalog.load_table("bronze.order_items")
    lines_of.delete("order_id == 17")  # its total is now the sum of nothing
    with pytest.raises(BuildError), run_trace("test_job", run_id=str(uuid.uuid4())):
        build(settings, lake=shop.lake)
    assert lineage.flush()
    configure(shop.settings)
    failed = {
        event["job"]["name"]: event for event in lines(settings.lineage_file) if event["eventType"] == "FAIL"
    }
    assert failed
    for event in failed.values():
        assert "Got 1 result" in event["run"]["facets"]["errorMessage"]["message"]
    assert not {f"dbt.{mart}" for mart in MARTS} & {
        event["job"]["name"] for event in lines(settings.lineage_file)
    }
    spans = {span["name"]: span for span in lines(settings.traces_file)}
    assert (spans["dbt.build"]["status"], spans["test_job"]["status"]) == ("ERROR", "ERROR")


def test_checks_of_whole_tables_are_told_too(open_shop: Shop) -> None:
    settings = with_telemetry(
        open_shop, lineage="file", lineage_file=open_shop.settings.lineage_file.with_name("check.jsonl")
    )
    check(settings, lake=open_shop.lake, run_id=str(uuid.uuid4()), job="check_tables_job")
    assert lineage.flush()
    ended = {event["job"]["name"]: event for event in lines(settings.lineage_file)[1::2]}
    assert {"dbt.orders.test", "dbt.marts_equal_bronze"} <= set(ended)
    assert {event["eventType"] for event in ended.values()} == {"COMPLETE"}
    (quality,) = [each["facets"] for each in ended["dbt.orders.test"]["inputs"]]
    assert all(assertion["success"] for assertion in quality["dataQualityAssertions"]["assertions"])


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield listening.getsockname()[1]


def test_a_collector_that_never_answers_costs_nothing(
    open_shop: Shop, deaf_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    settings = with_telemetry(open_shop, lineage="http", lineage_url=f"http://127.0.0.1:{deaf_port}")
    open_shop.add(orders=3)
    result = build(settings, lake=open_shop.lake, run_id=str(uuid.uuid4()))
    assert result.success
    assert not [thread for thread in threading.enumerate() if thread.name == "floe-lineage"], "not begun"
    started = time.monotonic()
    assert lineage.flush(), "given up after one request, not after each"
    assert time.monotonic() - started < lineage.FLUSH_SECONDS
    assert [record.getMessage() for record in caplog.records if "lineage is lost" in record.getMessage()]


def test_a_collector_gets_every_event(open_shop: Shop) -> None:
    got: list[Event] = []

    class Collector(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        settings = with_telemetry(
            open_shop, lineage="http", lineage_url=f"http://127.0.0.1:{server.server_port}"
        )
        open_shop.add(orders=3)
        build(settings, lake=open_shop.lake)
        assert lineage.flush()
    finally:
        server.shutdown()
        server.server_close()
    ended = [event["job"]["name"] for event in got if event["eventType"] == "COMPLETE"]
    assert {f"dbt.{name}" for name in MARTS} <= set(ended)
    assert len(ended) == len([event for event in got if event["eventType"] == "START"])
