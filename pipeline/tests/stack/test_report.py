"""What the report reads of a run, of Jaeger and of Marquez."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from floe_pipeline.verify.evidence import Check, read_evidence, write_evidence
from floe_stack.dagster import Materialization, Run
from floe_stack.observed import tables_of, trace
from floe_stack.report import earlier_checks, steps_of


def node(kind: str, namespace: str, name: str, *origins: str) -> dict[str, Any]:
    own = f"{kind.lower()}:{namespace}:{name}"
    return {
        "id": own,
        "type": kind,
        "data": {"namespace": namespace, "name": name},
        "inEdges": [{"origin": origin, "destination": own} for origin in origins],
    }


BRONZE, GOLD = "dataset:iceberg://floe:bronze.orders", "dataset:iceberg://floe:gold.orders"
GRAPH = [
    node("DATASET", "iceberg://floe", "bronze.orders", "job:floe:generate"),
    node("JOB", "floe", "generate"),
    node("JOB", "floe", "dbt.orders", BRONZE, GOLD),  # an incremental model reads what it wrote before
    node("DATASET", "iceberg://floe", "gold.orders", "job:floe:dbt.orders"),
    node("JOB", "floe", "cube.Orders", GOLD),
    node("DATASET", "cube://floe", "Orders", "job:floe:cube.Orders"),
]
COLUMN = {
    "id": "datasetField:cube://floe:Orders:count",
    "data": {
        "field": "count",
        "inputFields": [{"namespace": "iceberg://floe", "dataset": "gold.orders", "field": "order_id"}],
    },
}
SPANS = [
    {"operationName": "generate_orders_job", "spanID": "a", "references": [], "startTime": 1_000_000,
     "duration": 500_000, "tags": []},
    {"operationName": "step bronze", "spanID": "b", "startTime": 1_100_000, "duration": 200_000,
     "references": [{"refType": "CHILD_OF", "spanID": "a"}], "tags": [{"key": "error", "value": True}]},
]  # fmt: skip


@pytest.fixture
def observed() -> Iterator[str]:
    """Address of a server that answers like Jaeger and like Marquez."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            about = parse_qs(url.query).get("nodeId", [""])[0]
            answers: dict[str, Any] = {
                "/api/v1/lineage": {"graph": GRAPH},
                "/api/v1/column-lineage": {"graph": [COLUMN] if "cube:" in about else []},
                "/api/traces/t": {"data": [{"spans": SPANS}]},
            }
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answers[url.path]).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_tables_lead_to_tables_and_on_to_cubes_with_the_origin_of_columns(observed: str) -> None:
    lineage = tables_of(observed, "floe", "gold.orders")
    assert lineage.edges == {("bronze.orders", "gold.orders"), ("gold.orders", "cube.Orders")}
    assert lineage.layer("cube.Orders") == "cube"
    assert lineage.datasets["cube.Orders"].columns == {"count": ["gold.orders.order_id"]}


def test_spans_know_their_parent_and_when_they_began(observed: str) -> None:
    whole, step = trace(observed, "t")
    assert (whole.parent_id, whole.started) == (None, 1.0)
    assert (step.parent_id, step.seconds) == ("a", 0.2)


def test_steps_tell_how_long_was_waited_and_what_was_written() -> None:
    facts = {"bronze.orders": "100", "bronze.order_items": "210", "bronze.products": "0"}
    written = {table: Materialization(table, {"rows_appended": rows}) for table, rows in facts.items()}
    written |= {
        name: Materialization(name, {}) for name in ("gold.orders", "gold.customers", "staging.stg_orders")
    }
    run = Run(
        id="r", job="generate_orders_job", status="SUCCESS", created=10.0, started=11.0, ended=15.0, tags={},
        steps={"marts": (13.0, 15.0), "bronze": (12.0, 12.5)}, written=written,
    )  # fmt: skip
    steps = [(step.name, step.made, step.seconds) for step in steps_of(run)]
    assert steps == [
        ("queued", "generate_orders_job until its first step", 2.0),
        ("bronze", "210 order items, 100 orders", 0.5),
        ("marts", "published customers, orders", 2.0),
    ]


def test_evidence_of_another_stack_is_not_shown(tmp_path: Path) -> None:
    checks = [Check("B1", "looked at now", passed=True), Check("US2.1", "looked at then", passed=False)]
    write_evidence("verify-stack", "testbed", checks, tmp_path / "evidence" / "verify-stack.json")
    kept, when = earlier_checks(tmp_path, "testbed", {"B1"})
    assert [check.id for check in kept] == ["US2.1"]
    assert when is not None
    assert earlier_checks(tmp_path, "local", {"B1"}) == ([], None)
    assert earlier_checks(tmp_path / "none", "testbed", {"B1"}) == ([], None)


def test_a_file_that_is_no_evidence_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "verify-stack.json"
    path.write_text('{"target": "local", "checks": [{"name": "B1"}]}')
    with pytest.raises(ValueError, match=r"verify-stack\.json is no evidence"):
        read_evidence(path)
