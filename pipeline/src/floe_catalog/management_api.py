"""The part of Polaris' management API that a bootstrap needs: catalogs here, and all its routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from floe_catalog import grants_api, roles_api
from floe_catalog.auth import Authorizer
from floe_catalog.calls import Call, Services, endpoint, field, no_content, string_map
from floe_catalog.errors import BadRequestError
from floe_catalog.principals import insert_catalog_admin
from floe_catalog.resolve import check_name
from floe_catalog.roles_api import authorized_catalog, created
from floe_catalog.storage import is_inside, normalize
from floe_catalog.store import CatalogRow, delete_catalog, insert_catalog, list_catalogs

_SCHEMES = {"S3": "s3://", "FILE": "file:///"}


def _catalog_json(catalog: CatalogRow) -> dict[str, object]:
    return {
        "type": catalog.type,
        "name": catalog.name,
        "properties": catalog.properties,
        "createTimestamp": catalog.created_ms,
        "lastUpdateTimestamp": catalog.updated_ms,
        "entityVersion": catalog.version,
        "storageConfigInfo": catalog.storage,
    }


def _storage_config(catalog: Mapping[str, Any], base: str) -> dict[str, object]:
    storage = dict(field(catalog, "storageConfigInfo", dict))
    kind = field(storage, "storageType", str)
    if kind not in _SCHEMES:
        raise BadRequestError(f"storageConfigInfo.storageType {kind!r} must be one of {sorted(_SCHEMES)}")
    given = storage.get("allowedLocations") or [base]
    allowed = [normalize(str(location)) for location in given]
    for location in (*allowed, base):
        if not location.startswith(_SCHEMES[kind]) or location.endswith("*"):
            message = f"Location {location!r} must be a {_SCHEMES[kind]}… prefix without wildcard"
            raise BadRequestError(message)
    if not any(is_inside(base, location) for location in allowed):
        message = f"default-base-location {base!r} is not inside the allowed locations {allowed}"
        raise BadRequestError(message)
    return {**storage, "allowedLocations": allowed}


def _check_no_clash(others: list[CatalogRow], name: str, storage: Mapping[str, Any]) -> None:
    mine = storage["allowedLocations"]
    for other in others:
        theirs = field(other.storage, "allowedLocations", list)
        clash = any(is_inside(a, b) or is_inside(b, a) for a in mine for b in theirs)
        if clash and other.name != name:
            reason = f"One or more of its locations overlaps with an existing catalog: {other.name}"
            raise BadRequestError(f"Cannot create Catalog {name}. {reason}")


def _create_catalog(call: Call) -> Response:
    given = field(call.json(), "catalog", dict)
    name = check_name(field(given, "name", str))
    kind = given.get("type", "INTERNAL")
    if kind != "INTERNAL":
        raise BadRequestError(f"Catalog type {kind!r} is not supported; use INTERNAL")
    properties = string_map(given, "properties")
    base = normalize(field(properties, "default-base-location", str))
    storage = _storage_config(given, base)
    Authorizer(call.caller).require("CREATE_CATALOG")
    with call.services.database.write() as db:
        _check_no_clash(list_catalogs(db), name, storage)
        catalog = insert_catalog(
            db,
            name=name,
            kind=kind,
            storage=storage,
            properties={**properties, "default-base-location": base},
        )
        insert_catalog_admin(db, catalog)
    return created(_catalog_json(catalog))


def _list_catalogs(call: Call) -> Response:
    Authorizer(call.caller).require("LIST_CATALOGS")
    with call.services.database.read() as db:
        return JSONResponse({"catalogs": [_catalog_json(catalog) for catalog in list_catalogs(db)]})


def _get_catalog(call: Call) -> Response:
    with call.services.database.read() as db:
        return JSONResponse(_catalog_json(authorized_catalog(db, call, "GET_CATALOG")))


def _delete_catalog(call: Call) -> Response:
    with call.services.database.write() as db:
        delete_catalog(db, authorized_catalog(db, call, "DELETE_CATALOG"))
    return no_content()


_CATALOG = "/catalogs/{catalog}"
_CATALOG_ROLE = _CATALOG + "/catalog-roles/{catalog_role}"
_PRINCIPAL = "/principals/{principal}"
_PRINCIPAL_ROLE = "/principal-roles/{role}"

_OPERATIONS = {
    ("POST", "/catalogs"): _create_catalog,
    ("GET", "/catalogs"): _list_catalogs,
    ("GET", _CATALOG): _get_catalog,
    ("DELETE", _CATALOG): _delete_catalog,
    ("POST", "/principals"): roles_api.create_principal,
    ("GET", "/principals"): roles_api.list_principals,
    ("GET", _PRINCIPAL): roles_api.get_principal,
    ("DELETE", _PRINCIPAL): roles_api.delete_principal,
    ("POST", f"{_PRINCIPAL}/reset"): roles_api.reset_credentials,
    ("GET", f"{_PRINCIPAL}/principal-roles"): roles_api.list_roles_of_principal,
    ("PUT", f"{_PRINCIPAL}/principal-roles"): roles_api.assign_principal_role,
    ("DELETE", f"{_PRINCIPAL}{_PRINCIPAL_ROLE}"): roles_api.revoke_principal_role,
    ("POST", "/principal-roles"): roles_api.create_principal_role,
    ("GET", "/principal-roles"): roles_api.list_principal_roles,
    ("GET", _PRINCIPAL_ROLE): roles_api.get_principal_role,
    ("DELETE", _PRINCIPAL_ROLE): roles_api.delete_principal_role,
    ("GET", f"{_PRINCIPAL_ROLE}/catalog-roles/{{catalog}}"): roles_api.list_catalog_roles_of,
    ("PUT", f"{_PRINCIPAL_ROLE}/catalog-roles/{{catalog}}"): roles_api.assign_catalog_role,
    (
        "DELETE",
        f"{_PRINCIPAL_ROLE}/catalog-roles/{{catalog}}/{{catalog_role}}",
    ): roles_api.revoke_catalog_role,
    ("POST", f"{_CATALOG}/catalog-roles"): roles_api.create_catalog_role,
    ("GET", f"{_CATALOG}/catalog-roles"): roles_api.list_catalog_roles,
    ("GET", _CATALOG_ROLE): roles_api.get_catalog_role,
    ("DELETE", _CATALOG_ROLE): roles_api.delete_catalog_role,
    ("GET", f"{_CATALOG_ROLE}/grants"): grants_api.list_grants,
    ("PUT", f"{_CATALOG_ROLE}/grants"): grants_api.add_grant,
    ("POST", f"{_CATALOG_ROLE}/grants"): grants_api.revoke_grant,
}


def routes(services: Services) -> list[Route]:
    """Every path below /api/management/v1."""
    return [
        Route(path, endpoint(services, handler), methods=[method])
        for (method, path), handler in _OPERATIONS.items()
    ]
