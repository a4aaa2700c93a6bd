"""Upkeep: merges small files, forgets old snapshots, deletes files nothing refers to. Counts are real."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table
from pyiceberg.table.snapshots import ancestors_of
from pyiceberg.table.update.snapshot import ExpireSnapshots

from floe_pipeline.lake.catalog import Lake
from floe_pipeline.lake.commit import attempts, begin, commit
from floe_pipeline.lake.compact import compact
from floe_pipeline.lake.errors import CommitConflictError
from floe_pipeline.lake.ledger import CARRIED, newest_carrying
from floe_pipeline.lake.manifests import live_files
from floe_pipeline.lake.orphans import ListingRefusedError, delete_orphans
from floe_pipeline.settings import Settings
from floe_pipeline.telemetry import span

KEPT_SNAPSHOTS: Final = 5  # of a table's history stay, however old


@dataclass
class TableMaintenance:
    """What was done to one table, and what it is like afterwards.

    Attributes:
        table: `namespace.name`.
        snapshots_expired: Snapshots taken out of the history.
        files_compacted: Data files that were merged into fewer.
        orphans_deleted: Files deleted because no snapshot refers to them.
        bytes_deleted: Their size together.
        live_files: Data files of the current snapshot.
        objects: Files below the table's location, of any kind; None when they could not be listed.
        skipped: What was not done and why, a line each.
    """

    table: str
    snapshots_expired: int = 0
    files_compacted: int = 0
    orphans_deleted: int = 0
    bytes_deleted: int = 0
    live_files: int = 0
    objects: int | None = None
    skipped: list[str] = field(default_factory=list)


def maintain(lake: Lake, settings: Settings) -> list[TableMaintenance]:
    """Maintain every table of the lake; safe while others read and write.

    Args:
        lake: The lake.
        settings: `compact_files`, `snapshot_keep_minutes`, `orphan_min_age_minutes`.

    Returns:
        One entry a table that exists. Something that cannot be done to a table is said in its entry and does
        not keep the others from being maintained.

    Raises:
        LakeError: When the catalog does not answer.
    """
    identifiers = [
        ".".join(identifier)
        for namespace in sorted(lake.catalog.list_namespaces())
        for identifier in sorted(lake.catalog.list_tables(namespace))
    ]
    locations = {identifier: lake.load(identifier).location() for identifier in identifiers}
    results = []
    for identifier in identifiers:
        with span(f"iceberg.maintain {identifier}", **{"iceberg.table": identifier}) as here:
            result = TableMaintenance(identifier)
            try:
                maintain_table(lake, settings, locations, result)
            except NoSuchTableError:
                continue  # dropped while we were at the others
            here.set_attribute("iceberg.snapshots_expired", result.snapshots_expired)
            here.set_attribute("iceberg.files_compacted", result.files_compacted)
            here.set_attribute("iceberg.orphans_deleted", result.orphans_deleted)
            here.set_attribute("iceberg.bytes_deleted", result.bytes_deleted)
            results.append(result)
    return results


def maintain_table(
    lake: Lake, settings: Settings, locations: dict[str, str], result: TableMaintenance
) -> None:
    """Maintain one table.

    Args:
        lake: The lake.
        settings: As for `maintain`.
        locations: Folder of every table of the lake, by identifier.
        result: Names the table, and is filled in.

    Raises:
        NoSuchTableError: The table is gone.
    """
    compaction = compact(lake, result.table, settings.compact_files)
    result.files_compacted = compaction.files
    if compaction.skipped:
        result.skipped.append(f"compaction: {compaction.skipped}")

    result.snapshots_expired = _expire(lake, result.table, timedelta(minutes=settings.snapshot_keep_minutes))

    shared = [
        other
        for other, location in locations.items()
        if other != result.table and _overlap(location, locations[result.table])
    ]
    table = lake.load(result.table)
    result.live_files = len(live_files(table))
    if shared:
        result.skipped.append(f"orphans: {', '.join(shared)} has files in the same folder")
        return
    try:
        orphans = delete_orphans(table, timedelta(minutes=settings.orphan_min_age_minutes))
    except ListingRefusedError as refused:
        result.skipped.append(f"orphans: {refused}")
        return
    result.orphans_deleted, result.bytes_deleted = orphans.deleted, orphans.bytes_deleted
    result.objects = orphans.left


def _expire(lake: Lake, identifier: str, keep: timedelta) -> int:
    """Take snapshots out of the history that are old, not among the newest, and hold nothing needed."""
    for _ in attempts(f"expiring snapshots of {identifier}"):
        table = lake.load(identifier)
        old = _expired(table, keep)
        if not old:
            return 0
        transaction = begin(table)
        ExpireSnapshots(transaction).by_ids(old).commit()
        try:
            commit(transaction, lambda: lake.load(identifier))
        except CommitConflictError:
            continue
        break
    return len(old)


def _expired(table: Table, keep: timedelta) -> list[int]:
    history = [snapshot.snapshot_id for snapshot in ancestors_of(table.current_snapshot(), table.metadata)]
    holders = [snapshot.snapshot_id for name in CARRIED if (snapshot := newest_carrying(table, name))]
    # A holder is found by walking from parent to parent, so what lies between it and `main` stays too. That
    # is nothing but what other engines committed since: each commit of ours carries the properties on.
    kept = max([KEPT_SNAPSHOTS, *(history.index(holder) + 1 for holder in holders)])
    needed = set(history[:kept]) | {ref.snapshot_id for ref in table.metadata.refs.values()}
    oldest = (time.time() - keep.total_seconds()) * 1000
    return [
        snapshot.snapshot_id
        for snapshot in table.metadata.snapshots
        if snapshot.timestamp_ms < oldest and snapshot.snapshot_id not in needed
    ]


def _overlap(one: str, other: str) -> bool:
    one, other = one.rstrip("/") + "/", other.rstrip("/") + "/"
    return one.startswith(other) or other.startswith(one)
