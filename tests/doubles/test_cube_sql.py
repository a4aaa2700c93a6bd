"""What the distribution relies on in Cube's SQL API, true of the real one too."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import asyncpg
import pg8000.native
import psycopg2
import psycopg2.extensions
import pytest

from cube_server import CubeAddress

Rows = list[tuple[Any, ...]]


@pytest.fixture
def connection(cube: CubeAddress) -> Iterator[psycopg2.extensions.connection]:
    connection = psycopg2.connect(cube.sql_url)
    connection.autocommit = True
    yield connection
    connection.close()


def ask(connection: psycopg2.extensions.connection, sql: str, *values: Any) -> Rows:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchall()


def test_a_measure_from_a_cube_returns_rows(connection: psycopg2.extensions.connection) -> None:
    assert ask(connection, "SELECT MEASURE(count) FROM Orders") == [(8,)]


def test_money_is_exact_to_the_cent(connection: psycopg2.extensions.connection) -> None:
    rows = ask(connection, "SELECT status, MEASURE(revenue) FROM Orders GROUP BY 1 ORDER BY 1")
    assert rows == [("cancelled", 10.0), ("paid", 50.2), ("returned", 70.0), ("shipped", 123456939.31)]


def test_names_need_no_case_and_may_have_an_alias(connection: psycopg2.extensions.connection) -> None:
    sql = "SELECT o.Status AS s, MEASURE(o.COUNT) AS n FROM orders o GROUP BY s ORDER BY n DESC, s LIMIT 2"
    plain = ask(connection, sql)
    sql = 'SELECT "Orders"."status", MEASURE("Orders"."count") FROM "Orders" GROUP BY 1 ORDER BY 2 DESC, 1'
    quoted = ask(connection, f"{sql} LIMIT 2")
    assert plain == quoted == [("paid", 3), ("shipped", 3)]


def test_time_is_truncated_to_its_granularity(connection: psycopg2.extensions.connection) -> None:
    sql = "SELECT DATE_TRUNC('month', orderedAt) AS month, MEASURE(count) FROM Orders GROUP BY 1 ORDER BY 1"
    assert ask(connection, sql) == [(datetime(2026, 1, 1), 4), (datetime(2026, 2, 1), 4)]


@pytest.mark.parametrize(
    ("condition", "ids"),
    [
        ("status = 'paid'", [4, 5, 6]),
        ("'paid' = status", [4, 5, 6]),
        ("status <> 'paid' AND region != 'north'", [2, 7]),
        ("id > 6", [7, 8]),
        ("6 >= id AND id >= 5", [5, 6]),
        ("id < 2 OR id = 8", [1, 8]),
        ("status IN ('returned', 'cancelled')", [3, 7]),
        ("status NOT IN ('paid', 'shipped')", [3, 7]),
        ("id BETWEEN 2 AND 4", [2, 3, 4]),
        ("id NOT BETWEEN 2 AND 7", [1, 8]),
        ("NOT (id = 1 OR id > 3)", [2, 3]),
        ("region IS NULL", [6]),
        ("region IS NOT NULL AND id > 5", [7, 8]),
        ("isRepeat = true AND id < 5", [1, 4]),
        ("orderedAt >= '2026-01-02' AND orderedAt < '2026-02-01 10:00:00'", [3, 4, 5]),
        ("orderedAt BETWEEN '2026-02-01' AND '2026-02-01 10:00:00'", [5, 6]),
        ("orderedAt <= TIMESTAMP '2026-01-01 23:59:59'", [1]),
        ("orderedAt > '2026-02-01T11:00:00'", [8]),
        ("orderedAt = '2026-01-02 12:30:00'", [4]),
    ],
)
def test_where(connection: psycopg2.extensions.connection, condition: str, ids: list[int]) -> None:
    rows = ask(connection, f"SELECT id FROM Orders WHERE {condition} ORDER BY id")
    assert [int(row[0]) for row in rows] == ids


def test_having_limits_groups(connection: psycopg2.extensions.connection) -> None:
    sql = "SELECT status FROM Orders GROUP BY status HAVING MEASURE(count) >= 3 ORDER BY status"
    assert ask(connection, sql) == [("paid",), ("shipped",)]


def test_limit_and_offset_walk_through_the_rows(connection: psycopg2.extensions.connection) -> None:
    pages = [ask(connection, f"SELECT id FROM Orders ORDER BY id LIMIT 3 OFFSET {at}") for at in (0, 3, 6)]
    assert [int(row[0]) for page in pages for row in page] == list(range(1, 9))
    assert ask(connection, "SELECT id FROM Orders LIMIT 0") == []


def test_without_group_by_every_row_comes(connection: psycopg2.extensions.connection) -> None:
    assert len(ask(connection, "SELECT status FROM Orders")) == 8
    assert len(ask(connection, "SELECT status FROM Orders GROUP BY status")) == 4


def test_null_booleans_and_times_have_their_types(connection: psycopg2.extensions.connection) -> None:
    row = ask(connection, "SELECT region, isRepeat, orderedAt FROM Orders WHERE id = 6")[0]
    assert row == (None, False, datetime(2026, 2, 1, 10))


@pytest.mark.parametrize(
    ("sql", "code", "words"),
    [
        ("SELECT status FROM Nowhere", "42P01", "nowhere"),
        ("SELECT nothing FROM Orders", "42703", "nothing"),
        ("SELECT FROM WHERE", "42601", "syntax error"),
        ("SELECT status, MEASURE(count) FROM Orders", "42803", "GROUP BY"),
        ("SELECT id FROM Orders WHERE orderedAt > 'yesterday-ish'", "22007", "yesterday-ish"),
        ("DELETE FROM Orders", None, ""),
    ],
)
def test_what_is_wrong_is_said_and_the_connection_lives_on(
    connection: psycopg2.extensions.connection, cube: CubeAddress, sql: str, code: str | None, words: str
) -> None:
    with pytest.raises(psycopg2.Error) as error:
        ask(connection, sql)
    if cube.is_double:  # the real one has codes and words of its own
        assert code is None or error.value.pgcode == code
        assert words in str(error.value)
    assert ask(connection, "SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM Orders",
        "SELECT a.status FROM Orders a JOIN Orders b ON a.id = b.id",
        "WITH o AS (SELECT 1) SELECT status FROM Orders",
        "SELECT status FROM Orders UNION SELECT region FROM Orders",
        "SELECT upper(status) FROM Orders",
        "SELECT status FROM Orders WHERE status LIKE 'p%'",
    ],
)
def test_the_stand_in_says_what_it_cannot_do(
    connection: psycopg2.extensions.connection, cube: CubeAddress, sql: str
) -> None:
    if not cube.is_double:
        pytest.skip("the real Cube can do this")
    with pytest.raises(psycopg2.errors.FeatureNotSupported, match="stand-in"):
        ask(connection, sql)


def test_a_failed_transaction_ends_with_rollback(cube: CubeAddress) -> None:
    connection = psycopg2.connect(cube.sql_url)
    with pytest.raises(psycopg2.Error):
        ask(connection, "SELECT nothing FROM Orders")
    connection.rollback()
    assert ask(connection, "SELECT MEASURE(count) FROM Orders") == [(8,)]
    connection.close()


@pytest.mark.parametrize("wrong", [("cube", "guess"), ("root", None)])
def test_a_wrong_user_or_password_is_refused(cube: CubeAddress, wrong: tuple[str, str | None]) -> None:
    options = psycopg2.extensions.parse_dsn(cube.sql_url)
    options |= {"user": wrong[0], "password": wrong[1] or options["password"]}
    with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
        psycopg2.connect(**options)


def test_psql_shows_a_table(cube: CubeAddress) -> None:
    if not shutil.which("psql"):
        pytest.skip("psql is not installed")
    sql = "SELECT status, MEASURE(count) FROM Orders GROUP BY 1 ORDER BY 1; SELECT 1;"
    command = ["psql", "--no-psqlrc", "--csv", "--tuples-only", cube.sql_url, "--command", sql]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["cancelled,1", "paid,3", "returned,1", "shipped,3", "1"]


def test_asyncpg_prepares_with_binary_values_and_results(cube: CubeAddress) -> None:
    async def talk() -> tuple[list[Any], list[Any], list[Any]]:
        connection = await asyncpg.connect(cube.sql_url)
        try:
            sql = """SELECT status, MEASURE(count), MEASURE(revenue) FROM Orders
                WHERE orderedAt >= $1 AND id < $2 GROUP BY 1 ORDER BY 1"""
            statement = await connection.prepare(sql)
            after = datetime(2026, 1, 2)
            first, again = await statement.fetch(after, 8.0), await statement.fetch(after, 5.0)
            with pytest.raises(asyncpg.PostgresError):
                await connection.fetch("SELECT nothing FROM Orders")
            sql = "SELECT orderedAt, isRepeat FROM Orders WHERE status = $1 LIMIT $2"
            rows = await connection.fetch(sql, "returned", 1)
            return [tuple(r) for r in first], [tuple(r) for r in again], [tuple(r) for r in rows]
        finally:
            await connection.close()

    first, again, rows = asyncio.run(talk())
    assert first == [("cancelled", 1, 10.0), ("paid", 3, 50.2), ("returned", 1, 70.0)]
    assert again == [("cancelled", 1, 10.0), ("paid", 1, 20.05)]
    assert rows == [(datetime(2026, 2, 1, 11), True)]


def test_a_cursor_fetches_piece_by_piece(cube: CubeAddress) -> None:
    async def walk() -> list[int]:
        connection = await asyncpg.connect(cube.sql_url)
        try:
            async with connection.transaction():
                cursor = connection.cursor("SELECT id FROM Orders ORDER BY id", prefetch=3)
                return [int(row["id"]) async for row in cursor]
        finally:
            await connection.close()

    assert asyncio.run(walk()) == list(range(1, 9))


def test_pg8000_binds_text_values(cube: CubeAddress) -> None:
    options = psycopg2.extensions.parse_dsn(cube.sql_url)
    connection = pg8000.native.Connection(
        options["user"],
        host=options["host"],
        port=int(options["port"]),
        password=options["password"],
        database=options["dbname"],
    )
    sql = "SELECT status, MEASURE(count) FROM Orders WHERE status = :status AND id >= :id GROUP BY status"
    assert connection.run(sql, status="paid", id=5) == [["paid", 2]]
    with pytest.raises(pg8000.native.DatabaseError):
        connection.run("SELECT nothing FROM Orders WHERE id = :id", id=5)
    assert connection.run("SELECT MEASURE(count) FROM Orders") == [[8]]
    connection.close()
