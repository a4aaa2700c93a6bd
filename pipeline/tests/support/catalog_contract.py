"""What tests of a catalog server's contract share."""

from __future__ import annotations

from typing import Any

import httpx
import pyarrow as pa
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.table import Table

ROWS = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "name": pa.array(["a", "b", "c"])})
DELEGATED = {"X-Iceberg-Access-Delegation": "vended-credentials"}


def assert_error(answer: httpx.Response, status: int, kind: str) -> str:
    """Check Iceberg's error model; returns the message."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == (status, kind), error
    return str(error["message"])


def filled(catalog: RestCatalog, namespace: str, name: str = "t", **properties: str) -> Table:
    """A table with the three rows."""
    table = catalog.create_table((namespace, name), ROWS.schema, properties=properties)
    table.append(ROWS)
    return table


def set_property(key: str, value: str, *requirements: dict[str, Any]) -> dict[str, Any]:
    """A commit that sets one property."""
    update = {"action": "set-properties", "updates": {key: value}}
    return {"requirements": list(requirements), "updates": [update]}


def transaction(*changes: tuple[Table, str]) -> dict[str, Any]:
    """A multi-table commit: each table must be as loaded, and gets property `by`."""
    body = []
    for table, value in changes:
        requirement = {
            "type": "assert-ref-snapshot-id",
            "ref": "main",
            "snapshot-id": table.metadata.current_snapshot_id,
        }
        identifier = {"namespace": list(table.name()[:-1]), "name": table.name()[-1]}
        body.append({"identifier": identifier, **set_property("by", value, requirement)})
    return {"table-changes": body}
