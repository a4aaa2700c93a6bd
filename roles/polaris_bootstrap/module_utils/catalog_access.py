"""Tries what principals of an Iceberg REST catalog may list, each with its own token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

Send = Callable[..., tuple[int, dict[str, Any]]]
NAMESPACES = ("bronze", "gold")
OK, FORBIDDEN = 200, 403


class AccessError(Exception):
    """A principal cannot do what it should, or can do what it should not."""


def try_principals(
    send: Send,
    catalog: str,
    credentials: Mapping[str, tuple[str, str]],
    readable: Mapping[str, Iterable[str]],
) -> list[str]:
    """Gets a token for each principal and lists tables with it.

    Args:
        send: Sends a request: method, path, body, headers; returns status and JSON.
        catalog: Name of the catalog.
        credentials: Secret -> client id and secret.
        readable: Secret -> namespaces whose tables may be listed; listing others must be refused.

    Returns:
        list[str]: what was tried and answered, a line each.

    Raises:
        AccessError: naming what was not as it should be, all of it.
    """
    seen: list[str] = []
    wrong: list[str] = []
    for secret, (client_id, client_secret) in credentials.items():
        status, answer = _token(send, client_id, client_secret)
        if status != OK:
            wrong.append(f"{client_id} gets no token ({status}) with the credentials of Secret {secret}")
            continue
        headers = {"Authorization": f"Bearer {answer['access_token']}"}
        for namespace in NAMESPACES:
            path = f"/api/catalog/v1/{quote(catalog)}/namespaces/{namespace}/tables"
            status, _ = send("GET", path, None, headers)
            wanted = OK if namespace in readable[secret] else FORBIDDEN
            line = f"{client_id} lists tables of {namespace}: {status}"
            (seen if status == wanted else wrong).append(
                line if status == wanted else f"{line} instead of {wanted}"
            )
    if wrong:
        raise AccessError("; ".join(wrong))
    return seen


def _token(send: Send, client_id: str, client_secret: str) -> tuple[int, dict[str, Any]]:
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": client_secret,
        "scope": "PRINCIPAL_ROLE:ALL",
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return send("POST", "/api/catalog/v1/oauth/tokens", urlencode(form), headers)
