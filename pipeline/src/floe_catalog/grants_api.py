"""Management API: privileges granted to catalog roles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from starlette.responses import JSONResponse, Response

from floe_catalog import principals as rows
from floe_catalog.calls import Call, field
from floe_catalog.errors import BadRequestError
from floe_catalog.principals import EntityRow, GrantRow
from floe_catalog.privileges import GRANTABLE
from floe_catalog.roles_api import catalog_role, created
from floe_catalog.schema import NAMESPACES, TABLES
from floe_catalog.store import SEPARATOR, CatalogRow, find_namespaces, get_table


def add_grant(call: Call) -> Response:
    """PUT grants: granting what is granted already is no error."""
    return _change(call, rows.insert_grant)


def revoke_grant(call: Call) -> Response:
    """POST grants: Polaris revokes by POST, and answers 201."""
    return _change(call, rows.delete_grant)


def list_grants(call: Call) -> Response:
    """GET grants."""
    with call.services.database.read() as db:
        _, role = catalog_role(db, call)
        return JSONResponse({"grants": [_grant_json(db, grant) for grant in rows.list_grants(db, role)]})


def _change(call: Call, change: Callable[[sa.Connection, EntityRow, GrantRow], None]) -> Response:
    given = field(call.json(), "grant", dict)
    with call.services.database.write() as db:
        catalog, role = catalog_role(db, call)
        change(db, role, _grant_row(db, catalog, given))
    return created()


def _grant_row(db: sa.Connection, catalog: CatalogRow, given: Mapping[str, Any]) -> GrantRow:
    kind, privilege = field(given, "type", str), field(given, "privilege", str)
    if kind not in GRANTABLE:
        raise BadRequestError(f"Grant type {kind!r} is not supported; use one of {sorted(GRANTABLE)}")
    if privilege not in GRANTABLE[kind]:
        message = (
            f"Privilege {privilege!r} cannot be granted on a {kind}; use one of {sorted(GRANTABLE[kind])}"
        )
        raise BadRequestError(message)
    if kind == "catalog":
        return GrantRow(kind, catalog.id, privilege)
    namespace = find_namespaces(db, catalog, tuple(field(given, "namespace", list)))[-1]
    if kind == "namespace":
        return GrantRow(kind, namespace.id, privilege)
    return GrantRow(kind, get_table(db, namespace, field(given, "tableName", str)).id, privilege)


def _grant_json(db: sa.Connection, grant: GrantRow) -> dict[str, object]:
    shown: dict[str, object] = {"type": grant.securable, "privilege": grant.privilege}
    path = sa.select(NAMESPACES.c.path)
    if grant.securable == "namespace":
        shown["namespace"] = (
            db.execute(path.where(NAMESPACES.c.id == grant.securable_id)).scalar_one().split(SEPARATOR)
        )
    if grant.securable == "table":
        query = path.add_columns(TABLES.c.name).join(TABLES).where(TABLES.c.id == grant.securable_id)
        joined, shown["tableName"] = db.execute(query).one()
        shown["namespace"] = joined.split(SEPARATOR)
    return shown
