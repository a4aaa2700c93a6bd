"""dbt-duckdb's plugin for the lake: attaches the catalog to dbt's DuckDB, publishes marts in one commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow.compute as pc
from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.adapters.duckdb.utils import TargetConfig
from pyiceberg.table import Table

from floe_pipeline.lake import engine
from floe_pipeline.lake.catalog import Lake
from floe_pipeline.lake.ledger import THROUGH, newest_carrying
from floe_pipeline.lake.publish import PublishResult, publish
from floe_pipeline.settings import load_settings


@dataclass
class Session:
    """What one build knows beyond dbt: the lake it works on and, as it goes, what it published.

    Attributes:
        lake: Where the marts are published.
        properties: Snapshot properties that every commit of the build carries (run id, trace id).
        full_refresh: Whether marts are recomputed whatever they hold.
        published: By mart (`gold.orders`); None when there was nothing to commit.
    """

    lake: Lake
    properties: dict[str, str] = field(default_factory=dict)
    full_refresh: bool = False
    published: dict[str, PublishResult | None] = field(default_factory=dict)


_session: Session | None = None


@contextmanager
def working_on(session: Session) -> Iterator[Session]:
    """Let dbt's threads, which share nothing else with the caller, work for this session.

    The caller makes sure that one build at a time runs in a process; dbt itself allows no more.
    """
    global _session  # noqa: PLW0603  # dbt makes the plugin and its threads: a module is all that both can see
    _session = session
    try:
        yield session
    finally:
        _session = None


def current_session() -> Session:
    """The build's session; for a bare `dbt build`, one made from the FLOE_* environment."""
    global _session  # noqa: PLW0603
    if _session is None:
        _session = Session(Lake.connect(load_settings()))
    return _session


class Plugin(BasePlugin):
    """Named `floe_lake` in profiles.yml; the materialization `iceberg` hands computed marts to `store`."""

    _connection: duckdb.DuckDBPyConnection

    def update_connection_config(self, creds: DuckDBCredentials, config: dict[str, Any]) -> None:
        """DuckDB's limits and extensions, as everywhere else in the pipeline."""
        config.update(engine.connection_config(current_session().lake.settings))

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Attach the lake, read-only: a mart is written by a commit of ours and by nothing else."""
        engine.attach(conn, current_session().lake.settings, read_only=True)
        self._connection = conn

    def store(self, target_config: TargetConfig) -> None:
        """Publish what a model computed, unless the mart already holds exactly that.

        Args:
            target_config: From the materialization: `location.path` is the in-memory table with the rows,
                `location.format` is `incremental` or `full`.
        """
        assert target_config.location is not None
        session = current_session()
        mart = f"{target_config.relation.schema}.{target_config.relation.identifier}"
        computed = target_config.location.path
        incremental = target_config.location.format == "incremental"
        watermark = target_config.config.require("watermark")
        append = incremental and target_config.config.require("publish") == "append"
        with self._connection.cursor() as cursor:
            cursor.execute("SET TimeZone = 'UTC'")
            rows = cursor.execute(f"SELECT * FROM {computed}").to_arrow_table()
            through = pc.max(rows[watermark]).as_py() or 0
            if append:
                unchanged = not rows.num_rows
            else:
                unchanged = incremental and _is_published(
                    session.lake.load(mart), cursor, computed=computed, here=(through, rows.num_rows)
                )
            cursor.execute(f"DROP TABLE {computed}")
        if unchanged:
            session.published[mart] = None
            return
        result = publish(
            session.lake,
            mart,
            rows,
            mode="append" if append else "replace",
            # What is recomputed in full may go back; all else never does, whoever else publishes meanwhile.
            watermark=watermark if incremental or not session.full_refresh else None,
            snapshot_properties={**session.properties, THROUGH: str(through)},
        )
        session.published[mart] = result if result.rows or not rows.num_rows else None


def _is_published(
    table: Table, cursor: duckdb.DuckDBPyConnection, *, computed: str, here: tuple[int, int]
) -> bool:
    """Whether a mart that is replaced as a whole already holds the computed rows, or newer ones.

    Contents are compared only when watermark and number of rows are the same, so a cycle with new orders does
    not pay for it.

    Args:
        table: The mart.
        cursor: Sees the computed rows and the lake.
        computed: The table of the computed rows.
        here: Their watermark and their number.
    """
    carrying, current = newest_carrying(table, THROUGH), table.current_snapshot()
    if carrying is None or current is None or carrying.summary is None or current.summary is None:
        return False
    there = (int(carrying.summary[THROUGH] or 0), int(current.summary["total-records"] or 0))
    if there != here:
        return there > here
    mart = f"{engine.ALIAS}.{'.'.join(table.name())}"
    difference = cursor.execute(
        f"(SELECT * FROM {computed} EXCEPT SELECT * FROM {mart})"
        f" UNION ALL (SELECT * FROM {mart} EXCEPT SELECT * FROM {computed}) LIMIT 1"
    ).fetchone()
    return difference is None
