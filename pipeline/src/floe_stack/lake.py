"""The lake from outside the cluster: catalog and MinIO forwarded, files opened by vended keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import duckdb
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.io import load_file_io
from pyiceberg.table import Table

from floe_pipeline.lake.catalog import Lake, TableTotals
from floe_pipeline.lake.errors import LakeError
from floe_pipeline.lake.ledger import read_ledger
from floe_pipeline.lake.tables import BRONZE, NAMESPACES, SPECS
from floe_pipeline.settings import Settings, load_settings

CATALOG_PATH: Final = "/api/catalog"
ENDPOINT: Final = "s3.endpoint"


def outside_settings(catalog: str, client_id: str, secret: str, **more: object) -> Settings:
    """Settings of a client outside: as a pod has them, but for the catalog's address.

    Args:
        catalog: Where Polaris is forwarded to.
        client_id: Of a principal.
        secret: Of the same.
        more: Further fields.
    """
    return load_settings(
        target="local",
        catalog_uri=f"{catalog}{CATALOG_PATH}",
        catalog_client_id=client_id,
        catalog_client_secret=secret,
        **more,
    )


class OutsideLake:
    """Tables as a principal may read them, from a machine that cannot resolve the cluster's names.

    With each table the catalog vends keys for its files and the address of MinIO inside the cluster. The
    address is replaced; no other keys are ever used.

    Attributes:
        lake: The client of the catalog.
    """

    def __init__(self, settings: Settings, storage: str) -> None:
        self.lake = Lake.connect(settings)
        self._storage = storage

    def load(self, identifier: str) -> Table:
        """A table as it is now, readable from here.

        Raises:
            NoSuchTableError: There is no such table.
            LakeError: The catalog does not answer, or not to us.
        """
        table = self.lake.load(identifier)
        properties = {**table.io.properties, ENDPOINT: self._storage}
        table.io = load_file_io(properties, table.metadata_location)
        return table

    def committed_at(self, identifier: str, snapshot_id: int) -> float:
        """When a snapshot was committed, in seconds since 1970.

        Raises:
            LakeError: It is not kept any more, or the catalog does not answer.
        """
        snapshot = self.lake.load(identifier).snapshot_by_id(snapshot_id)
        if snapshot is None:
            raise LakeError(f"{identifier} has no snapshot {snapshot_id} any more")
        return snapshot.timestamp_ms / 1000

    def tables(self) -> dict[str, Table]:
        """Every table that is there, by `namespace.name`, each at its current snapshot."""
        found = {}
        for identifier in SPECS:
            try:
                found[identifier] = self.load(identifier)
            except (NoSuchTableError, NoSuchNamespaceError):
                continue  # not made yet: whoever looks for it says so
        return found


def snapshot_ids(tables: Mapping[str, Table]) -> dict[str, int | None]:
    """The snapshot that each table was loaded at."""
    current = {name: table.current_snapshot() for name, table in tables.items()}
    return {name: snapshot.snapshot_id if snapshot else None for name, snapshot in current.items()}


def row_counts(tables: Mapping[str, Table]) -> dict[str, int]:
    """Rows of each table, by the summary of its snapshot."""
    counts = {}
    for name, table in tables.items():
        snapshot = table.current_snapshot()
        summary = snapshot.summary.additional_properties if snapshot and snapshot.summary else {}
        counts[name] = int(summary.get("total-records", 0))
    return counts


def ledger_totals(tables: Mapping[str, Table]) -> dict[str, TableTotals]:
    """What the ledger of each bronze table says was ever appended, by name without namespace."""
    totals = {}
    for spec in BRONZE:
        ledger = read_ledger(tables[spec.identifier]) if spec.identifier in tables else None
        if ledger:
            totals[spec.name] = TableTotals(rows=ledger.rows, cents=ledger.cents)
    return totals


@contextmanager
def copied(tables: Mapping[str, Table]) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with a copy of the tables as `lake.<namespace>.<name>`, each at the snapshot it was loaded at.

    A copy, because DuckDB itself would go to MinIO's address inside the cluster.
    """
    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
        connection.execute("SET TimeZone = 'UTC'; ATTACH ':memory:' AS lake")
        for namespace in NAMESPACES:
            connection.execute(f"CREATE SCHEMA lake.{namespace}")
        for name, table in tables.items():
            connection.register("rows_of_table", table.scan().to_arrow())
            connection.execute(f"CREATE TABLE lake.{name} AS FROM rows_of_table")
            connection.unregister("rows_of_table")
        yield connection
