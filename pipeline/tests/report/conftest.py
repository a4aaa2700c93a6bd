"""A small hand-made lake in plain DuckDB, with the spans and lineage events of a made-up run."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import duckdb
import pytest

from floe_pipeline.report.answers import Answer
from floe_pipeline.report.graph import Dataset, Lineage, read_lineage
from floe_pipeline.report.page import Report, Words
from floe_pipeline.report.patterns import collect
from floe_pipeline.report.spans import read_trace
from floe_pipeline.report.step import Step
from floe_pipeline.verify.evidence import Check

MARTS = """
ATTACH ':memory:' AS lake;
CREATE SCHEMA lake.gold;
CREATE TABLE lake.gold.orders AS
WITH raw AS (
    SELECT i AS order_id,
           -- a few customers place most of the orders
           1 + floor(300 * pow(hash(i * 7 + 1) % 100000 / 100000.0, 2.6))::BIGINT AS customer_id,
           1 + floor(4 * pow(hash(i * 7 + 2) % 1000 / 1000.0, 2))::INT AS item_count,
           (TIMESTAMPTZ '2024-01-03 00:00:00+00' + to_seconds(i * 63072000.0 / 6000)
            + to_hours((hash(i * 7 + 3) % 5)::INT)) AS ordered_at,
           (2000 + hash(i * 7 + 4) % 30000)::BIGINT AS cents,
           hash(i * 7 + 5) % 100 AS fate
    FROM range(1, 6001) AS t(i)
)
SELECT order_id, customer_id,
       ['north', 'south', 'east', 'west'][1 + customer_id % 4] AS region,
       CASE WHEN fate < 6 THEN 'cancelled'
            WHEN ordered_at > TIMESTAMPTZ '2025-12-31 00:00:00+00' THEN 'placed'
            WHEN ordered_at > TIMESTAMPTZ '2025-12-30 00:00:00+00' THEN 'paid'
            WHEN ordered_at > TIMESTAMPTZ '2025-12-27 00:00:00+00' THEN 'shipped'
            WHEN fate < 14 THEN 'returned' ELSE 'delivered' END AS status,
       ordered_at, (ordered_at AT TIME ZONE 'UTC')::DATE AS order_date, item_count, item_count + 1 AS units,
       (cents / 100)::DECIMAL(18, 2) AS total_amount
FROM raw;
CREATE TABLE lake.gold.customers AS
SELECT c AS customer_id, ['north', 'south', 'east', 'west'][1 + c % 4] AS region,
       TIMESTAMPTZ '2024-01-01 00:00:00+00' AS signed_up_at,
       min(ordered_at) AS first_order_at, count(order_id) AS orders, count(order_id) > 1 AS is_repeat,
       coalesce(sum(total_amount), 0)::DECIMAL(18, 2) AS total_revenue
FROM range(1, 331) AS t(c) LEFT JOIN lake.gold.orders ON customer_id = c GROUP BY c;
UPDATE lake.gold.customers SET signed_up_at = coalesce(first_order_at, '2025-06-01 00:00:00+00');
CREATE TABLE lake.gold.products AS
SELECT p AS product_id, ['Home', 'Toys', 'Books', 'Garden', 'Electronics'][1 + p % 5] AS category,
       ((1 + p % 5) * (5 + hash(p) % 40) - 0.01)::DECIMAL(18, 2) AS price,
       100 AS units_sold, (100 * price)::DECIMAL(18, 2) AS total_revenue
FROM range(1, 61) AS t(p);
CREATE TABLE lake.gold.daily_revenue AS
SELECT order_date, region, count(*) AS orders, sum(units) AS units, sum(total_amount) AS revenue,
       coalesce(sum(total_amount) FILTER (status NOT IN ('cancelled', 'returned')), 0) AS net_revenue
FROM lake.gold.orders GROUP BY ALL;
"""

START = 1_735_689_600_000_000_000  # a nanosecond clock of long ago


@pytest.fixture(scope="session")
def marts():
    with duckdb.connect() as connection:
        connection.execute(MARTS)
        yield connection


def spans():
    """A made-up run: seed and three cycles, each with appends and a dbt build, then the proof."""
    made = []

    def span(name, start, seconds, parent=None):
        made.append(
            {
                "trace_id": "a" * 32,
                "span_id": f"{len(made) + 1:016x}",
                "parent_id": parent,
                "name": name,
                "start_ns": START + int(start * 1e9),
                "end_ns": START + int((start + seconds) * 1e9),
                "attributes": {},
                "status": "OK",
            }
        )
        return made[-1]["span_id"]

    root = span("demo", 0, 9.4)
    at = 0.1
    for cycle in ("seed", "cycle 1", "cycle 2", "cycle 3"):
        length = 3.0 if cycle == "seed" else 1.8
        step = span(cycle, at, length, root)
        batch = span("lake.append_batch", at, length * 0.3, step)
        for index, table in enumerate(("order_items", "products", "customers", "orders")):
            append = span(f"iceberg.append bronze.{table}", at + index * 0.1, 0.09, batch)
            span("catalog.commit", at + index * 0.1 + 0.05, 0.02, append)
        build = span("dbt.build", at + length * 0.3, length * 0.65, step)
        for index in range(8):
            span(f"dbt.model stg_{index}", at + length * 0.3 + index * 0.05, 0.04 * (8 - index), build)
        for index in range(40):
            span(f"dbt.test not_null_{index}", at + length * 0.5 + index * 0.012, 0.01, build)
        at += length + 0.05
    span("verify", at, 0.6, root)
    return made


def lineage_events():
    """OpenLineage events as the run writes them: bronze tables to staging views to gold marts."""

    def dataset(name, columns, **facets):
        return {"namespace": "iceberg://floe", "name": name, "facets": {"schema": {
            "fields": [{"name": column, "type": "bigint"} for column in columns]}, **facets}}  # fmt: skip

    def event(output, columns, inputs):
        origin = {"columnLineage": {"fields": {column: {"inputFields": [
            {"namespace": "x", "name": inputs[0], "field": column}]} for column in columns}}}  # fmt: skip
        return {"eventType": "COMPLETE", "inputs": [dataset(name, columns) for name in inputs],
                "outputs": [dataset(output, columns, **origin)]}  # fmt: skip

    tables = ("customers", "products", "orders", "order_items")
    made = [event(f"main.stg_{table}", [f"{table}_id", "name"], [f"bronze.{table}"]) for table in tables]
    made += [
        event("int_totals", ["order_id", "total_amount"], ["main.stg_orders", "main.stg_order_items"]),
        event("gold.orders", ["order_id", "total_amount"], ["int_totals"]),
        event("gold.customers", ["customer_id"], ["main.stg_customers", "main.stg_orders", "gold.customers"]),
        event("gold.products", ["product_id"], ["main.stg_products", "main.stg_order_items"]),
        event("gold.daily_revenue", ["order_date", "revenue"], ["int_totals"]),
    ]
    return made


def b1(passed=True):
    gold = 101629320 if passed else 101629319
    return Check(
        "B1",
        "generator = bronze = gold, to the row and to the cent",
        passed=passed,
        seconds=0.41,
        evidence={
            "quantities": [
                {"table": "orders", "unit": "rows",
                 "seen": {"generator": 6000, "ledger": 6000, "bronze.orders": 6000, "gold.orders": 6000}},
                {"table": "orders", "unit": "cents",
                 "seen": {"generator": 101629320, "ledger": 101629320, "bronze.orders": 101629320,
                          "gold.orders": gold}},
            ],
            "differences": [] if passed else ["gold.orders: 1,016,293.19, the generator made 1,016,293.20"],
        },
    )  # fmt: skip


@pytest.fixture(scope="session")
def broken_b1():
    return b1(passed=False)


@pytest.fixture(scope="session")
def make_report(marts, tmp_path_factory):
    """The report of the hand-made lake; arguments change single fields of it."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "traces.jsonl").write_text("".join(json.dumps(span) + "\n" for span in spans()))
    (folder / "lineage.jsonl").write_text("".join(json.dumps(event) + "\n" for event in lineage_events()))
    report = Report(
        target="embedded",
        made_at=datetime(2026, 1, 2, 18, 45, tzinfo=UTC),
        patterns=collect(marts),
        checks=[b1(), Check("B1.money", "every total is the sum of its lines", passed=True, seconds=0.1,
                            evidence={"looked_at": "11,501 lines of 6,000 orders"})],
        steps=[Step("Seed", "6,000 orders", 3.0), Step("Cycle 1", "100 orders <b>", 1.8)],
        spans=read_trace(folder / "traces.jsonl", "a" * 32),
        lineage=read_lineage(folder / "lineage.jsonl"),
        facts=[("Trace", "a" * 32)],
    )  # fmt: skip

    def make(**changes):
        return replace(report, **changes)

    return make


@pytest.fixture(scope="session")
def make_stack_report(make_report):
    """The report of a running stack: with answers of Cube, and lineage on to its cubes."""
    report = make_report()
    lineage = Lineage(dict(report.lineage.datasets), set(report.lineage.edges))
    for cube, mart in (("cube.Orders", "gold.orders"), ("cube.Customers", "gold.customers")):
        lineage.datasets[cube] = Dataset(cube, {"count": [f"{mart}.id"]})
        lineage.edges.add((mart, cube))
    asked = b1()
    for entry, value in zip(asked.evidence["quantities"], (6000, 101629320), strict=True):
        measure = "count" if entry["unit"] == "rows" else "total_revenue"
        entry["seen"] |= {f"{place} Orders.{measure}": value for place in ("Cube REST", "Cube SQL")}
    told = {
        "target": "testbed",
        "checks": [asked],
        "lineage": lineage,
        "answers": [
            Answer("Orders by weekday and hour", [2.5, 2.0, 3.0], [14.0, 13.0, 19.0], 168),
            Answer("Totals of all orders", [1.5, 2.0, 1.0], [9.0, 8.0, 11.0], 1),
        ],
        "words": Words(run="The newest run.", proof="make verify looks at all."),
    }

    def make(**changes):
        return make_report(**told | changes)

    return make
