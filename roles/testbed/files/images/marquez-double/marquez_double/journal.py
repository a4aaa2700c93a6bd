"""Keeps the newest events in a database, so that a restart forgets nothing that counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError, ProgrammingError

_KEPT = 5000  # events, some 10 kB each: days of a demo's runs, and a database that does not grow for ever
_METADATA = sa.MetaData()
_EVENTS = sa.Table(
    "lineage_events",
    _METADATA,
    sa.Column("number", sa.Integer, sa.Identity(), primary_key=True),
    sa.Column("event", sa.JSON, nullable=False),
)


class Journal:
    """The events in the order in which they came."""

    def __init__(self, url: sa.URL | str, *, kept: int = _KEPT) -> None:
        """Open the database and make the table where it is missing.

        Args:
            url: SQLAlchemy URL of a PostgreSQL or SQLite database.
            kept: how many events stay; the oldest go first.

        Raises:
            OperationalError: the database cannot be reached.
        """
        memory = {"poolclass": sa.StaticPool, "connect_args": {"check_same_thread": False}}
        self._engine = sa.create_engine(
            url, **(memory if str(url) == "sqlite://" else {"pool_pre_ping": True})
        )
        self._kept = kept
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
            insert = _EVENTS.insert().values(event=event).returning(_EVENTS.c.number)
            number = connection.execute(insert).scalar_one()
            connection.execute(_EVENTS.delete().where(_EVENTS.c.number <= number - self._kept))

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
