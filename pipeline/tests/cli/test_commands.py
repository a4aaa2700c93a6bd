"""Every other command: what it does when all is well, and what it says when the data is not."""

import csv
import io
import json
import signal
import socket
import sys
from types import SimpleNamespace

import pytest
from pyiceberg.catalog.rest import RestCatalog

from floe_pipeline.embedded import embedded_platform
from floe_pipeline.lake.catalog import Lake
from floe_pipeline.verify.evidence import Check

pytestmark = pytest.mark.slow


def test_query_prints_a_table(demo, floe):
    ran = floe(
        "query", "--home", demo.home, "SELECT 7 AS seven, 1234.50::DECIMAL(9, 2) AS money, 'x' AS name"
    )
    assert ran.out.split() == ["seven", "money", "name", "7", "1,234.50", "x", "1", "row"]


def test_query_prints_csv_and_json_for_programs(demo, floe):
    sql = "SELECT status, count(*) AS orders, sum(total_amount) AS revenue FROM orders GROUP BY 1 ORDER BY 1"
    rows = list(csv.DictReader(io.StringIO(floe("query", "--home", demo.home, "--format", "csv", sql).out)))
    records = json.loads(floe("query", "--home", demo.home, "--format", "json", sql).out)
    assert sum(int(row["orders"]) for row in rows) == demo.orders
    assert [row["status"] for row in rows] == [record["status"] for record in records]
    assert [float(row["revenue"]) for row in rows] == [record["revenue"] for record in records]


def test_query_knows_marts_by_their_bare_names(demo, number):
    assert number(demo.home, "SELECT count(*) FROM daily_revenue") > 10
    assert number(demo.home, "SELECT count(*) FROM order_items") > demo.orders


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELEC 1", "Parser Error"),
        ("SELECT * FROM gold.nothing", "nothing"),
        ("DELETE FROM gold.orders", "read-only"),
        ("DROP TABLE bronze.orders", "read-only"),
    ],
)
def test_query_refuses_in_one_line(demo, sql, said, floe):
    ran = floe("query", "--home", demo.home, sql)
    assert (ran.code, ran.out) == (1, "")
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


def test_generate_then_transform_then_verify(small_lake, tmp_path, floe):
    behind = floe("verify", "--home", small_lake, "--out", tmp_path)
    assert behind.code == 1
    assert "gold.orders is missing (orders rows): run `floe transform`" in behind.out

    transformed = floe("transform", "--home", small_lake)
    assert transformed.code == 0, transformed.err
    assert "gold.daily_revenue" in transformed.out
    assert "tests passed" in transformed.out
    spans = [json.loads(line) for line in (small_lake / "traces.jsonl").read_text().splitlines()]
    trace = next(span["trace_id"] for span in spans if span["name"] == "transform")
    assert "dbt.build" in {span["name"] for span in spans if span["trace_id"] == trace}

    verified = floe("verify", "--home", small_lake, "--out", tmp_path)
    assert (verified.code, verified.out.count("✓")) == (0, 6)
    assert json.loads((tmp_path / "evidence" / "verify.json").read_text())["failed"] == 0


def test_generate_appends_a_batch_id_once(small_lake, floe, number):
    first = floe("generate", "--home", small_lake, "--orders", 10, "--batch-id", "monday")
    again = floe("generate", "--home", small_lake, "--orders", 10, "--batch-id", "monday")
    assert "batch 2 (monday) took" in first.out
    assert "batch 2 (monday) was there already" in again.out
    assert number(small_lake, "SELECT count(*) FROM bronze.orders") == 130


def test_verify_names_table_and_difference_when_one_bronze_row_is_gone(small_lake, tmp_path, floe):
    assert floe("transform", "--home", small_lake).code == 0
    with embedded_platform(small_lake) as settings:
        Lake.connect(settings).load("bronze.order_items").delete("order_item_id = 7")
    ran = floe("verify", "--home", small_lake, "--out", tmp_path)
    assert ran.code == 1
    assert "bronze.order_items has order_items rows" in ran.out
    assert ": 1 missing" in ran.out
    assert "orders whose total is not the sum of their lines: 1" in ran.out
    assert json.loads((tmp_path / "evidence" / "verify.json").read_text())["failed"] > 0


def test_maintain_counts_and_bootstrap_repeats(demo, floe):
    maintained = floe("maintain", "--home", demo.home)
    assert maintained.code == 0, maintained.err
    assert "snapshots_expired" in maintained.out
    assert "bronze.order_items" in maintained.out
    again = floe("bootstrap", "--home", demo.home)
    assert again.code == 0, again.err
    assert "made" not in again.out  # everything was there
    assert "is ready" in again.out
    assert floe("verify", "--home", demo.home, "--out", demo.out).code == 0


def test_a_lake_named_in_the_environment_is_used_instead(small_lake, monkeypatch, floe):
    with embedded_platform(small_lake) as settings:
        for name, value in settings.environment().items():
            monkeypatch.setenv(name, value)
        ran = floe("query", "--format", "csv", "SELECT count(*) AS orders FROM bronze.orders")
        both = floe("query", "--home", small_lake, "SELECT 1")
    assert ran.out.split() == ["orders", "120"]
    assert both.code == 2
    assert f"--home {small_lake}" in both.err
    assert "FLOE_CATALOG_CLIENT_ID" in both.err


def test_catalog_serve_serves_other_programs_until_interrupted(small_lake, start_floe):
    server = start_floe("catalog", "serve", "--home", small_lake, "--port", 0)
    try:
        uri = server.stdout.readline().split()[3].rstrip(",")
        known = json.loads((small_lake / "credentials.json").read_text())["pipeline"]
        catalog = RestCatalog(
            "floe",
            uri=uri,
            warehouse="floe",
            credential=f"{known['client_id']}:{known['client_secret']}",
            scope="PRINCIPAL_ROLE:ALL",
            **{"oauth2-server-uri": f"{uri}/v1/oauth/tokens"},
        )
        assert catalog.load_table("bronze.orders").scan().count() == 120
    finally:
        server.send_signal(signal.SIGINT)
        _, err = server.communicate(timeout=30)
    assert (server.returncode, err) == (0, "")


def test_bench_and_demo_ui_are_called_with_what_was_asked_for(monkeypatch, tmp_path, floe):
    called = []

    def run_bench(home, out, *, sizes, cycles, progress):
        progress("half way")
        called.append((home, out, sizes, cycles))
        return [
            Check("B5", "cost stays flat", passed=False, evidence={"differences": ["1.4 times the first"]})
        ]

    def serve(home, *, port):
        called.append((home, port))

    monkeypatch.setitem(sys.modules, "floe_pipeline.defs.serve", SimpleNamespace(serve=serve))
    assert floe("demo-ui", "--home", tmp_path, "--port", 3100).code == 0
    assert called.pop() == (tmp_path, 3100)

    monkeypatch.setitem(sys.modules, "floe_pipeline.bench", SimpleNamespace(run_bench=run_bench))
    ran = floe("bench", "--home", tmp_path, "--out", tmp_path, "--sizes", "10,20", "--cycles", 5)
    assert called == [(tmp_path, tmp_path, [10, 20], 5)]
    assert (ran.code, ran.err) == (1, "half way\n")
    assert "1.4 times the first" in ran.out


def test_doctor_is_content_here(tmp_path, floe):
    ran = floe("doctor", "--home", tmp_path / "new")
    lines = {line.split()[1]: line for line in ran.out.splitlines() if not line.startswith(" ")}
    assert {"python", "packages", "duckdb", "home", "disk", "memory"} <= lines.keys()
    assert lines["duckdb"].startswith("ok")
    assert "httpfs, avro, iceberg" in lines["duckdb"]


def test_doctor_names_a_taken_port_and_the_way_out(tmp_path, floe):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8181))
        except OSError:
            pytest.skip("port 8181 is taken on this machine already")
        taken.listen()
        ran = floe("doctor", "--home", tmp_path)
    assert ran.code == 1
    assert "no  port 8181" in ran.out
    assert "choose another with `floe catalog serve --port`" in ran.out
