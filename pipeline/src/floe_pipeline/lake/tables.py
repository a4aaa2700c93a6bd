"""Every table of the lake: schema, partitioning, sort order, properties, and which column is money."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
from pyiceberg.io.pyarrow import pyarrow_to_schema
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.name_mapping import NameMapping
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER, SortField, SortOrder
from pyiceberg.transforms import IdentityTransform, YearTransform

from floe_synthetic.schemas import SCHEMAS

BRONZE_NAMESPACE: Final = "bronze"
GOLD_NAMESPACE: Final = "gold"
NAMESPACES: Final = (BRONZE_NAMESPACE, GOLD_NAMESPACE)

# A reader opens every manifest of a table for every question, so appends merge them. One above the target
# size is left alone, which bounds what an append rewrites.
MANIFEST_PROPERTIES: Final[dict[str, str]] = {
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "2",
    "commit.manifest.target-size-bytes": str(128 << 10),  # about 300 data files
}
# Metadata stays bounded with 288 cycles a day: each commit drops the metadata file that fell off the log.
TABLE_PROPERTIES: Final[dict[str, str]] = {
    "format-version": "2",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "10",
    "write.parquet.compression-codec": "zstd",
    **MANIFEST_PROPERTIES,
}


@dataclass(frozen=True)
class TableSpec:
    """What a table must look like.

    Attributes:
        namespace: `bronze` or `gold`.
        name: Name inside the namespace.
        schema: Iceberg schema; field ids count from 1 in column order.
        partition_spec: How rows are spread over folders.
        sort_order: Order of rows inside a file, as they are written.
        properties: Table properties set at creation.
        money_column: The decimal column whose sum is compared to the cent, if the table has one.
    """

    namespace: str
    name: str
    schema: Schema
    partition_spec: PartitionSpec = UNPARTITIONED_PARTITION_SPEC
    sort_order: SortOrder = UNSORTED_SORT_ORDER
    properties: dict[str, str] = field(default_factory=lambda: dict(TABLE_PROPERTIES))
    money_column: str | None = None

    @property
    def identifier(self) -> str:
        """`namespace.name`, as every log line, span and error shows it."""
        return f"{self.namespace}.{self.name}"


def iceberg_schema(arrow: pa.Schema) -> Schema:
    """An Iceberg schema of flat Arrow columns; ids from 1 in order, nullability kept."""
    ids = [{"field-id": number, "names": [name]} for number, name in enumerate(arrow.names, 1)]
    mapping = NameMapping.model_validate(ids)
    return pyarrow_to_schema(arrow, name_mapping=mapping)


def _by_year(schema: Schema, column: str) -> PartitionSpec:
    source = schema.find_field(column).field_id
    return PartitionSpec(
        PartitionField(source_id=source, field_id=1000, transform=YearTransform(), name=f"{column}_year")
    )


def _sorted_by(schema: Schema, column: str) -> SortOrder:
    return SortOrder(SortField(source_id=schema.find_field(column).field_id, transform=IdentityTransform()))


def _table(
    namespace: str,
    name: str,
    arrow: pa.Schema,
    *,
    money: str | None = None,
    year_of: str | None = None,
    sort: str | None = None,
) -> TableSpec:
    schema = iceberg_schema(arrow)
    return TableSpec(
        namespace=namespace,
        name=name,
        schema=schema,
        partition_spec=_by_year(schema, year_of) if year_of else UNPARTITIONED_PARTITION_SPEC,
        sort_order=_sorted_by(schema, sort) if sort else UNSORTED_SORT_ORDER,
        money_column=money,
    )


def _columns(*columns: tuple[str, pa.DataType], nullable: frozenset[str] = frozenset()) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=name in nullable) for name, kind in columns])


_ID = pa.int64()
_COUNT = pa.int64()
_MONEY = pa.decimal128(18, 2)
_TIME = pa.timestamp("us", tz="UTC")
_TEXT = pa.string()

# In the order of commits inside a batch: no reader sees an order whose items, product or customer is missing.
BRONZE: Final[tuple[TableSpec, ...]] = (
    _table(BRONZE_NAMESPACE, "order_items", SCHEMAS["order_items"], money="line_amount", sort="order_id"),
    _table(BRONZE_NAMESPACE, "products", SCHEMAS["products"], money="price"),
    _table(BRONZE_NAMESPACE, "customers", SCHEMAS["customers"]),
    _table(
        BRONZE_NAMESPACE,
        "orders",
        SCHEMAS["orders"],
        money="total_amount",
        year_of="ordered_at",
        sort="order_id",
    ),
)

CLAIMS: Final = BRONZE[0].identifier  # the first commit of a batch: its ledger claims the batch's number

# What the marts must look like; dbt makes them, nothing here creates them.
GOLD: Final[tuple[TableSpec, ...]] = (
    _table(
        GOLD_NAMESPACE,
        "orders",
        _columns(
            ("order_id", _ID),
            ("customer_id", _ID),
            ("region", _TEXT),
            ("status", _TEXT),
            ("ordered_at", _TIME),
            ("order_date", pa.date32()),
            ("item_count", _COUNT),
            ("units", _COUNT),
            ("gross_amount", _MONEY),
            ("discount_amount", _MONEY),
            ("total_amount", _MONEY),
        ),
        money="total_amount",
        year_of="ordered_at",
        sort="order_id",
    ),
    _table(
        GOLD_NAMESPACE,
        "customers",
        _columns(
            ("customer_id", _ID),
            ("first_name", _TEXT),
            ("last_name", _TEXT),
            ("email", _TEXT),
            ("region", _TEXT),
            ("country", _TEXT),
            ("signed_up_at", _TIME),
            ("first_order_at", _TIME),
            ("last_order_at", _TIME),
            ("orders", _COUNT),
            ("total_revenue", _MONEY),
            ("is_repeat", pa.bool_()),
            ("last_order_id", _ID),
            nullable=frozenset({"first_order_at", "last_order_at", "last_order_id"}),  # never ordered
        ),
        money="total_revenue",
    ),
    _table(
        GOLD_NAMESPACE,
        "products",
        _columns(
            ("product_id", _ID),
            ("sku", _TEXT),
            ("name", _TEXT),
            ("category", _TEXT),
            ("price", _MONEY),
            ("orders", _COUNT),
            ("units_sold", _COUNT),
            ("total_revenue", _MONEY),
            ("last_order_id", _ID),
            nullable=frozenset({"last_order_id"}),  # never sold
        ),
        money="total_revenue",
    ),
    _table(
        GOLD_NAMESPACE,
        "daily_revenue",
        _columns(
            ("order_date", pa.date32()),
            ("region", _TEXT),
            ("orders", _COUNT),
            ("units", _COUNT),
            ("revenue", _MONEY),
            ("net_revenue", _MONEY),
            ("last_order_id", _ID),
        ),
        money="revenue",
    ),
)

SPECS: Final[dict[str, TableSpec]] = {spec.identifier: spec for spec in (*BRONZE, *GOLD)}
