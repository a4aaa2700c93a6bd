"""US2, FR-009, FR-010: what an analyst asks Cube, over REST and over SQL."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import httpx

from floe_stack.checks.finding import Finding, Question, judged
from floe_stack.cube import COUNT, ask_sql
from floe_stack.stack import Stack

REVENUE: Final = "Orders.total_revenue"
STATUS: Final = "Orders.status"
STORAGE_NAMES: Final = ("AWS_", "S3_", "MINIO", "ACCESS_KEY", "SECRET_KEY")
CLIENT_OF_LAKE: Final = {"FLOE_CATALOG_CLIENT_ID", "FLOE_CATALOG_CLIENT_SECRET"}


def _rest(stack: Stack) -> list[Finding]:
    (whole,) = stack.cube.load({"measures": [COUNT, REVENUE]})
    groups = stack.cube.load({"measures": [COUNT, REVENUE], "dimensions": [STATUS]})
    count, revenue = int(whole[COUNT]), Decimal(str(whole[REVENUE]))
    wrong = [] if count else ["there are no orders"]
    parts = sum(int(row[COUNT]) for row in groups), sum(Decimal(str(row[REVENUE])) for row in groups)
    if parts != (count, revenue):
        wrong.append(
            f"orders by status add up to {parts[0]:,} and {parts[1]:,}, not {count:,} and {revenue:,}"
        )
    seen = f"{count:,} orders, {revenue:,.2f} in all, in {len(groups)} states"
    return [judged(wrong, seen, count=count, total_revenue=revenue, states=len(groups))]


def _sql(stack: Stack) -> list[Finding]:
    with stack.cube_sql() as session:
        rows = ask_sql(session, "SELECT MEASURE(count) FROM Orders")
        groups = ask_sql(session, "SELECT status, MEASURE(count) FROM Orders GROUP BY 1 ORDER BY 1")
    wrong = (
        [] if len(rows) == 1 and int(rows[0][0]) > 0 else [f"SELECT MEASURE(count) FROM Orders gave {rows}"]
    )
    finding = judged(wrong, f"{int(rows[0][0]):,} orders, in {len(groups)} states", rows=len(rows))
    return [finding, finding]


def _reads_through_catalog(stack: Stack) -> list[Finding]:
    """A question that no cache can answer, and a Cube that holds nothing with which to go to MinIO itself."""
    ready = httpx.get(f"{stack.cube.url}/readyz", timeout=20)
    (row,) = stack.cube.load({"measures": [COUNT, "Orders.units"]}, cache="no-cache")
    spec = stack.kubectl.json("get", "deployment", "cube", "--output", "json")["spec"]["template"]["spec"]
    variables = {each["name"] for container in spec["containers"] for each in container.get("env", [])}
    wrong = [] if ready.is_success else [f"/readyz, which asks the catalog, answers {ready.status_code}"]
    wrong += [
        f"Cube's variable {name} looks like a key of the storage"
        for name in sorted(variables - CLIENT_OF_LAKE)
        if any(part in name for part in STORAGE_NAMES)
    ]
    missing = sorted(CLIENT_OF_LAKE - variables)
    wrong += [f"Cube has no variable {name}" for name in missing]
    engine = {each["name"]: each.get("value") for each in spec["containers"][0].get("env", [])}
    own_engine = [] if engine.get("CUBEJS_DB_TYPE") == "duckdb" else ["CUBEJS_DB_TYPE of Cube is not duckdb"]
    others = [
        item["metadata"]["name"]
        for item in stack.kubectl.items("deployments,statefulsets")
        if "duckdb" in item["metadata"]["name"]
    ]
    own_engine += [f"{name} is a service of its own for DuckDB" for name in others]
    return [
        judged(wrong, f"{int(row[COUNT]):,} orders past every cache, by OAuth2 credentials alone"),
        judged(own_engine, "DuckDB inside Cube, no other service computes"),
    ]


QUESTIONS: Final = (
    Question({"US2.1": "Cube's REST API returns order counts and totals as JSON"}, _rest),
    Question(
        {
            "US2.2": "psycopg2 asks Cube for MEASURE(count) FROM Orders and gets rows",
            "FR-010": "Cube's SQL API is at port 15432 of its Service",
        },
        _sql,
    ),
    Question(
        {
            "US2.3": "Cube's DuckDB reads Iceberg through Polaris from MinIO",
            "FR-009": "Cube uses its own DuckDB, no separate service computes",
        },
        _reads_through_catalog,
    ),
)
