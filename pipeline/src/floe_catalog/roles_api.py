"""Management API: principals, principal roles, catalog roles and who has them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import sqlalchemy as sa
from starlette.responses import JSONResponse, Response

from floe_catalog import principals as rows
from floe_catalog.auth import Authorizer
from floe_catalog.calls import Call, field, no_content, string_map
from floe_catalog.errors import BadRequestError, ForbiddenError
from floe_catalog.principals import EntityRow
from floe_catalog.resolve import check_name
from floe_catalog.schema import CATALOG_ROLES, PRINCIPAL_ROLES, PRINCIPALS
from floe_catalog.store import CATALOG_ADMIN, CatalogRow, find_catalog


def created(body: Mapping[str, object] | None = None) -> Response:
    """201."""
    return Response(status_code=201) if body is None else JSONResponse(body, 201)


def authorized_catalog(db: sa.Connection, call: Call, operation: str) -> CatalogRow:
    """The catalog of the path, if the caller may do the operation to it."""
    catalog = find_catalog(db, call.path["catalog"])
    Authorizer.load(db, call.caller, catalog).require(operation, [catalog])
    return catalog


# -------------------------------------------------- principals and their roles


def _entity_json(entity: EntityRow) -> dict[str, object]:
    shown = {
        "name": entity.name,
        "properties": entity.properties,
        "createTimestamp": entity.created_ms,
        "lastUpdateTimestamp": entity.updated_ms,
        "entityVersion": entity.version,
    }
    return shown if entity.client_id is None else {**shown, "clientId": entity.client_id}


def _with_credentials(principal: EntityRow, client_id: str, secret: str) -> dict[str, object]:
    shown = {**_entity_json(principal), "clientId": client_id}
    return {"principal": shown, "credentials": {"clientId": client_id, "clientSecret": secret}}


def create_principal(call: Call) -> Response:
    """POST principals: the answer holds the new credentials, once."""
    Authorizer(call.caller).require("MANAGE_PRINCIPALS")
    body = call.json()
    if body.get("credentialRotationRequired"):
        raise BadRequestError("credentialRotationRequired is not supported; reset credentials instead")
    given = field(body, "principal", dict)
    name = check_name(field(given, "name", str))
    client_id, secret = secrets.token_hex(8), secrets.token_hex(16)
    with call.services.database.write() as db:
        properties = string_map(given, "properties")
        principal = rows.insert_principal(db, name, properties, client_id=client_id, secret=secret)
    return created(_with_credentials(principal, client_id, secret))


def reset_credentials(call: Call) -> Response:
    """POST principals/P/reset: new credentials, chosen or random. Only root may."""
    if call.caller.name != rows.ROOT:
        raise ForbiddenError("Only Root principal(service-admin) can perform RESET_CREDENTIALS")
    body = call.json() if call.raw else {}
    with call.services.database.write() as db:
        principal = rows.find_principal(db, call.path["principal"])
        client_id = body.get("clientId") or principal.client_id
        secret = body.get("clientSecret") or secrets.token_hex(16)
        if not isinstance(client_id, str) or not isinstance(secret, str):
            raise BadRequestError("Malformed request: clientId and clientSecret must be strings")
        rows.set_credentials(db, principal, client_id=client_id, secret=secret)
    return JSONResponse(_with_credentials(principal, client_id, secret))


def list_principals(call: Call) -> Response:
    """GET principals."""
    Authorizer(call.caller).require("MANAGE_PRINCIPALS")
    with call.services.database.read() as db:
        return JSONResponse({"principals": [_entity_json(entity) for entity in rows.list_principals(db)]})


def get_principal(call: Call) -> Response:
    """GET principals/P."""
    Authorizer(call.caller).require("MANAGE_PRINCIPALS")
    with call.services.database.read() as db:
        return JSONResponse(_entity_json(rows.find_principal(db, call.path["principal"])))


def delete_principal(call: Call) -> Response:
    """DELETE principals/P."""
    Authorizer(call.caller).require("MANAGE_PRINCIPALS")
    if call.path["principal"] == rows.ROOT:
        raise BadRequestError("Root principal cannot be dropped")
    with call.services.database.write() as db:
        rows.delete_entity(db, PRINCIPALS, rows.find_principal(db, call.path["principal"]))
    return no_content()


def create_principal_role(call: Call) -> Response:
    """POST principal-roles."""
    Authorizer(call.caller).require("MANAGE_PRINCIPAL_ROLES")
    given = field(call.json(), "principalRole", dict)
    name = check_name(field(given, "name", str))
    with call.services.database.write() as db:
        role = rows.insert_principal_role(db, name, string_map(given, "properties"))
    return created(_entity_json(role))


def list_principal_roles(call: Call) -> Response:
    """GET principal-roles."""
    Authorizer(call.caller).require("MANAGE_PRINCIPAL_ROLES")
    with call.services.database.read() as db:
        return JSONResponse({"roles": [_entity_json(role) for role in rows.list_principal_roles(db)]})


def get_principal_role(call: Call) -> Response:
    """GET principal-roles/R."""
    Authorizer(call.caller).require("MANAGE_PRINCIPAL_ROLES")
    with call.services.database.read() as db:
        return JSONResponse(_entity_json(rows.find_principal_role(db, call.path["role"])))


def delete_principal_role(call: Call) -> Response:
    """DELETE principal-roles/R."""
    Authorizer(call.caller).require("MANAGE_PRINCIPAL_ROLES")
    if call.path["role"] == rows.SERVICE_ADMIN:
        raise BadRequestError("Polaris service admin principal role cannot be dropped")
    with call.services.database.write() as db:
        rows.delete_entity(db, PRINCIPAL_ROLES, rows.find_principal_role(db, call.path["role"]))
    return no_content()


def list_roles_of_principal(call: Call) -> Response:
    """GET principals/P/principal-roles."""
    Authorizer(call.caller).require("MANAGE_PRINCIPALS")
    with call.services.database.read() as db:
        principal = rows.find_principal(db, call.path["principal"])
        return JSONResponse({"roles": [_entity_json(r) for r in rows.roles_of_principal(db, principal)]})


def assign_principal_role(call: Call) -> Response:
    """PUT principals/P/principal-roles."""
    Authorizer(call.caller).require("MANAGE_PRINCIPAL_ROLES")
    name = field(field(call.json(), "principalRole", dict), "name", str)
    with call.services.database.write() as db:
        principal = rows.find_principal(db, call.path["principal"])
        rows.assign_principal_role(db, principal, rows.find_principal_role(db, name))
    return created()


def revoke_principal_role(call: Call) -> Response:
    """DELETE principals/P/principal-roles/R."""
    Authorizer(call.caller).require("MANAGE_PRINCIPAL_ROLES")
    with call.services.database.write() as db:
        principal = rows.find_principal(db, call.path["principal"])
        rows.revoke_principal_role(db, principal, rows.find_principal_role(db, call.path["role"]))
    return no_content()


# ------------------------------------------------------ catalog roles and grants


def create_catalog_role(call: Call) -> Response:
    """POST catalogs/C/catalog-roles."""
    given = field(call.json(), "catalogRole", dict)
    name = check_name(field(given, "name", str))
    with call.services.database.write() as db:
        catalog = authorized_catalog(db, call, "MANAGE_CATALOG_ROLES")
        role = rows.insert_catalog_role(db, catalog, name, string_map(given, "properties"))
    return created(_entity_json(role))


def list_catalog_roles(call: Call) -> Response:
    """GET catalogs/C/catalog-roles."""
    with call.services.database.read() as db:
        catalog = authorized_catalog(db, call, "MANAGE_CATALOG_ROLES")
        return JSONResponse({"roles": [_entity_json(role) for role in rows.list_catalog_roles(db, catalog)]})


def catalog_role(db: sa.Connection, call: Call, name: str | None = None) -> tuple[CatalogRow, EntityRow]:
    """The catalog of the path and a role in it (the path's, unless named), if the caller may manage it."""
    catalog = authorized_catalog(db, call, "MANAGE_CATALOG_ROLES")
    return catalog, rows.find_catalog_role(db, catalog, name or call.path["catalog_role"])


def get_catalog_role(call: Call) -> Response:
    """GET catalogs/C/catalog-roles/R."""
    with call.services.database.read() as db:
        return JSONResponse(_entity_json(catalog_role(db, call)[1]))


def delete_catalog_role(call: Call) -> Response:
    """DELETE catalogs/C/catalog-roles/R."""
    if call.path["catalog_role"] == CATALOG_ADMIN:
        raise BadRequestError("Catalog admin role cannot be dropped")
    with call.services.database.write() as db:
        rows.delete_entity(db, CATALOG_ROLES, catalog_role(db, call)[1])
    return no_content()


def list_catalog_roles_of(call: Call) -> Response:
    """GET principal-roles/R/catalog-roles/C."""
    with call.services.database.read() as db:
        catalog = authorized_catalog(db, call, "MANAGE_CATALOG_ROLES")
        role = rows.find_principal_role(db, call.path["role"])
        found = rows.catalog_roles_of(db, role, catalog)
        return JSONResponse({"roles": [_entity_json(entity) for entity in found]})


def assign_catalog_role(call: Call) -> Response:
    """PUT principal-roles/R/catalog-roles/C."""
    name = field(field(call.json(), "catalogRole", dict), "name", str)
    with call.services.database.write() as db:
        _, role = catalog_role(db, call, name)
        rows.assign_catalog_role(db, rows.find_principal_role(db, call.path["role"]), role)
    return created()


def revoke_catalog_role(call: Call) -> Response:
    """DELETE principal-roles/R/catalog-roles/C/R2."""
    with call.services.database.write() as db:
        _, role = catalog_role(db, call)
        rows.revoke_catalog_role(db, rows.find_principal_role(db, call.path["role"]), role)
    return no_content()
