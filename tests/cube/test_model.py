"""Every member of the data model against the marts: REST, SQL and views answer what DuckDB answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from .conftest import Cube, Row, Shop, plain
from .marts import MARTS, VIEWS, Mart

pytestmark = pytest.mark.services
CUBES = sorted(MARTS)


def rows_of(answer: list[dict[str, Any]], members: Iterable[str]) -> list[list[object]]:
    """Rows of the REST API as lists in the order of the members."""
    return [[plain(row[member]) for member in members] for row in answer]


def plain_rows(rows: list[Row]) -> list[list[object]]:
    return [[plain(value) for value in row] for row in rows]


def measured(mart: Mart) -> str:
    return ", ".join(mart.measures.values())


def test_model_has_the_members_that_are_tested_here(cube: Cube) -> None:
    meta = cube.meta()
    for name, mart in MARTS.items():
        found = {kind: {m["name"].split(".")[1] for m in meta[name][kind]} for kind in meta[name] if kind in
                 ("measures", "dimensions", "segments")}  # fmt: skip
        assert found == {
            "measures": set(mart.measures),
            "dimensions": set(mart.dimensions),
            "segments": set(mart.segments),
        }
    assert set(meta) == {*MARTS, *VIEWS}


def test_everything_is_described(cube: Cube) -> None:
    for each in cube.meta().values():
        assert each["description"]
        for member in [*each["measures"], *each["dimensions"], *each["segments"]]:
            assert member.get("description", "").endswith("."), member["name"]


@pytest.mark.parametrize("name", CUBES)
def test_every_measure_equals_the_mart(cube: Cube, shop: Shop, name: str) -> None:
    mart = MARTS[name]
    members = [f"{name}.{measure}" for measure in mart.measures]
    expected = shop.ask(f"SELECT {measured(mart)} FROM {mart.table}")
    assert rows_of(cube.load(measures=members), members) == plain_rows(expected)


@pytest.mark.parametrize("name", CUBES)
def test_every_measure_equals_the_mart_over_sql(cube: Cube, shop: Shop, name: str) -> None:
    mart = MARTS[name]
    found = cube.sql(f"SELECT {', '.join(f'MEASURE({measure})' for measure in mart.measures)} FROM {name}")
    assert plain_rows(found) == plain_rows(shop.ask(f"SELECT {measured(mart)} FROM {mart.table}"))


@pytest.mark.parametrize("name", CUBES)
def test_every_dimension_equals_the_mart(cube: Cube, shop: Shop, name: str) -> None:
    mart = MARTS[name]
    members = [f"{name}.{dimension}" for dimension in mart.dimensions]
    found = cube.load(dimensions=members, order={f"{name}.id": "asc"}, limit=50)
    wanted = ", ".join(mart.dimensions.values())
    expected = shop.ask(f"SELECT {wanted} FROM {mart.table} ORDER BY {mart.key} LIMIT 50")
    assert rows_of(found, members) == plain_rows(expected)


@pytest.mark.parametrize(
    ("name", "segment"), [(name, segment) for name in CUBES for segment in MARTS[name].segments]
)
def test_every_segment_equals_the_mart(cube: Cube, shop: Shop, name: str, segment: str) -> None:
    mart = MARTS[name]
    found = cube.load(measures=[f"{name}.count"], segments=[f"{name}.{segment}"])
    expected = shop.ask(f"SELECT count(*) FROM {mart.table} WHERE {mart.segments[segment]}")
    assert rows_of(found, [f"{name}.count"]) == plain_rows(expected)
    assert 0 < expected[0][0] <= shop.ask(f"SELECT count(*) FROM {mart.table}")[0][0]


@pytest.mark.parametrize(
    ("name", "dimension"), [("Orders", "status"), ("Customers", "country"), ("Products", "category")]
)
def test_every_measure_equals_the_mart_in_groups(cube: Cube, shop: Shop, name: str, dimension: str) -> None:
    mart = MARTS[name]
    members = [f"{name}.{each}" for each in (dimension, *mart.measures)]
    found = cube.load(measures=members[1:], dimensions=members[:1], order={members[0]: "asc"})
    expected = shop.ask(f"SELECT {dimension}, {measured(mart)} FROM {mart.table} GROUP BY 1 ORDER BY 1")
    assert rows_of(found, members) == plain_rows(expected)


def by(member: str, operator: str, *values: str) -> dict[str, object]:
    return {"member": member, "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("condition", "where"),
    [
        (by("Orders.id", "equals", "7"), "order_id = 7"),
        (by("Orders.total_amount", "gt", "99.5"), "total_amount > 99.5"),
        (by("Orders.status", "equals", "paid", "placed"), "status IN ('paid', 'placed')"),
        (by("Orders.status", "contains", "_", "%"), "contains(status, '_') OR contains(status, '%')"),
        (by("Orders.status", "notEquals", "it's ?"), "true"),
        (by("Orders.status", "equals", "' OR true OR '' = '"), "false"),
        (by("Orders.status", "equals", "paid", "null\0 -- ?"), "status = 'paid'"),
        (by("Orders.ordered_at", "beforeDate", "2026-01-01"), "ordered_at < '2026-01-01 00:00:00Z'"),
    ],
)
def test_values_of_filters_are_nothing_but_values(
    cube: Cube, shop: Shop, condition: dict[str, object], where: str
) -> None:
    either = {"or": [condition, by("Orders.region", "equals", "-- ? '?' \\' /*")]}
    found = cube.load(measures=["Orders.count"], filters=[either])
    expected = shop.ask(f"SELECT count(*) FROM lake.gold.orders WHERE {where}")
    assert rows_of(found, ["Orders.count"]) == plain_rows(expected)


def test_months_begin_at_midnight_utc(cube: Cube, shop: Shop) -> None:
    month = {"dimension": "Orders.ordered_at", "granularity": "month"}
    found = cube.load(measures=["Orders.total_revenue"], timeDimensions=[month])
    expected = shop.ask(
        "SELECT date_trunc('month', ordered_at AT TIME ZONE 'UTC'), sum(total_amount)"
        " FROM lake.gold.orders GROUP BY 1 ORDER BY 1"
    )
    assert len(expected) > 12
    assert rows_of(found, ["Orders.ordered_at.month", "Orders.total_revenue"]) == plain_rows(expected)


def test_joined_measures_count_no_row_twice(cube: Cube, shop: Shop) -> None:
    members = ["Customers.country", "Orders.total_revenue", "Orders.count", "Customers.total_revenue"]
    found = cube.load(measures=members[1:], dimensions=members[:1], order={members[0]: "asc"})
    expected = shop.ask(
        """SELECT country, sum(bought.amount), sum(bought.orders), sum(total_revenue)
        FROM lake.gold.customers
        JOIN (SELECT customer_id, sum(total_amount) AS amount, count(*) AS orders
              FROM lake.gold.orders GROUP BY 1) AS bought USING (customer_id)
        GROUP BY 1 ORDER BY 1"""
    )
    assert rows_of(found, members) == plain_rows(expected)


@pytest.mark.parametrize("view", VIEWS)
def test_views_show_their_cubes(cube: Cube, view: str) -> None:
    name, borrowed = VIEWS[view]
    mart = MARTS[name]
    direct = cube.load(measures=[f"{name}.{measure}" for measure in mart.measures])
    through = cube.load(measures=[f"{view}.{measure}" for measure in mart.measures])
    assert list(through[0].values()) == list(direct[0].values())
    dimensions = {member["name"].split(".")[1] for member in cube.meta()[view]["dimensions"]}
    assert dimensions == {*mart.dimensions, *borrowed}


def test_view_joins_the_customer_of_each_order(cube: Cube) -> None:
    _, borrowed = VIEWS["sales"]
    own = [f"sales.{member}" for member in ("id", *borrowed)]
    direct = ["Orders.id", *(f"{cube_name}.{member}" for cube_name, member in borrowed.values())]
    order = {"order": {own[0]: "asc"}}, {"order": {direct[0]: "asc"}}
    found = cube.load(dimensions=own, limit=20, **order[0])
    assert rows_of(found, own) == rows_of(cube.load(dimensions=direct, limit=20, **order[1]), direct)


def test_contract_of_the_sql_api(cube: Cube, shop: Shop) -> None:
    assert cube.sql("SELECT MEASURE(count) FROM Orders") == shop.ask("SELECT count(*) FROM lake.gold.orders")
