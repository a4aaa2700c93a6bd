"""Tries with each principal's own token what it may and what it may not do, changing nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import httpx

from floe_pipeline.lake.errors import LakeError
from floe_pipeline.lake.management import fetch_token, http_client
from floe_pipeline.lake.tables import NAMESPACES
from floe_pipeline.settings import Settings

REFUSED: Final = frozenset({httpx.codes.FORBIDDEN, httpx.codes.UNAUTHORIZED})

# Takes away a property that is not there: asks for the right to write and changes nothing.
_NO_CHANGE: Final = {"removals": ["floe.access-probe"], "updates": {}}
# A staged creation asks for the right to create; tried only where it must be refused.
_NO_TABLE: Final = {
    "name": "floe_access_probe",
    "stage-create": True,
    "schema": {"type": "struct", "fields": [{"id": 1, "name": "probe", "type": "int", "required": False}]},
    "partition-spec": {"spec-id": 0, "fields": []},
    "write-order": {"order-id": 0, "fields": []},
    "properties": {},
}


@dataclass(frozen=True)
class Principal:
    """A user of the lake.

    Attributes:
        name: Of the principal and of its roles.
        client_id: For OAuth2.
        secret: For OAuth2.
        reads: Namespaces whose tables it may read.
        writes: Namespaces in which it may make and change tables.
    """

    name: str
    client_id: str
    secret: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True)
class AccessCheck:
    """One thing that was tried, with the outcome that was wanted.

    Attributes:
        principal: Who tried.
        action: `read` or `write`.
        namespace: Where.
        allowed: Whether it was allowed.
    """

    principal: str
    action: str
    namespace: str
    allowed: bool


def check_access(settings: Settings, principals: Iterable[Principal]) -> list[AccessCheck]:
    """Let each principal try to read and to write, in each namespace.

    Raises:
        LakeError: Naming what was allowed or refused though the opposite is wanted.
    """
    checks = []
    with http_client() as client:
        for principal in principals:
            try:
                token = fetch_token(client, settings, principal.client_id, principal.secret)
                token.raise_for_status()
                client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
                for namespace in NAMESPACES:
                    url = f"{settings.catalog_uri}/v1/{settings.catalog_name}/namespaces/{namespace}"
                    reads = _allowed(client.get(f"{url}/tables"))
                    writes = _allowed(client.post(f"{url}/properties", json=_NO_CHANGE)) or (
                        namespace not in principal.writes
                        and _allowed(client.post(f"{url}/tables", json=_NO_TABLE))
                    )
                    checks += [
                        AccessCheck(principal.name, "read", namespace, reads),
                        AccessCheck(principal.name, "write", namespace, writes),
                    ]
            except httpx.HTTPError as error:
                raise LakeError(f"{principal.name} cannot use {settings.catalog_uri}: {error}") from error
    wrong = [check for check in checks if check.allowed != _wanted(check, principals)]
    if wrong:
        raise LakeError(
            "; ".join(
                f"{check.principal} may {'' if check.allowed else 'not '}{check.action} in {check.namespace}"
                for check in wrong
            )
            + ": this is not what was granted; look at the principals' roles in the catalog"
        )
    return checks


def _wanted(check: AccessCheck, principals: Iterable[Principal]) -> bool:
    (principal,) = (each for each in principals if each.name == check.principal)
    return check.namespace in (principal.reads if check.action == "read" else principal.writes)


def _allowed(answer: httpx.Response) -> bool:
    if answer.status_code in REFUSED:
        return False
    answer.raise_for_status()
    return True
