"""Iceberg REST: tables, from create to drop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError as PydanticValidationError
from pyiceberg.catalog.rest import CreateTableRequest
from pyiceberg.exceptions import ValidationError
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from starlette.responses import JSONResponse, Response

from floe_catalog.calls import Call, field, no_content
from floe_catalog.commits import Change, parse_request
from floe_catalog.errors import AlreadyExistsError, BadRequestError, CommitFailedError, ForbiddenError
from floe_catalog.resolve import Target, check_name, listing, namespace_levels, page_of, resolve
from floe_catalog.storage import (
    check_allowed,
    check_format,
    create_directories,
    is_inside,
    normalize,
    table_locations,
)
from floe_catalog.store import (
    Levels,
    TableRow,
    delete_table,
    display,
    find_table,
    get_table,
    insert_table,
    list_tables,
    rename_table,
    swap_metadata,
)

# pyiceberg's model of the request wants to see these, Iceberg's specification does not.
_OPTIONAL = {"location": None, "partition-spec": None, "write-order": None}
_PURGE_PROPERTY = "polaris.config.drop-with-purge.enabled"


def list_all(call: Call) -> Response:
    """GET tables."""
    page, levels = page_of(call), namespace_levels(call)
    with call.services.database.read() as db:
        target = resolve(db, call, levels)
        target.require("LIST_TABLES")
        rows, more = listing(
            page, lambda asked: list_tables(db, target.namespace, asked), lambda row: row.name
        )
    identifiers = [{"namespace": list(levels), "name": row.name} for row in rows]
    return JSONResponse({"identifiers": identifiers, **more})


def create(call: Call) -> Response:
    """POST tables: create a table, or only answer what it would be (stage-create)."""
    try:
        request = CreateTableRequest.model_validate({**_OPTIONAL, **call.json()})
    except PydanticValidationError as error:
        raise BadRequestError(f"Malformed request: {error}") from error
    delegated = wants_credentials(call)
    operation = "CREATE_TABLE_STAGED" if request.stage_create else "CREATE_TABLE_DIRECT"
    with call.services.database.read() as db:
        target = resolve(db, call, namespace_levels(call))
        target.require(f"{operation}_WITH_WRITE_DELEGATION" if delegated else operation)
        name = check_name(request.name)
        if find_table(db, target.namespace, name):
            raise AlreadyExistsError(f"Table already exists: {display(target.namespace.levels, name)}")
    metadata = _first_metadata(target, request)
    committer = call.services.committer
    committer.check_location(target.catalog, target.namespace, name, metadata)
    # Before anything is made: a table must not exist when its creator is told of a failure.
    credentials = _credentials(call, target, metadata, write=True if delegated else None)
    if request.stage_create:
        create_directories(metadata)
        return _table_response(None, metadata.model_dump_json().encode(), credentials)
    stored = committer.create(target.catalog, target.namespace, name, metadata)
    return _table_response(stored.location, stored.json, credentials)


def register(call: Call) -> Response:
    """POST register: adopt existing metadata as a table, or as the new state of one."""
    body = call.json()
    name, location = check_name(field(body, "name", str)), field(body, "metadata-location", str)
    overwrite = bool(body.get("overwrite"))
    services = call.services
    with services.database.read() as db:
        target = resolve(db, call, namespace_levels(call))
        row = find_table(db, target.namespace, name)
    if row is None:
        target.require("REGISTER_TABLE")
    elif overwrite:
        target.require("REGISTER_TABLE_OVERWRITE", row)
    else:
        target.require("REGISTER_TABLE")
        raise AlreadyExistsError(f"Table already exists: {display(target.namespace.levels, name)}")
    check_allowed(target.catalog, display(target.namespace.levels, name), [location])
    stored = services.storage.load(target.catalog, location)
    if not is_inside(location, stored.table.location):
        outside = f"Metadata location {location} is not allowed outside of table location"
        raise BadRequestError(f"{outside} {stored.table.location}")
    services.committer.check_location(target.catalog, target.namespace, name, stored.table)
    credentials = _credentials(call, target, stored.table, write=_may_write(call, target, row))
    with services.database.write() as db:
        values = {"location": stored.table.location, "metadata_location": location}
        if row is None:
            insert_table(db, target.namespace, name, **values)
        elif not swap_metadata(db, row, **values):
            raise CommitFailedError(f"Table {display(target.namespace.levels, name)} changed meanwhile")
    return _table_response(location, stored.json, credentials)


def load(call: Call) -> Response:
    """GET table, with short-lived storage keys when the client asks for them."""
    levels, name = namespace_levels(call), call.path["table"]
    snapshots = call.query.get("snapshots", "all")
    if snapshots not in ("all", "refs"):
        raise BadRequestError(f"snapshots {snapshots!r} must be 'all' or 'refs'")
    with call.services.database.read() as db:
        target = resolve(db, call, levels)
        row = get_table(db, target.namespace, name)
    write = _may_write(call, target, row)
    stored = call.services.committer.load(target.catalog, target.namespace, row)
    credentials = _credentials(call, target, stored.table, write=write)
    metadata = _referenced_only(stored.json) if snapshots == "refs" else stored.json
    return _table_response(stored.location, metadata, credentials)


def load_credentials(call: Call) -> Response:
    """GET credentials: fresh storage keys for a loaded table."""
    with call.services.database.read() as db:
        target = resolve(db, call, namespace_levels(call))
        row = get_table(db, target.namespace, call.path["table"])
    write = target.may("LOAD_TABLE_WITH_WRITE_DELEGATION", row)
    if not write:
        target.require("LOAD_TABLE_WITH_READ_DELEGATION", row)
    stored = call.services.committer.load(target.catalog, target.namespace, row)
    return JSONResponse({"storage-credentials": _credentials(call, target, stored.table, write=write)})


def exists(call: Call) -> Response:
    """HEAD table."""
    with call.services.database.read() as db:
        target = resolve(db, call, namespace_levels(call))
        target.require("TABLE_EXISTS", get_table(db, target.namespace, call.path["table"]))
    return no_content()


def commit(call: Call) -> Response:
    """POST table: commit updates, or the creation of a staged table."""
    levels, name = namespace_levels(call), call.path["table"]
    request = parse_request(call.json(), levels, name)
    with call.services.database.read() as db:
        target = resolve(db, call, levels)
        change = Change(target.namespace, name, request)
        row = find_table(db, target.namespace, name)
    committer = call.services.committer
    if change.creates:
        target.require("UPDATE_TABLE_FOR_STAGED_CREATE")
        if row is not None:
            raise CommitFailedError(f"Requirement failed: table already exists: {display(levels, name)}")
        stored = committer.commit_create(target.catalog, change)
    else:
        with call.services.database.read() as db:
            row = get_table(db, target.namespace, name)
        target.require("UPDATE_TABLE", row)
        (stored,) = committer.commit(target.catalog, [change])
    return _table_response(stored.location, stored.json)


def commit_transaction(call: Call) -> Response:
    """POST transactions/commit: changes to several tables, all or none."""
    changes = []
    with call.services.database.read() as db:
        for entry in field(call.json(), "table-changes", list):
            levels, name = _identifier(field(entry, "identifier", dict))
            target = resolve(db, call, levels)
            target.require("COMMIT_TRANSACTION", get_table(db, target.namespace, name))
            changes.append(Change(target.namespace, name, parse_request(entry, levels, name)))
    creating = [change.name for change in changes if change.creates]
    if creating:
        raise BadRequestError(f"Unsupported operation: commitTransaction with staged creates of {creating}")
    if changes:
        call.services.committer.commit(target.catalog, changes)
    return no_content()


def drop(call: Call) -> Response:
    """DELETE table, and its files with purgeRequested."""
    levels, name = namespace_levels(call), call.path["table"]
    purge = call.query.get("purgeRequested", "false").lower() == "true"
    services = call.services
    with services.database.read() as db:
        target = resolve(db, call, levels)
        row = get_table(db, target.namespace, name)
    target.require("DROP_TABLE_WITH_PURGE" if purge else "DROP_TABLE_WITHOUT_PURGE", row)
    if purge and target.catalog.properties.get(_PURGE_PROPERTY) != "true":
        message = (
            f"Unable to purge entity: {name}. To enable this, set the catalog property {_PURGE_PROPERTY}"
        )
        raise ForbiddenError(message)
    stored = services.committer.load(target.catalog, target.namespace, row) if purge else None
    with services.database.write() as db:
        delete_table(db, row)
    if stored is not None:
        services.storage.purge(target.catalog, stored)
    return no_content()


def rename(call: Call) -> Response:
    """POST tables/rename."""
    body = call.json()
    source_levels, source_name = _identifier(field(body, "source", dict))
    levels, name = _identifier(field(body, "destination", dict))
    with call.services.database.write() as db:
        source = resolve(db, call, source_levels)
        row = get_table(db, source.namespace, source_name)
        source.require("RENAME_TABLE", row)
        target = resolve(db, call, levels)
        target.require("RENAME_TABLE_TO")
        rename_table(db, row, target.namespace, check_name(name))
    return no_content()


def report_metrics(call: Call) -> Response:
    """POST metrics: checked and dropped, as nothing here would read them."""
    kind = call.json().get("report-type")
    operation = "REPORT_WRITE_METRICS" if kind == "commit-report" else "REPORT_READ_METRICS"
    with call.services.database.read() as db:
        target = resolve(db, call, namespace_levels(call))
        target.require(operation, get_table(db, target.namespace, call.path["table"]))
    return no_content()


def wants_credentials(call: Call) -> bool:
    """Whether the client asks for storage keys.

    Raises:
        BadRequestError: It asks for remote signing and nothing else.
    """
    modes = {mode.strip() for mode in call.headers.get("x-iceberg-access-delegation", "").split(",")}
    if "remote-signing" in modes and "vended-credentials" not in modes:
        raise BadRequestError("Unsupported access delegation mode: remote-signing")
    return "vended-credentials" in modes


def _may_write(call: Call, target: Target, row: TableRow | None) -> bool | None:
    """Which keys to hand out: for writing, for reading only (False), or none (not asked for)."""
    if not wants_credentials(call):
        target.require("LOAD_TABLE", row)
        return None
    if target.may("LOAD_TABLE_WITH_WRITE_DELEGATION", row):
        return True
    target.require("LOAD_TABLE_WITH_READ_DELEGATION", row)
    return False


def _identifier(identifier: Mapping[str, Any]) -> tuple[Levels, str]:
    levels = tuple(field(identifier, "namespace", list))
    if not levels:
        raise BadRequestError("Malformed request: namespace must not be empty")
    return levels, field(identifier, "name", str)


def _first_metadata(target: Target, request: CreateTableRequest) -> TableMetadata:
    location = normalize(request.location or f"{target.namespace.location}/{request.name}")
    try:
        metadata = new_table_metadata(
            schema=request.table_schema,
            partition_spec=request.partition_spec or UNPARTITIONED_PARTITION_SPEC,
            sort_order=request.write_order or UNSORTED_SORT_ORDER,
            location=location,
            properties=dict(request.properties),
        )
        check_format(metadata)
    except (ValueError, ValidationError) as error:
        raise BadRequestError(f"Cannot create {request.name}: {error}") from error
    return metadata


def _referenced_only(raw: bytes) -> bytes:
    metadata = json.loads(raw)
    referenced = {ref["snapshot-id"] for ref in metadata.get("refs", {}).values()}
    metadata["snapshots"] = [s for s in metadata.get("snapshots", []) if s["snapshot-id"] in referenced]
    return json.dumps(metadata).encode()


def _credentials(
    call: Call, target: Target, metadata: TableMetadata, *, write: bool | None
) -> list[dict[str, object]]:
    """Keys for each of a table's locations: for writing, for reading (False), or none at all (None)."""
    if write is None:
        return []
    locations = table_locations(metadata)
    config = call.services.vendor.vend(target.catalog, locations, write=write)
    return [{"prefix": location, "config": config} for location in locations] if config else []


def _table_response(
    location: str | None, metadata: bytes, credentials: list[dict[str, object]] | None = None
) -> Response:
    # Metadata goes out as the bytes it is stored as: a table of 600 snapshots need not be serialized again.
    parts = [] if location is None else [b'"metadata-location":' + json.dumps(location).encode()]
    parts.append(b'"metadata":' + metadata)
    if credentials is not None:
        tail = {"config": credentials[0]["config"] if credentials else {}}
        if credentials:
            tail["storage-credentials"] = credentials
        parts.append(json.dumps(tail).encode()[1:-1])
    return Response(b"{" + b",".join(parts) + b"}", media_type="application/json")
