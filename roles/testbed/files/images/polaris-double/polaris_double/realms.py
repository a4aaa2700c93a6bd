"""Realms and their root credentials: what Polaris' admin tool leaves in the database."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

_METADATA = sa.MetaData()
_REALMS = sa.Table(
    "polaris_double_realms",
    _METADATA,
    sa.Column("realm", sa.Text, primary_key=True),
    sa.Column("client_id", sa.Text, nullable=False),
    sa.Column("client_secret", sa.Text, nullable=False),
)


def database_url(environment: Mapping[str, str]) -> sa.URL:
    """The database from Quarkus' variables.

    Args:
        environment: QUARKUS_DATASOURCE_JDBC_URL, QUARKUS_DATASOURCE_USERNAME and QUARKUS_DATASOURCE_PASSWORD.

    Raises:
        ValueError: the URL is missing or is not PostgreSQL's.
    """
    text = environment.get("QUARKUS_DATASOURCE_JDBC_URL", "")
    match = re.fullmatch(r"jdbc:postgresql://([^:/?]+)(?::(\d+))?/([^?]+)(?:\?.*)?", text)
    if not match:
        raise ValueError(f"QUARKUS_DATASOURCE_JDBC_URL={text!r} must be jdbc:postgresql://host:port/database")
    host, port, database = match.groups()
    return sa.URL.create(
        "postgresql+psycopg2",
        username=environment.get("QUARKUS_DATASOURCE_USERNAME"),
        password=environment.get("QUARKUS_DATASOURCE_PASSWORD"),
        host=host,
        port=int(port or 5432),
        database=database,
        query={"connect_timeout": "5"},
    )


def parse_credentials(text: str) -> dict[str, tuple[str, str]]:
    """Read `realm,clientId,clientSecret`, several joined by `;`, as POLARIS_BOOTSTRAP_CREDENTIALS has them.

    Raises:
        ValueError: a part has not three fields; the message does not show the secret.
    """
    found = {}
    for part in filter(None, text.split(";")):
        fields = part.split(",")
        if len(fields) != 3 or not all(fields):
            raise ValueError(f"credentials of realm {fields[0]!r} must be realm,clientId,clientSecret")
        found[fields[0]] = (fields[1], fields[2])
    return found


def read_credentials(file: Path) -> dict[str, tuple[str, str]]:
    """Read `{"realm": {"client-id": …, "client-secret": …}}`; Polaris takes the same as YAML, too.

    Raises:
        ValueError: it cannot be read or is not of this form; the message shows nothing of what is in it.
    """
    try:
        found = {
            realm: (root["client-id"], root["client-secret"])
            for realm, root in json.loads(file.read_text()).items()
        }
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        found = {}
    if not found or not all(isinstance(text, str) and text for root in found.values() for text in root):
        raise ValueError(f'{file} must hold {{"realm": {{"client-id": "…", "client-secret": "…"}}}} as JSON')
    return found


class Realms:
    """The table of bootstrapped realms."""

    def __init__(self, url: sa.URL) -> None:
        """Open the database and make the table; raises OperationalError when it is away."""
        self._engine = sa.create_engine(url, poolclass=sa.NullPool)
        _METADATA.create_all(self._engine)

    def bootstrap(self, realm: str, client_id: str, client_secret: str) -> bool:
        """Keep a realm's root credentials; False, and nothing changed, where it was bootstrapped before."""
        if self.root(realm):  # an insert that is refused would stand in PostgreSQL's log, secret and all
            return False
        row = {"realm": realm, "client_id": client_id, "client_secret": client_secret}
        try:
            with self._engine.begin() as connection:
                connection.execute(_REALMS.insert().values(row))
        except IntegrityError:
            return False
        return True

    def root(self, realm: str) -> tuple[str, str] | None:
        """Root's client id and secret, or None before the bootstrap."""
        query = sa.select(_REALMS.c.client_id, _REALMS.c.client_secret).where(_REALMS.c.realm == realm)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return (row.client_id, row.client_secret) if row else None

    def purge(self, realm: str) -> bool:
        """Forget a realm; False where there was none."""
        with self._engine.begin() as connection:
            return connection.execute(_REALMS.delete().where(_REALMS.c.realm == realm)).rowcount > 0
