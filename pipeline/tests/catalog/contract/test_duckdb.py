"""What a catalog server promises to DuckDB."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from pyiceberg.catalog.rest import RestCatalog

from catalog_contract import ROWS, filled


class TestDuckDB:
    def test_creates_writes_and_reads(self, attach: Any, namespace: str, catalog: RestCatalog) -> None:
        db = attach()
        at = f"lake.{namespace}"
        db.execute(f"CREATE TABLE {at}.made AS SELECT i AS id, 'n' || i AS name FROM range(3) r(i)")
        db.execute(f"INSERT INTO {at}.made VALUES (3, 'n3')")
        db.execute(f"CREATE TABLE {at}.empty (id BIGINT)")
        db.execute("BEGIN")
        db.execute(f"DELETE FROM {at}.made WHERE id = 0")
        db.execute(f"INSERT INTO {at}.empty SELECT id FROM {at}.made")
        db.execute("COMMIT")
        assert db.execute(f"SELECT id FROM {at}.made ORDER BY id").fetchall() == [(1,), (2,), (3,)]
        assert db.execute(f"SELECT count(*) FROM {at}.empty").fetchall() == [(3,)]
        assert catalog.load_table((namespace, "made")).scan().to_arrow().num_rows == 3
        db.execute(f"ALTER TABLE {at}.made RENAME TO renamed")
        db.execute(f"DROP TABLE {at}.renamed")
        assert catalog.list_tables(namespace) == [(namespace, "empty")]

    def test_sees_what_pyiceberg_commits(self, attach: Any, namespace: str, catalog: RestCatalog) -> None:
        table = filled(catalog, namespace)
        db = attach()
        count = f"SELECT count(*) FROM lake.{namespace}.t"
        assert db.execute(count).fetchall() == [(3,)]
        table.append(ROWS)
        assert db.execute(count).fetchall() == [(6,)]

    def test_read_only(self, attach: Any, gold: Any) -> None:
        db = attach("cube", ", READ_ONLY, MAX_TABLE_STALENESS '5 seconds'")
        assert db.execute("SELECT count(*) FROM lake.gold.t").fetchall() == [(3,)]
        with pytest.raises(duckdb.Error):
            db.execute("INSERT INTO lake.gold.t VALUES (4, 'd')")
        with pytest.raises(duckdb.Error, match="not authorized"):
            db.execute("SELECT count(*) FROM lake.bronze.t")

    def test_reader_is_refused_without_read_only_too(self, attach: Any, gold: Any) -> None:
        db = attach("cube")
        with pytest.raises(duckdb.Error, match=r"not authorized|AccessDenied"):
            db.execute("INSERT INTO lake.gold.t VALUES (4, 'd')")
