"""Cube as its clients use it: REST with a signed token, SQL over PostgreSQL's protocol."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812  # a class that psycopg2 spells small

from floe_stack.errors import StackError
from floe_stack.patience import patiently

Query = dict[str, Any]

LOAD: Final = "/cubejs-api/v1/load"
ANSWER_SECONDS: Final = 30.0
CONNECT_SECONDS: Final = 5
TOKEN_SECONDS: Final = 3600
COUNT: Final = "Orders.count"


def signed_token(secret: str, now: float | None = None) -> str:
    """A JWT (HS256) that Cube takes for an hour; it carries no claim but its end."""
    until = int(time.time() if now is None else now) + TOKEN_SECONDS
    parts = ({"alg": "HS256", "typ": "JWT"}, {"exp": until})
    signed = ".".join(_base64(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_base64(signature)}"


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Cube:
    """A client of one Cube."""

    def __init__(self, url: str, secret: str) -> None:
        self.url = url
        self.http = httpx.Client(
            base_url=url, timeout=ANSWER_SECONDS, headers={"Authorization": signed_token(secret)}
        )

    def load(self, query: Query, *, cache: str | None = None) -> list[dict[str, Any]]:
        """The rows of a query.

        Args:
            query: Measures, dimensions, filters ...
            cache: How Cube may use its cache; None for its own way, `no-cache` to ask the lake.

        Raises:
            StackError: Cube does not answer, refuses, or has the answer not ready in time.
        """
        body = {"query": query, **({"cache": cache} if cache else {})}
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                answer = patiently(lambda: self.http.post(LOAD, json=body))
            except httpx.HTTPError as error:
                raise StackError(f"Cube at {self.url}: {type(error).__name__}: {error}") from error
            said = answer.json()
            if said.get("error") == "Continue wait" and time.monotonic() < deadline:
                continue
            if answer.status_code != httpx.codes.OK or "error" in said:
                raise StackError(f"Cube answers {answer.status_code}: {said.get('error', answer.text)}")
            rows: list[dict[str, Any]] = said["data"]
            return rows

    def number(self, measure: str) -> int:
        """One measure over everything, as a whole number.

        Raises:
            StackError: As `load`.
        """
        return int(self.load({"measures": [measure]})[0][measure] or 0)


@contextmanager
def sql_session(address: str, user: str, password: str) -> Iterator[Connection]:
    """A session of Cube's SQL API.

    Args:
        address: As `Forwards.address` of the door gives it.
        user: `sql-user` of the Secret floe-cube.
        password: `sql-password` of it.

    Raises:
        psycopg2.Error: Cube does not answer, or refuses.
    """
    place = urlsplit(address)
    session = psycopg2.connect(
        host=place.hostname,
        port=place.port,
        dbname=place.path.lstrip("/"),
        user=user,
        password=password,
        connect_timeout=CONNECT_SECONDS,
    )
    session.autocommit = True
    try:
        yield session
    finally:
        session.close()


def ask_sql(session: Connection, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a statement."""
    with session.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()
