"""Publishes a computed mart: one atomic commit, so that a reader sees the mart before it or after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.exceptions import NoSuchTableError, TableAlreadyExistsError
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.table import Table, Transaction
from pyiceberg.table.sorting import SortField, SortOrder

from floe_pipeline.lake.catalog import Lake
from floe_pipeline.lake.commit import (
    attempts,
    begin,
    commit,
    snapshot_id,
    stage_append,
    stage_exchange,
    write_files,
)
from floe_pipeline.lake.errors import CommitConflictError, LakeError
from floe_pipeline.lake.ledger import THROUGH, newest_carrying
from floe_pipeline.lake.manifests import live_files
from floe_pipeline.lake.tables import SPECS, TABLE_PROPERTIES, TableSpec, iceberg_schema
from floe_pipeline.telemetry import span

Mode = Literal["append", "replace"]
MAX_PARQUET_ROWS: Final = 1_000_000  # rows of one data file


@dataclass(frozen=True)
class PublishResult:
    """What `publish` did.

    Attributes:
        snapshot_id: The snapshot in which the rows are; made by this call, unless the mart had them already
            and `rows` is 0.
        rows: Rows written by this call.
        files: Data files written by this call.
    """

    snapshot_id: int
    rows: int
    files: int


def publish(
    lake: Lake,
    identifier: str,
    rows: pa.Table,
    *,
    mode: Mode,
    spec: TableSpec | None = None,
    watermark: str | None = None,
    snapshot_properties: Mapping[str, str] | None = None,
) -> PublishResult:
    """Commit a mart's rows in one commit; create the table, and add its new columns, in that same commit.

    Columns are matched by name and cast to the table's types; the types of columns that exist never change.
    When others commit first, the table is loaded again and the decision made anew.

    Args:
        lake: Where to publish.
        identifier: `namespace.name`.
        rows: The rows. In append mode those above the mart's watermark, at least.
        mode: `append` adds the rows to the table; `replace` makes them the table's only rows.
        spec: Partitioning, sort order and types for a new table; by default the one known by that name.
        watermark: Integer column that only grows. The highest value published is kept in the snapshot
            property `floe.through`, and append mode drops rows that are not above it: nothing is appended
            twice, whatever happened between computing the rows and committing them. Append mode needs it, or
            the property `floe.through` in `snapshot_properties` (then rows are appended all or not at all).
            In replace mode it keeps the mart from going back: one that has taken in more is left as it is.
        snapshot_properties: More properties of the snapshot, for example the run's id.

    Raises:
        ValueError: In append mode, without any watermark.
        LakeError: When a column cannot be cast, a required one is missing, or too many others commit
            meanwhile.
    """
    properties = dict(snapshot_properties or {})
    if watermark:
        highest = pc.max(rows[watermark]).as_py() if rows.num_rows else None
        if highest is not None:
            properties[THROUGH] = str(highest)
    elif mode == "append" and THROUGH not in properties:
        raise ValueError(f"watermark: publishing {identifier} by append needs a watermark column")
    publication = _Publication(
        lake, identifier, rows, mode, spec or SPECS.get(identifier), watermark, properties
    )
    with span(f"iceberg.publish {identifier}", **{"iceberg.table": identifier, "floe.mode": mode}) as here:
        for attempt in attempts(f"publishing {identifier}"):
            here.set_attribute("iceberg.attempts", attempt)
            try:
                result = publication.attempt()
            except (CommitConflictError, TableAlreadyExistsError):
                continue
            break
        here.set_attribute("iceberg.rows", result.rows)
        here.set_attribute("iceberg.snapshot_id", str(result.snapshot_id))
    return result


@dataclass(frozen=True)
class _Publication:
    lake: Lake
    identifier: str
    rows: pa.Table
    mode: Mode
    spec: TableSpec | None
    watermark: str | None
    properties: dict[str, str]

    def attempt(self) -> PublishResult:
        """Load, decide, commit once.

        Raises:
            CommitConflictError: Somebody else committed first.
            TableAlreadyExistsError: Somebody else created it first.
        """
        try:
            table = self.lake.load(self.identifier)
        except NoSuchTableError:
            return self._create()
        if self.mode == "append":
            return self._append(table)
        return self._replace(table)

    def _create(self) -> PublishResult:
        spec = _fitted(self.spec, self.identifier, self.rows.schema)
        transaction = self.lake.catalog.create_table_transaction(
            self.identifier,
            schema=spec.schema,
            partition_spec=spec.partition_spec,
            sort_order=spec.sort_order,
            properties=spec.properties,
        )
        return self._add(transaction, self.rows)

    def _append(self, table: Table) -> PublishResult:
        rows, through = self.rows, _through(table)
        if through is not None:
            if self.watermark:
                rows = rows.filter(pc.greater(rows[self.watermark], pa.scalar(through)))
            elif through >= int(self.properties[THROUGH]):
                rows = rows.slice(0, 0)
        current = table.current_snapshot()
        if not rows.num_rows and current is not None:
            return PublishResult(snapshot_id=current.snapshot_id, rows=0, files=0)
        return self._add(begin(table), rows)

    def _add(self, transaction: Transaction, rows: pa.Table) -> PublishResult:
        table = _evolve(transaction, rows.schema)
        files = write_files(table, _chunks(_conform(rows, table, self.identifier)))
        stage_append(transaction, files, self.properties)
        return self._commit(transaction, rows.num_rows, files)

    def _replace(self, table: Table) -> PublishResult:
        current, through = table.current_snapshot(), _through(table)
        if self.watermark and current is not None and (through or 0) > int(self.properties.get(THROUGH, 0)):
            return PublishResult(snapshot_id=current.snapshot_id, rows=0, files=0)
        old = [live.file for live in live_files(table)]
        transaction = begin(table)
        evolved = _evolve(transaction, self.rows.schema)
        files = write_files(evolved, _chunks(_conform(self.rows, evolved, self.identifier)))
        stage_exchange(transaction, old, files, self.properties)
        return self._commit(transaction, self.rows.num_rows, files)

    def _commit(self, transaction: Transaction, rows: int, files: list[DataFile]) -> PublishResult:
        commit(transaction, lambda: self.lake.load(self.identifier))
        return PublishResult(snapshot_id=snapshot_id(transaction), rows=rows, files=len(files))


def _through(table: Table) -> int | None:
    """The highest watermark that the mart has taken in, if it has one."""
    newest = newest_carrying(table, THROUGH)
    if newest is None or newest.summary is None:
        return None
    return int(newest.summary.additional_properties[THROUGH])


def _evolve(transaction: Transaction, arrow: pa.Schema) -> Table:
    """Stage columns that the table does not have yet.

    Returns:
        The table as it will be, to write files for.
    """
    known = set(transaction.table_metadata.schema().column_names)
    new = [arrow.field(name).with_nullable(True) for name in arrow.names if name not in known]
    if new:
        with transaction.update_schema() as update:
            update.union_by_name(iceberg_schema(pa.schema(new)))
    table = transaction._table
    return Table(
        table.name(),
        transaction.table_metadata,
        table.metadata_location,
        table.io,
        table.catalog,
        table.config,
    )


def _conform(rows: pa.Table, table: Table, identifier: str) -> pa.Table:
    """The rows with exactly the table's columns, in its order and types."""
    columns = []
    wanted = schema_to_pyarrow(table.schema(), include_field_ids=False)
    for field in wanted:
        if field.name not in rows.schema.names:
            if not field.nullable:
                raise LakeError(
                    f"{identifier} needs a column {field.name} ({field.type}); the rows have none"
                )
            columns.append(pa.nulls(rows.num_rows, field.type))
            continue
        column = rows[field.name]
        try:
            columns.append(column.cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise LakeError(
                f"{identifier}.{field.name}: {column.type} does not fit the table's {field.type} ({error})"
            ) from error
        if not field.nullable and column.null_count:
            raise LakeError(f"{identifier}.{field.name}: {column.null_count} nulls in a column that has none")
    return pa.table(columns, schema=wanted)


def _chunks(rows: pa.Table) -> list[pa.Table]:
    return [rows.slice(start, MAX_PARQUET_ROWS) for start in range(0, rows.num_rows, MAX_PARQUET_ROWS)]


def _fitted(spec: TableSpec | None, identifier: str, arrow: pa.Schema) -> TableSpec:
    """The specification for a new table with exactly these columns: known ones as specified, others as is."""
    if spec is None:
        namespace, name = identifier.split(".")
        return TableSpec(namespace, name, iceberg_schema(arrow), properties=dict(TABLE_PROPERTIES))
    specified = {field.name: field for field in schema_to_pyarrow(spec.schema, include_field_ids=False)}
    schema = iceberg_schema(pa.schema([specified.get(field.name, field) for field in arrow]))

    def source(old_id: int) -> int | None:
        name = spec.schema.find_column_name(old_id)
        return schema.find_field(name).field_id if name in arrow.names else None

    partition = [
        PartitionField(source_id=new_id, field_id=each.field_id, transform=each.transform, name=each.name)
        for each in spec.partition_spec.fields
        if (new_id := source(each.source_id))
    ]
    order = [
        SortField(source_id=new_id, transform=each.transform, direction=each.direction)
        for each in spec.sort_order.fields
        if (new_id := source(each.source_id))
    ]
    return replace(
        spec, schema=schema, partition_spec=PartitionSpec(*partition), sort_order=SortOrder(*order)
    )
