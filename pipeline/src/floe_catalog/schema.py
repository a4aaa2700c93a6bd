"""The database tables of the catalog."""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()

# SQLite counts rows up only for INTEGER keys.
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _id_column() -> sa.Column[int]:
    return sa.Column("id", _ID, primary_key=True, autoincrement=True)


def _table(name: str, *columns: sa.schema.SchemaItem) -> sa.Table:
    # Without AUTOINCREMENT SQLite gives a deleted row's id to the next one, and with it whatever
    # still names that id (a token's principal).
    return sa.Table(name, METADATA, *columns, sqlite_autoincrement=True)


def _entity_columns() -> tuple[sa.schema.SchemaItem, ...]:
    return (
        sa.Column("properties", sa.JSON, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False, default=1),
    )


def _reference(column: str, target: str, *, cascade: bool = False, key: bool = False) -> sa.Column[int]:
    owner = sa.ForeignKey(target, ondelete="CASCADE" if cascade else "RESTRICT")
    return sa.Column(column, _ID, owner, nullable=False, primary_key=key)


SETTINGS = sa.Table(
    "settings",
    METADATA,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

CATALOGS = _table(
    "catalogs",
    _id_column(),
    sa.Column("name", sa.String(256), nullable=False, unique=True),
    sa.Column("type", sa.String(16), nullable=False),
    sa.Column("storage", sa.JSON, nullable=False),
    *_entity_columns(),
)

# A namespace's levels are kept as one string joined by the unit separator, as in the REST paths.
NAMESPACES = _table(
    "namespaces",
    _id_column(),
    _reference("catalog_id", "catalogs.id"),
    sa.Column("path", sa.String(1024), nullable=False),
    sa.Column("properties", sa.JSON, nullable=False),
    sa.UniqueConstraint("catalog_id", "path"),
)

TABLES = _table(
    "tables",
    _id_column(),
    _reference("namespace_id", "namespaces.id"),
    sa.Column("name", sa.String(256), nullable=False),
    sa.Column("location", sa.Text, nullable=False),
    sa.Column("metadata_location", sa.Text, nullable=False),
    sa.UniqueConstraint("namespace_id", "name"),
)

PRINCIPALS = _table(
    "principals",
    _id_column(),
    sa.Column("name", sa.String(256), nullable=False, unique=True),
    sa.Column("client_id", sa.String(256), nullable=False, unique=True),
    sa.Column("secret_salt", sa.LargeBinary, nullable=False),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False),
    *_entity_columns(),
)

PRINCIPAL_ROLES = _table(
    "principal_roles",
    _id_column(),
    sa.Column("name", sa.String(256), nullable=False, unique=True),
    *_entity_columns(),
)

CATALOG_ROLES = _table(
    "catalog_roles",
    _id_column(),
    _reference("catalog_id", "catalogs.id", cascade=True),
    sa.Column("name", sa.String(256), nullable=False),
    *_entity_columns(),
    sa.UniqueConstraint("catalog_id", "name"),
)

PRINCIPAL_ROLE_MEMBERS = sa.Table(
    "principal_role_members",
    METADATA,
    _reference("principal_id", "principals.id", cascade=True, key=True),
    _reference("principal_role_id", "principal_roles.id", cascade=True, key=True),
)

CATALOG_ROLE_MEMBERS = sa.Table(
    "catalog_role_members",
    METADATA,
    _reference("principal_role_id", "principal_roles.id", cascade=True, key=True),
    _reference("catalog_role_id", "catalog_roles.id", cascade=True, key=True),
)

# securable: "catalog", "namespace" or "table"; securable_id points into that table, so a renamed table
# keeps its grants and a dropped one loses them.
GRANTS = sa.Table(
    "grants",
    METADATA,
    _reference("catalog_role_id", "catalog_roles.id", cascade=True, key=True),
    sa.Column("securable", sa.String(16), primary_key=True),
    sa.Column("securable_id", _ID, primary_key=True, autoincrement=False),
    sa.Column("privilege", sa.String(64), primary_key=True),
)
