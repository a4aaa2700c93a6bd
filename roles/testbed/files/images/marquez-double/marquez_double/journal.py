"""Keeps every event in a database, so that a restart forgets nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError, ProgrammingError

_METADATA = sa.MetaData()
_EVENTS = sa.Table(
    "lineage_events",
    _METADATA,
    sa.Column("number", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("event", sa.JSON, nullable=False),
)


class Journal:
    """The events in the order in which they came."""

    def __init__(self, url: sa.URL | str) -> None:
        """Open the database and make the table where it is missing.

        Args:
            url: SQLAlchemy URL of a PostgreSQL or SQLite database.

        Raises:
            OperationalError: the database cannot be reached.
        """
        memory = {"poolclass": sa.StaticPool, "connect_args": {"check_same_thread": False}}
        self._engine = sa.create_engine(
            url, **(memory if str(url) == "sqlite://" else {"pool_pre_ping": True})
        )
        _METADATA.create_all(self._engine)

    def append(self, event: dict[str, Any]) -> None:
        """Keep one event; a table lost with its database is made again."""
        try:
            self._insert(event)
        except (OperationalError, ProgrammingError):
            _METADATA.create_all(self._engine)
            self._insert(event)

    def _insert(self, event: dict[str, Any]) -> None:
        with self._engine.begin() as connection:
            connection.execute(_EVENTS.insert().values(event=event))

    def events(self, *, newest_first: bool = False, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """Read events back, oldest first unless told otherwise."""
        order = _EVENTS.c.number.desc() if newest_first else _EVENTS.c.number
        with self._engine.connect() as connection:
            for row in connection.execute(sa.select(_EVENTS.c.event).order_by(order).limit(limit)):
                yield row.event

    def count(self) -> int:
        """How many events there are; raises when the database is away, which the health check asks for."""
        with self._engine.connect() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(_EVENTS)).scalar_one())

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()
