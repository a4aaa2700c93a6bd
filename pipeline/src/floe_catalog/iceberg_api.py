"""Iceberg REST: configuration, namespaces and the (always empty) views."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from floe_catalog import tables_api
from floe_catalog.calls import Call, Services, endpoint, field, no_content, string_map
from floe_catalog.errors import AlreadyExistsError, BadRequestError, NoSuchViewError
from floe_catalog.resolve import check_name, levels_of, listing, namespace_levels, page_of, resolve
from floe_catalog.storage import check_allowed, check_overlap, normalize
from floe_catalog.store import (
    SEPARATOR,
    delete_namespace,
    display,
    find_catalog,
    insert_namespace,
    list_namespaces,
    sibling_locations,
    update_namespace,
)

_CATALOG = "/v1/{prefix}"
_NAMESPACE = _CATALOG + "/namespaces/{namespace}"
_TABLE = _NAMESPACE + "/tables/{table}"
_VIEW = _NAMESPACE + "/views/{view}"


def _config(call: Call) -> Response:
    warehouse = call.query.get("warehouse")
    if not warehouse:
        raise BadRequestError("Please specify a warehouse")
    with call.services.database.read() as db:
        catalog = find_catalog(db, warehouse)
    return JSONResponse(
        {
            "defaults": catalog.properties,
            "overrides": {"prefix": catalog.name, "namespace-separator": "%1F"},
            "endpoints": [f"{method} {path}" for method, path in _OPERATIONS if path.startswith(_CATALOG)],
        }
    )


def _list_namespaces(call: Call) -> Response:
    parent, page = levels_of(call.query.get("parent", "")), page_of(call)
    with call.services.database.read() as db:
        target = resolve(db, call, parent)
        target.require("LIST_NAMESPACES")
        rows, more = listing(
            page,
            lambda asked: list_namespaces(db, target.catalog, parent, asked),
            lambda row: SEPARATOR.join(row.levels),
        )
    return JSONResponse({"namespaces": [list(row.levels) for row in rows], **more})


def _create_namespace(call: Call) -> Response:
    body = call.json()
    levels = tuple(check_name(str(level)) for level in field(body, "namespace", list))
    if not levels:
        raise AlreadyExistsError("Cannot create root namespace, as it already exists implicitly.")
    properties = string_map(body, "properties")
    with call.services.database.write() as db:
        parent = resolve(db, call, levels[:-1])
        parent.require("CREATE_NAMESPACE")
        base = (
            parent.namespace.location if parent.chain else parent.catalog.properties["default-base-location"]
        )
        location = normalize(properties.get("location") or f"{normalize(base)}/{levels[-1]}")
        check_allowed(parent.catalog, display(levels), [location])
        inside = parent.namespace if parent.chain else None
        check_overlap(location, sibling_locations(db, parent.catalog, inside, besides=levels[-1]))
        properties = {**properties, "location": location}
        insert_namespace(db, parent.catalog, levels, properties)
    return JSONResponse({"namespace": list(levels), "properties": properties})


def _load_namespace(call: Call) -> Response:
    with call.services.database.read() as db:
        target = resolve(db, call, namespace_levels(call))
    target.require("LOAD_NAMESPACE_METADATA")
    namespace = target.namespace
    return JSONResponse({"namespace": list(namespace.levels), "properties": namespace.properties})


def _namespace_exists(call: Call) -> Response:
    with call.services.database.read() as db:
        target = resolve(db, call, namespace_levels(call))
    target.require("NAMESPACE_EXISTS")
    return no_content()


def _drop_namespace(call: Call) -> Response:
    with call.services.database.write() as db:
        target = resolve(db, call, namespace_levels(call))
        target.require("DROP_NAMESPACE")
        delete_namespace(db, target.catalog, target.namespace)
    return no_content()


def _update_namespace(call: Call) -> Response:
    body = call.json()
    removals, updates = body.get("removals") or [], string_map(body, "updates")
    both = sorted(set(removals) & set(updates))
    if both:
        raise BadRequestError(f"Invalid request: {both} are in both updates and removals")
    with call.services.database.write() as db:
        target = resolve(db, call, namespace_levels(call))
        target.require("UPDATE_NAMESPACE_PROPERTIES")
        if "location" in removals:
            raise BadRequestError("Invalid request: location cannot be removed from a namespace")
        if "location" in updates:
            check_allowed(target.catalog, display(target.namespace.levels), [updates["location"]])
        return JSONResponse(update_namespace(db, target.namespace, removals, updates))


def _list_views(call: Call) -> Response:
    page_of(call)
    with call.services.database.read() as db:
        target = resolve(db, call, namespace_levels(call))
    target.require("LIST_VIEWS")
    return JSONResponse({"identifiers": []})


def _load_view(call: Call) -> Response:
    with call.services.database.read() as db:
        target = resolve(db, call, namespace_levels(call))
    target.require("LOAD_VIEW")
    raise NoSuchViewError(f"View does not exist: {display(target.namespace.levels, call.path['view'])}")


_OPERATIONS = {
    ("GET", "/v1/config"): _config,
    ("GET", f"{_CATALOG}/namespaces"): _list_namespaces,
    ("POST", f"{_CATALOG}/namespaces"): _create_namespace,
    ("GET", _NAMESPACE): _load_namespace,
    ("HEAD", _NAMESPACE): _namespace_exists,
    ("DELETE", _NAMESPACE): _drop_namespace,
    ("POST", f"{_NAMESPACE}/properties"): _update_namespace,
    ("GET", f"{_NAMESPACE}/tables"): tables_api.list_all,
    ("POST", f"{_NAMESPACE}/tables"): tables_api.create,
    ("POST", f"{_NAMESPACE}/register"): tables_api.register,
    ("GET", _TABLE): tables_api.load,
    ("HEAD", _TABLE): tables_api.exists,
    ("POST", _TABLE): tables_api.commit,
    ("DELETE", _TABLE): tables_api.drop,
    ("GET", f"{_TABLE}/credentials"): tables_api.load_credentials,
    ("POST", f"{_TABLE}/metrics"): tables_api.report_metrics,
    ("POST", f"{_CATALOG}/tables/rename"): tables_api.rename,
    ("POST", f"{_CATALOG}/transactions/commit"): tables_api.commit_transaction,
    ("GET", f"{_NAMESPACE}/views"): _list_views,
    ("GET", _VIEW): _load_view,
    ("HEAD", _VIEW): _load_view,
}


def routes(services: Services) -> list[Route]:
    """Every path below /api/catalog but the token endpoint."""
    # Starlette answers HEAD wherever it answers GET, so HEAD must come first to be found.
    ordered = sorted(_OPERATIONS.items(), key=lambda item: item[0][0] != "HEAD")
    return [Route(path, endpoint(services, handler), methods=[method]) for (method, path), handler in ordered]
