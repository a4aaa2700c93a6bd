"""The database behind the catalog: engine, transactions, schema, settings."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from floe_catalog.schema import METADATA, SETTINGS

_SCHEMA_LOCK = 0x466C6F65  # any number that other users of the same PostgreSQL are unlikely to lock
_SQLITE_PATIENCE: Final = 30.0  # seconds that SQLite's one writer is waited for


class Database:
    """One database, SQLite or PostgreSQL, shared by every process that serves the catalog.

    Reads see committed data only. Writes are short: nothing but database work happens inside them,
    so SQLite's single writer and PostgreSQL's row locks are held for a millisecond or so.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = sa.make_url(url)
            sqlite = parsed.get_backend_name() == "sqlite"
            # Pre-ping: a PostgreSQL restart must cost no request. SQLite has no connection to lose.
            self._engine = sa.create_engine(parsed, pool_size=20, max_overflow=40, pool_pre_ping=not sqlite)
        except (ArgumentError, NoSuchModuleError) as error:
            message = f"database_url {url!r}: {error}; expected sqlite:///… or postgresql+psycopg2://…"
            raise ValueError(message) from error
        if sqlite:
            sa.event.listen(self._engine, "connect", _configure_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        self._readers = self._engine.execution_options(floe_read=True)

    @contextlib.contextmanager
    def prepare(self) -> Iterator[sa.Connection]:
        """A write in which every table exists; processes that start at once go through it one by one."""
        with self.write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
            METADATA.create_all(connection)
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection for reading."""
        with self._readers.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A connection whose changes are committed together at the end, or not at all."""
        with self._engine.begin() as connection:
            yield connection

    def check(self) -> None:
        """Raise SQLAlchemy's error when the database does not answer."""
        with self.read() as connection:
            connection.execute(sa.select(sa.func.count()).select_from(SETTINGS)).scalar_one()

    def close(self) -> None:
        """Close every pooled connection."""
        self._engine.dispose()


def setting(db: sa.Connection, name: str, default: str) -> str:
    """The stored value of a setting; stores the default when there is none yet."""
    stored = db.execute(sa.select(SETTINGS.c.value).where(SETTINGS.c.name == name)).scalar_one_or_none()
    if stored is None:
        db.execute(sa.insert(SETTINGS).values(name=name, value=default))
        return default
    return str(stored)


def _configure_sqlite(connection: object, _record: object) -> None:
    # Autocommit in the driver, so that the BEGIN below is the only one.
    connection.isolation_level = None  # type: ignore[attr-defined]
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute(f"PRAGMA busy_timeout={_SQLITE_PATIENCE * 1000:.0f}")
    _use_write_ahead_log(cursor)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _use_write_ahead_log(cursor: sqlite3.Cursor) -> None:
    # The first to open a new file changes its mode; others that open it meanwhile are refused at once, since
    # the busy timeout does not cover this one statement.
    deadline = time.monotonic() + _SQLITE_PATIENCE
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that starts reading and then writes fails at once with SQLITE_BUSY when another
    # writer was between; taking the write lock first makes it wait instead.
    reading = connection.get_execution_options().get("floe_read", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
