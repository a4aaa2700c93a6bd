"""Catalogs, namespaces and tables as rows; each function works inside the caller's transaction."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from floe_catalog.errors import (
    AlreadyExistsError,
    BadRequestError,
    NamespaceNotEmptyError,
    NoSuchNamespaceError,
    NoSuchTableError,
    NotFoundError,
)
from floe_catalog.schema import CATALOG_ROLES, CATALOGS, GRANTS, NAMESPACES, TABLES

SEPARATOR = "\x1f"
CATALOG_ADMIN = "catalog_admin"  # the role every catalog is born with

Levels = tuple[str, ...]


@dataclass(frozen=True)
class CatalogRow:
    """One catalog; `storage` is its storageConfigInfo as given."""

    id: int
    name: str
    type: str
    storage: dict[str, object]
    properties: dict[str, str]
    created_ms: int
    updated_ms: int
    version: int


@dataclass(frozen=True)
class NamespaceRow:
    """One namespace; `properties` always carries its `location`."""

    id: int
    levels: Levels
    properties: dict[str, str]

    @property
    def location(self) -> str:
        """Where its tables live unless they say otherwise."""
        return self.properties["location"]


@dataclass(frozen=True)
class TableRow:
    """One table; `metadata_location` is what a commit swaps."""

    id: int
    namespace_id: int
    name: str
    location: str
    metadata_location: str


@dataclass(frozen=True)
class Page:
    """A slice of a listing: at most `size` names after `after`; size None is everything."""

    after: str | None = None
    size: int | None = None


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def display(levels: Levels, name: str | None = None) -> str:
    """A dotted identifier for messages."""
    return ".".join((*levels, name) if name is not None else levels)


# ---------------------------------------------------------------- catalogs


def _catalog(row: sa.Row[tuple[object, ...]]) -> CatalogRow:
    return CatalogRow(**row._mapping)


def find_catalog(db: sa.Connection, name: str) -> CatalogRow:
    """The catalog of that name.

    Raises:
        NotFoundError: There is none.
    """
    row = db.execute(sa.select(CATALOGS).where(CATALOGS.c.name == name)).one_or_none()
    if row is None:
        raise NotFoundError(f"Unable to find warehouse {name}")
    return _catalog(row)


def list_catalogs(db: sa.Connection) -> list[CatalogRow]:
    """Every catalog, by name."""
    return [_catalog(row) for row in db.execute(sa.select(CATALOGS).order_by(CATALOGS.c.name))]


def insert_catalog(
    db: sa.Connection, *, name: str, kind: str, storage: Mapping[str, object], properties: Mapping[str, str]
) -> CatalogRow:
    """Add a catalog.

    Raises:
        AlreadyExistsError: The name is taken.
    """
    now = now_ms()
    values = {
        "name": name,
        "type": kind,
        "storage": dict(storage),
        "properties": dict(properties),
        "created_ms": now,
        "updated_ms": now,
        "version": 1,
    }
    try:
        db.execute(sa.insert(CATALOGS).values(**values))
    except IntegrityError as error:
        message = f"Cannot create Catalog {name}. Catalog already exists or resolution failed"
        raise AlreadyExistsError(message) from error
    return find_catalog(db, name)


def delete_catalog(db: sa.Connection, catalog: CatalogRow) -> None:
    """Drop an empty catalog with its admin role.

    Raises:
        BadRequestError: It still holds namespaces, or roles besides `catalog_admin`.
    """
    not_empty = BadRequestError(f"Catalog '{catalog.name}' cannot be dropped, it is not empty")
    roles = sa.select(sa.func.count()).where(
        CATALOG_ROLES.c.catalog_id == catalog.id, CATALOG_ROLES.c.name != CATALOG_ADMIN
    )
    if db.execute(roles).scalar_one():
        raise not_empty
    try:
        db.execute(sa.delete(CATALOGS).where(CATALOGS.c.id == catalog.id))
    except IntegrityError as error:
        raise not_empty from error


# -------------------------------------------------------------- namespaces


def _namespace(row: sa.Row[tuple[object, ...]]) -> NamespaceRow:
    mapping = row._mapping
    return NamespaceRow(mapping["id"], tuple(mapping["path"].split(SEPARATOR)), mapping["properties"])


def find_namespaces(db: sa.Connection, catalog: CatalogRow, levels: Levels) -> list[NamespaceRow]:
    """The namespace and all its parents, outermost first (grants hold from any of them down).

    Raises:
        NoSuchNamespaceError: One of them does not exist.
    """
    paths = [SEPARATOR.join(levels[: depth + 1]) for depth in range(len(levels))]
    rows = db.execute(
        sa.select(NAMESPACES).where(NAMESPACES.c.catalog_id == catalog.id, NAMESPACES.c.path.in_(paths))
    )
    found = sorted((_namespace(row) for row in rows), key=lambda namespace: len(namespace.levels))
    if len(found) != len(levels):
        raise NoSuchNamespaceError(f"Namespace does not exist: {display(levels)}")
    return found


def list_namespaces(db: sa.Connection, catalog: CatalogRow, parent: Levels, page: Page) -> list[NamespaceRow]:
    """The namespaces directly below a parent, by path; the parent () is the catalog itself."""
    path = NAMESPACES.c.path
    prefix = "".join(level + SEPARATOR for level in parent)
    query = (
        sa.select(NAMESPACES)
        .where(NAMESPACES.c.catalog_id == catalog.id)
        .where(sa.func.substr(path, 1, len(prefix)) == prefix)
        .where(~sa.func.substr(path, len(prefix) + 1).contains(SEPARATOR))
    )
    return [_namespace(row) for row in db.execute(_paged(query, path, page))]


def insert_namespace(
    db: sa.Connection, catalog: CatalogRow, levels: Levels, properties: Mapping[str, str]
) -> None:
    """Add a namespace.

    Raises:
        AlreadyExistsError: It exists.
    """
    values = {"catalog_id": catalog.id, "path": SEPARATOR.join(levels), "properties": dict(properties)}
    try:
        db.execute(sa.insert(NAMESPACES).values(**values))
    except IntegrityError as error:
        raise AlreadyExistsError(f"Namespace already exists: {display(levels)}") from error


def update_namespace(
    db: sa.Connection, namespace: NamespaceRow, removals: Sequence[str], updates: Mapping[str, str]
) -> dict[str, list[str]]:
    """Change properties; the answer is the REST response (updated, removed, missing)."""
    query = sa.select(NAMESPACES.c.properties).where(NAMESPACES.c.id == namespace.id).with_for_update()
    properties: dict[str, str] = dict(db.execute(query).scalar_one())
    removed = [key for key in removals if properties.pop(key, None) is not None]
    properties.update(updates)
    db.execute(sa.update(NAMESPACES).where(NAMESPACES.c.id == namespace.id).values(properties=properties))
    missing = [key for key in removals if key not in removed]
    return {"updated": sorted(updates), "removed": removed, "missing": missing}


def delete_namespace(db: sa.Connection, catalog: CatalogRow, namespace: NamespaceRow) -> None:
    """Drop an empty namespace and the grants on it.

    Raises:
        NamespaceNotEmptyError: It holds tables or namespaces.
    """
    not_empty = NamespaceNotEmptyError(f"Namespace {display(namespace.levels)} is not empty")
    if list_namespaces(db, catalog, namespace.levels, Page(size=1)):
        raise not_empty
    _delete_grants(db, "namespace", namespace.id)
    try:
        db.execute(sa.delete(NAMESPACES).where(NAMESPACES.c.id == namespace.id))
    except IntegrityError as error:
        raise not_empty from error


# ------------------------------------------------------------------ tables


def _table(row: sa.Row[tuple[object, ...]]) -> TableRow:
    return TableRow(**row._mapping)


def find_table(db: sa.Connection, namespace: NamespaceRow, name: str) -> TableRow | None:
    """The table of that name in the namespace, if there is one."""
    query = sa.select(TABLES).where(TABLES.c.namespace_id == namespace.id, TABLES.c.name == name)
    row = db.execute(query).one_or_none()
    return None if row is None else _table(row)


def get_table(db: sa.Connection, namespace: NamespaceRow, name: str) -> TableRow:
    """The table of that name in the namespace.

    Raises:
        NoSuchTableError: There is none.
    """
    table = find_table(db, namespace, name)
    if table is None:
        raise NoSuchTableError(f"Table does not exist: {display(namespace.levels, name)}")
    return table


def list_tables(db: sa.Connection, namespace: NamespaceRow, page: Page) -> list[TableRow]:
    """The namespace's tables, by name."""
    query = sa.select(TABLES).where(TABLES.c.namespace_id == namespace.id)
    return [_table(row) for row in db.execute(_paged(query, TABLES.c.name, page))]


def insert_table(
    db: sa.Connection, namespace: NamespaceRow, name: str, *, location: str, metadata_location: str
) -> None:
    """Add a table.

    Raises:
        AlreadyExistsError: The name is taken.
        NoSuchNamespaceError: The namespace was dropped meanwhile.
    """
    values = {
        "namespace_id": namespace.id,
        "name": name,
        "location": location,
        "metadata_location": metadata_location,
    }
    try:
        with db.begin_nested():
            db.execute(sa.insert(TABLES).values(**values))
    except IntegrityError as error:
        if find_table(db, namespace, name) is None:
            message = f"Namespace does not exist: {display(namespace.levels)}"
            raise NoSuchNamespaceError(message) from error
        raise AlreadyExistsError(f"Table already exists: {display(namespace.levels, name)}") from error


def swap_metadata(db: sa.Connection, table: TableRow, *, location: str, metadata_location: str) -> bool:
    """Compare-and-swap: set the new metadata if the table still has the one in `table`."""
    swapped = db.execute(
        sa.update(TABLES)
        .where(TABLES.c.id == table.id, TABLES.c.metadata_location == table.metadata_location)
        .values(location=location, metadata_location=metadata_location)
    )
    return swapped.rowcount == 1


def rename_table(db: sa.Connection, table: TableRow, namespace: NamespaceRow, name: str) -> None:
    """Give a table another name, in another namespace perhaps; its files stay where they are.

    Raises:
        AlreadyExistsError: The name is taken.
    """
    change = sa.update(TABLES).where(TABLES.c.id == table.id).values(namespace_id=namespace.id, name=name)
    try:
        db.execute(change)
    except IntegrityError as error:
        message = f"Cannot rename to {display(namespace.levels, name)}: table already exists"
        raise AlreadyExistsError(message) from error


def delete_table(db: sa.Connection, table: TableRow) -> None:
    """Drop a table and the grants on it."""
    _delete_grants(db, "table", table.id)
    db.execute(sa.delete(TABLES).where(TABLES.c.id == table.id))


def sibling_locations(
    db: sa.Connection, catalog: CatalogRow, namespace: NamespaceRow | None, *, besides: str
) -> list[str]:
    """Locations of the tables and namespaces directly inside a namespace (or catalog), save one name."""
    parent = namespace.levels if namespace else ()
    children = list_namespaces(db, catalog, parent, Page())
    locations = [child.location for child in children if child.levels[-1] != besides]
    if namespace is not None:
        locations += [row.location for row in list_tables(db, namespace, Page()) if row.name != besides]
    return locations


def _delete_grants(db: sa.Connection, securable: str, securable_id: int) -> None:
    db.execute(
        sa.delete(GRANTS).where(GRANTS.c.securable == securable, GRANTS.c.securable_id == securable_id)
    )


def _paged(
    query: sa.Select[tuple[object, ...]], column: sa.ColumnElement[str], page: Page
) -> sa.Select[tuple[object, ...]]:
    if page.after is not None:
        query = query.where(column > page.after)
    return query.order_by(column).limit(page.size)
