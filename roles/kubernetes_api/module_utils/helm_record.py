"""What Helm keeps of a release, in a Secret for each revision."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any, Protocol
from urllib.parse import urlencode

Object = dict[str, Any]


class Api(Protocol):
    """The API server, as `kubernetes_api` gives it."""

    def items(self, path: str) -> list[Object]:
        """Returns what a list holds."""


def last_record(api: Api, namespace: str, release: str) -> Object | None:
    """Returns the record of a release's last revision, such as `{version, info: {status}, chart, config}`.

    None when there is no such release.
    """
    query = urlencode({"labelSelector": f"owner=helm,name={release}"})
    revisions = api.items(f"/api/v1/namespaces/{namespace}/secrets?{query}")
    if not revisions:
        return None
    last = max(revisions, key=lambda secret: int(secret["metadata"]["labels"]["version"]))
    # Kubernetes encodes what a Secret holds, and Helm has done so before
    packed = base64.b64decode(base64.b64decode(last["data"]["release"]))
    record: Object = json.loads(gzip.decompress(packed))
    return record


def is_of(record: Object | None, chart: str, version: str, values: Object) -> bool:
    """Whether a record is that of a chart's version with these values, and Helm had success with it."""
    if record is None or record["info"]["status"] != "deployed":
        return False
    metadata = record["chart"]["metadata"]
    return bool(
        (metadata["name"], metadata["version"]) == (chart, version)
        and _canonical(record.get("config") or {}) == _canonical(values)
    )


def _canonical(values: object) -> str:
    """Values as one text; Helm reads every number as a floating-point one and writes 1.0 as 1."""
    return json.dumps(json.loads(json.dumps(values), parse_float=_number), sort_keys=True)


def _number(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() else number
