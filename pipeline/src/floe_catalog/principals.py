"""Principals, roles and grants as rows; each function works inside the caller's transaction."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from floe_catalog.errors import AlreadyExistsError, NotFoundError
from floe_catalog.privileges import CATALOG_MANAGE_ACCESS, CATALOG_MANAGE_METADATA
from floe_catalog.schema import (
    CATALOG_ROLE_MEMBERS,
    CATALOG_ROLES,
    GRANTS,
    PRINCIPAL_ROLE_MEMBERS,
    PRINCIPAL_ROLES,
    PRINCIPALS,
)
from floe_catalog.store import CATALOG_ADMIN, CatalogRow, now_ms

ROOT = "root"
SERVICE_ADMIN = "service_admin"


@dataclass(frozen=True)
class EntityRow:
    """A principal, principal role or catalog role."""

    id: int
    name: str
    properties: dict[str, str]
    created_ms: int
    updated_ms: int
    version: int
    client_id: str | None = None


@dataclass(frozen=True)
class GrantRow:
    """One privilege on one thing; `securable_id` is a row id of the catalog, namespace or table."""

    securable: str
    securable_id: int
    privilege: str


@dataclass(frozen=True)
class Access:
    """What a principal's activated roles may do in one catalog."""

    catalog_roles: frozenset[str]
    grants: frozenset[GrantRow]


def _entity(row: sa.Row[tuple[object, ...]]) -> EntityRow:
    mapping = row._mapping
    return EntityRow(
        **{key: mapping[key] for key in ("id", "name", "properties", "created_ms", "updated_ms", "version")},
        client_id=mapping.get("client_id"),
    )


def _new_entity(name: str, properties: Mapping[str, str]) -> dict[str, object]:
    now = now_ms()
    return {
        "name": name,
        "properties": dict(properties),
        "created_ms": now,
        "updated_ms": now,
        "version": 1,
    }


def _hash(secret: str, salt: bytes) -> bytes:
    # Secrets are random, so a moderate cost (about 10 ms, 4 MiB) is plenty.
    return hashlib.scrypt(secret.encode(), salt=salt, n=4096, r=8, p=1)


def _hashed(secret: str) -> dict[str, bytes]:
    salt = secrets.token_bytes(16)
    return {"secret_salt": salt, "secret_hash": _hash(secret, salt)}


# -------------------------------------------------------------- principals


def find_principal(db: sa.Connection, name: str) -> EntityRow:
    """The principal of that name.

    Raises:
        NotFoundError: There is none.
    """
    row = db.execute(sa.select(PRINCIPALS).where(PRINCIPALS.c.name == name)).one_or_none()
    if row is None:
        raise NotFoundError(f"Principal {name} not found")
    return _entity(row)


def list_principals(db: sa.Connection) -> list[EntityRow]:
    """Every principal, by name."""
    return [_entity(row) for row in db.execute(sa.select(PRINCIPALS).order_by(PRINCIPALS.c.name))]


def insert_principal(
    db: sa.Connection, name: str, properties: Mapping[str, str], *, client_id: str, secret: str
) -> EntityRow:
    """Add a principal with its credentials.

    Raises:
        AlreadyExistsError: Name or client id is taken.
    """
    try:
        db.execute(
            sa.insert(PRINCIPALS).values(
                **_new_entity(name, properties), client_id=client_id, **_hashed(secret)
            )
        )
    except IntegrityError as error:
        message = f"Cannot create Principal {name}. Principal already exists or resolution failed"
        raise AlreadyExistsError(message) from error
    return find_principal(db, name)


def set_credentials(db: sa.Connection, principal: EntityRow, *, client_id: str, secret: str) -> None:
    """Replace a principal's credentials.

    Raises:
        AlreadyExistsError: Another principal has that client id.
    """
    try:
        db.execute(
            sa.update(PRINCIPALS)
            .where(PRINCIPALS.c.id == principal.id)
            .values(
                client_id=client_id,
                **_hashed(secret),
                version=PRINCIPALS.c.version + 1,
                updated_ms=now_ms(),
            )
        )
    except IntegrityError as error:
        raise AlreadyExistsError(f"Client ID already in use: {client_id}") from error


def verify_credentials(db: sa.Connection, client_id: str, secret: str) -> EntityRow | None:
    """The principal with these credentials, or None."""
    row = db.execute(sa.select(PRINCIPALS).where(PRINCIPALS.c.client_id == client_id)).one_or_none()
    salt = row._mapping["secret_salt"] if row else b"\0" * 16
    given = _hash(secret, salt)  # also for an unknown client, so that the time taken tells nothing
    if row is None or not hmac.compare_digest(given, row._mapping["secret_hash"]):
        return None
    return _entity(row)


def ensure_root(db: sa.Connection, client_id: str, secret: str) -> None:
    """Create root and the service admin role, or give root these credentials."""
    if db.execute(sa.select(PRINCIPALS.c.id).where(PRINCIPALS.c.name == ROOT)).first() is None:
        root = insert_principal(db, ROOT, {}, client_id=client_id, secret=secret)
        assign_principal_role(db, root, insert_principal_role(db, SERVICE_ADMIN, {}))
    elif verify_credentials(db, client_id, secret) is None:
        set_credentials(db, find_principal(db, ROOT), client_id=client_id, secret=secret)


def principal_and_roles(db: sa.Connection, principal_id: int) -> tuple[str, frozenset[str]] | None:
    """Name and assigned principal roles of a principal, or None when it is gone."""
    joined = PRINCIPALS.outerjoin(PRINCIPAL_ROLE_MEMBERS).outerjoin(PRINCIPAL_ROLES)
    query = (
        sa.select(PRINCIPALS.c.name, PRINCIPAL_ROLES.c.name)
        .select_from(joined)
        .where(PRINCIPALS.c.id == principal_id)
    )
    rows = db.execute(query).all()
    if not rows:
        return None
    return rows[0][0], frozenset(role for _, role in rows if role is not None)


# --------------------------------------------------------- principal roles


def find_principal_role(db: sa.Connection, name: str) -> EntityRow:
    """The principal role of that name.

    Raises:
        NotFoundError: There is none.
    """
    row = db.execute(sa.select(PRINCIPAL_ROLES).where(PRINCIPAL_ROLES.c.name == name)).one_or_none()
    if row is None:
        raise NotFoundError(f"PrincipalRole {name} not found")
    return _entity(row)


def list_principal_roles(db: sa.Connection) -> list[EntityRow]:
    """Every principal role, by name."""
    return [_entity(row) for row in db.execute(sa.select(PRINCIPAL_ROLES).order_by(PRINCIPAL_ROLES.c.name))]


def insert_principal_role(db: sa.Connection, name: str, properties: Mapping[str, str]) -> EntityRow:
    """Add a principal role.

    Raises:
        AlreadyExistsError: The name is taken.
    """
    try:
        db.execute(sa.insert(PRINCIPAL_ROLES).values(**_new_entity(name, properties)))
    except IntegrityError as error:
        message = f"Cannot create PrincipalRole {name}. PrincipalRole already exists or resolution failed"
        raise AlreadyExistsError(message) from error
    return find_principal_role(db, name)


def assign_principal_role(db: sa.Connection, principal: EntityRow, role: EntityRow) -> None:
    """Give a principal a role; again is no error."""
    _ensure(db, PRINCIPAL_ROLE_MEMBERS, principal_id=principal.id, principal_role_id=role.id)


def revoke_principal_role(db: sa.Connection, principal: EntityRow, role: EntityRow) -> None:
    """Take a role from a principal; not having it is no error."""
    _remove(db, PRINCIPAL_ROLE_MEMBERS, principal_id=principal.id, principal_role_id=role.id)


def roles_of_principal(db: sa.Connection, principal: EntityRow) -> list[EntityRow]:
    """The principal roles assigned to a principal."""
    members = PRINCIPAL_ROLE_MEMBERS
    query = sa.select(PRINCIPAL_ROLES).join(members).where(members.c.principal_id == principal.id)
    return [_entity(row) for row in db.execute(query.order_by(PRINCIPAL_ROLES.c.name))]


# ----------------------------------------------------------- catalog roles


def find_catalog_role(db: sa.Connection, catalog: CatalogRow, name: str) -> EntityRow:
    """The role of that name in a catalog.

    Raises:
        NotFoundError: There is none.
    """
    query = sa.select(CATALOG_ROLES).where(
        CATALOG_ROLES.c.catalog_id == catalog.id, CATALOG_ROLES.c.name == name
    )
    row = db.execute(query).one_or_none()
    if row is None:
        raise NotFoundError(f"CatalogRole {name} not found")
    return _entity(row)


def list_catalog_roles(db: sa.Connection, catalog: CatalogRow) -> list[EntityRow]:
    """A catalog's roles, by name."""
    query = sa.select(CATALOG_ROLES).where(CATALOG_ROLES.c.catalog_id == catalog.id)
    return [_entity(row) for row in db.execute(query.order_by(CATALOG_ROLES.c.name))]


def insert_catalog_role(
    db: sa.Connection, catalog: CatalogRow, name: str, properties: Mapping[str, str]
) -> EntityRow:
    """Add a role to a catalog.

    Raises:
        AlreadyExistsError: The name is taken.
    """
    try:
        db.execute(sa.insert(CATALOG_ROLES).values(**_new_entity(name, properties), catalog_id=catalog.id))
    except IntegrityError as error:
        message = f"Cannot create CatalogRole {name} in {catalog.name}. CatalogRole already exists"
        raise AlreadyExistsError(message) from error
    return find_catalog_role(db, catalog, name)


def insert_catalog_admin(db: sa.Connection, catalog: CatalogRow) -> None:
    """Give a new catalog its admin role, assigned to the service admins.

    As in Polaris the role manages access and metadata but does not reach data: root alone can
    neither read nor write a table.
    """
    role = insert_catalog_role(db, catalog, CATALOG_ADMIN, {})
    for privilege in (CATALOG_MANAGE_ACCESS, CATALOG_MANAGE_METADATA):
        insert_grant(db, role, GrantRow("catalog", catalog.id, privilege))
    assign_catalog_role(db, find_principal_role(db, SERVICE_ADMIN), role)


def assign_catalog_role(db: sa.Connection, principal_role: EntityRow, role: EntityRow) -> None:
    """Give a principal role a catalog role; again is no error."""
    _ensure(db, CATALOG_ROLE_MEMBERS, principal_role_id=principal_role.id, catalog_role_id=role.id)


def revoke_catalog_role(db: sa.Connection, principal_role: EntityRow, role: EntityRow) -> None:
    """Take a catalog role from a principal role; not having it is no error."""
    _remove(db, CATALOG_ROLE_MEMBERS, principal_role_id=principal_role.id, catalog_role_id=role.id)


def catalog_roles_of(db: sa.Connection, principal_role: EntityRow, catalog: CatalogRow) -> list[EntityRow]:
    """The roles of a catalog that a principal role has."""
    members = CATALOG_ROLE_MEMBERS
    query = (
        sa.select(CATALOG_ROLES)
        .join(members)
        .where(members.c.principal_role_id == principal_role.id, CATALOG_ROLES.c.catalog_id == catalog.id)
    )
    return [_entity(row) for row in db.execute(query.order_by(CATALOG_ROLES.c.name))]


def delete_entity(db: sa.Connection, table: sa.Table, entity: EntityRow) -> None:
    """Drop a principal or role with its assignments and grants."""
    db.execute(sa.delete(table).where(table.c.id == entity.id))


# ------------------------------------------------------------------ grants


def insert_grant(db: sa.Connection, role: EntityRow, grant: GrantRow) -> None:
    """Grant; again is no error."""
    _ensure(db, GRANTS, catalog_role_id=role.id, **vars(grant))


def delete_grant(db: sa.Connection, role: EntityRow, grant: GrantRow) -> None:
    """Revoke; not having it is no error."""
    _remove(db, GRANTS, catalog_role_id=role.id, **vars(grant))


def list_grants(db: sa.Connection, role: EntityRow) -> list[GrantRow]:
    """A catalog role's grants."""
    columns = (GRANTS.c.securable, GRANTS.c.securable_id, GRANTS.c.privilege)
    rows = db.execute(sa.select(*columns).where(GRANTS.c.catalog_role_id == role.id).order_by(*columns))
    return [GrantRow(*row) for row in rows]


def load_access(db: sa.Connection, catalog: CatalogRow, principal_roles: frozenset[str]) -> Access:
    """Everything these principal roles may do in a catalog."""
    joined = (
        PRINCIPAL_ROLES.join(CATALOG_ROLE_MEMBERS)
        .join(CATALOG_ROLES, CATALOG_ROLES.c.id == CATALOG_ROLE_MEMBERS.c.catalog_role_id)
        .outerjoin(GRANTS, GRANTS.c.catalog_role_id == CATALOG_ROLES.c.id)
    )
    query = (
        sa.select(CATALOG_ROLES.c.name, GRANTS.c.securable, GRANTS.c.securable_id, GRANTS.c.privilege)
        .select_from(joined)
        .where(PRINCIPAL_ROLES.c.name.in_(principal_roles), CATALOG_ROLES.c.catalog_id == catalog.id)
    )
    rows = db.execute(query).all()
    return Access(
        frozenset(row[0] for row in rows),
        frozenset(GrantRow(row[1], row[2], row[3]) for row in rows if row[1] is not None),
    )


def _ensure(db: sa.Connection, table: sa.Table, **values: object) -> None:
    if db.execute(sa.select(sa.literal(1)).select_from(table).where(*_equal(table, values))).first():
        return
    try:
        with db.begin_nested():
            db.execute(sa.insert(table).values(**values))
    except IntegrityError:
        # Another request was faster with the same row, or deleted what it points to; only the first is fine.
        if not db.execute(sa.select(sa.literal(1)).select_from(table).where(*_equal(table, values))).first():
            raise


def _remove(db: sa.Connection, table: sa.Table, **values: object) -> None:
    db.execute(sa.delete(table).where(*_equal(table, values)))


def _equal(table: sa.Table, values: Mapping[str, object]) -> list[sa.ColumnElement[bool]]:
    return [table.c[column] == value for column, value in values.items()]
