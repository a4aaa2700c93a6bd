"""What the distribution relies on in Cube's REST and GraphQL APIs, true of the real one too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cube_server import CubeAddress

Json = dict[str, Any]


@pytest.fixture
def rest(cube: CubeAddress) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=cube.url, headers=cube.headers(), timeout=60) as client:
        yield client


def load(rest: httpx.Client, **query: Any) -> Json:
    answer = rest.post("/cubejs-api/v1/load", json={"query": query})
    assert answer.status_code == 200, answer.text
    body: Json = answer.json()
    return body


def test_a_measure_is_answered_as_json(rest: httpx.Client) -> None:
    body = load(rest, measures=["Orders.count", "Orders.revenue"])
    assert body["data"] == [{"Orders.count": "8", "Orders.revenue": "123457069.51"}]
    assert body["annotation"]["measures"]["Orders.count"]["type"] == "number"


def test_groups_filters_and_order(rest: httpx.Client) -> None:
    body = load(
        rest,
        measures=["Orders.count"],
        dimensions=["Orders.status"],
        filters=[{"member": "Orders.region", "operator": "equals", "values": ["north"]}],
        order=[["Orders.count", "desc"], ["Orders.status", "asc"]],
    )
    assert [(r["Orders.status"], r["Orders.count"]) for r in body["data"]] == [
        ("shipped", "2"),
        ("cancelled", "1"),
        ("paid", "1"),
    ]


def test_a_time_dimension_is_bucketed_and_filled(rest: httpx.Client) -> None:
    month = {
        "dimension": "Orders.orderedAt",
        "granularity": "month",
        "dateRange": ["2026-01-01", "2026-03-31"],
    }
    rows = load(rest, measures=["Orders.count"], timeDimensions=[month])["data"]
    assert [(r["Orders.orderedAt.month"], r["Orders.count"]) for r in rows] == [
        ("2026-01-01T00:00:00.000", "4"),
        ("2026-02-01T00:00:00.000", "4"),
    ]
    assert rows[0]["Orders.orderedAt"] == "2026-01-01T00:00:00.000"


def test_two_periods_are_compared(rest: httpx.Client) -> None:
    periods = [["2026-01-01", "2026-01-31"], ["2026-02-01", "2026-02-28"]]
    time = {"dimension": "Orders.orderedAt", "compareDateRange": periods}
    query = {"measures": ["Orders.count"], "timeDimensions": [time]}
    results = rest.post("/cubejs-api/v1/load", json={"query": query, "queryType": "multi"}).json()["results"]
    found = [(row["compareDateRange"][:7], row["Orders.count"]) for part in results for row in part["data"]]
    assert found == [("2026-01", "4"), ("2026-02", "4")]


def test_null_stays_null(rest: httpx.Client) -> None:
    rows = load(rest, dimensions=["Orders.region"], measures=["Orders.count"])["data"]
    assert {r["Orders.region"]: r["Orders.count"] for r in rows} == {"north": "4", "south": "3", None: "1"}


def test_compact_rows_name_their_members_once(rest: httpx.Client) -> None:
    query = {
        "measures": ["Orders.count"],
        "dimensions": ["Orders.status"],
        "responseFormat": "compact",
        "limit": 1,
    }
    data = load(rest, **query)["data"]
    assert data["members"] == ["Orders.status", "Orders.count"]
    assert len(data["dataset"]) == 1


def test_an_empty_answer_is_an_empty_list(rest: httpx.Client) -> None:
    nothing = [{"member": "Orders.status", "operator": "equals", "values": ["lost"]}]
    assert load(rest, dimensions=["Orders.status"], filters=nothing)["data"] == []


def test_an_unknown_member_is_the_askers_error(rest: httpx.Client) -> None:
    answer = rest.post("/cubejs-api/v1/load", json={"query": {"measures": ["Orders.nothing"]}})
    assert answer.status_code == 400
    assert "nothing" in answer.json()["error"]


def test_nobody_gets_in_without_the_secret(cube: CubeAddress) -> None:
    assert httpx.get(f"{cube.url}/cubejs-api/v1/meta", headers={"Authorization": "x.y.z"}).status_code == 403


def test_the_model_is_described(rest: httpx.Client) -> None:
    cubes = {c["name"]: c for c in rest.get("/cubejs-api/v1/meta").json()["cubes"]}
    assert {m["name"] for m in cubes["Orders"]["measures"]} == {
        "Orders.count",
        "Orders.revenue",
        "Orders.average",
    }


def test_graphql_answers_the_same_numbers(rest: httpx.Client) -> None:
    query = '{ cube(where: {orders: {status: {equals: "paid"}}}) { orders { count revenue } } }'
    answer = rest.post("/cubejs-api/graphql", json={"query": query}).json()
    assert answer["data"]["cube"] == [{"orders": {"count": 3, "revenue": 50.2}}]
    grouped = "{ cube(orderBy: {orders: {orderedAt: asc}}) { orders { count orderedAt { month } } } }"
    rows = rest.post("/cubejs-api/graphql", json={"query": grouped}).json()["data"]["cube"]
    months = [row["orders"]["orderedAt"]["month"] for row in rows]
    assert months == ["2026-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z"]


def test_health_is_told_without_a_secret(cube: CubeAddress) -> None:
    assert httpx.get(f"{cube.url}/livez").status_code == 200
    assert httpx.get(f"{cube.url}/readyz").status_code == 200
