"""Merges small data files by tiers of size, so that every row is rewritten only a few times in its life.

Files are sorted into tiers by size, each tier `fan_in` times as large as the one below. When a tier has more
than `fan_in` files, it and all that is smaller becomes one file, which lands in a higher tier. So the number
of files stays below `fan_in` a tier, and a row is rewritten about once a tier: the work grows with the rows
that came, not with history.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.table import FileScanTask, Table

from floe_pipeline.lake.catalog import Lake
from floe_pipeline.lake.commit import begin, commit, snapshot_id, stage_exchange, write_files
from floe_pipeline.lake.errors import CommitConflictError
from floe_pipeline.lake.ledger import carried
from floe_pipeline.lake.manifests import LiveFile, has_row_deletes, live_files
from floe_pipeline.telemetry import span

SMALL_BYTES: Final = 8 << 20  # larger files are left alone
MERGED_BYTES: Final = 32 << 20  # no merged file is larger, which bounds memory too
TRIES: Final = 3


@dataclass(frozen=True)
class Compaction:
    """What `compact` did.

    Attributes:
        files: Data files that were replaced.
        into: Data files that replaced them.
        skipped: Why nothing was done though there was something to do.
    """

    files: int = 0
    into: int = 0
    skipped: str | None = None


def compact(lake: Lake, identifier: str, fan_in: int) -> Compaction:
    """Merge small files of a table in one commit; its rows, ledger and watermark stay as they are.

    The commit takes out exactly the files that were read, on the condition that `main` has not moved since:
    an append in between makes it fail and be done again from the start, so no append can be lost.

    Args:
        lake: The lake.
        identifier: `namespace.name`.
        fan_in: More files than this in a tier are merged; at least 2.
    """
    for _ in range(TRIES):
        table = lake.load(identifier)
        chosen = (overfull(files, fan_in) for files in _by_partition(live_files(table)))
        groups = [group for group in chosen if group]
        if not groups:
            return Compaction()
        if has_row_deletes(table):
            return Compaction(skipped="it has row-level deletes, which another engine wrote")
        with span(f"iceberg.compact {identifier}", **{"iceberg.table": identifier}) as here:
            old = [live.file for group in groups for live in group]
            new = [file for group in groups for file in write_files(table, _merged(table, group))]
            transaction = begin(table)
            stage_exchange(transaction, old, new, carried(table))
            try:
                commit(transaction, lambda: lake.load(identifier))
            except CommitConflictError:
                continue
            here.set_attribute("iceberg.files", len(old))
            here.set_attribute("iceberg.rows", sum(file.record_count for file in old))
            here.set_attribute("iceberg.snapshot_id", str(snapshot_id(transaction)))
        return Compaction(files=len(old), into=len(new))
    return Compaction(skipped=f"others committed each of {TRIES} times; the next run tries again")


def _by_partition(files: list[LiveFile]) -> list[list[LiveFile]]:
    groups: dict[tuple[int, object], list[LiveFile]] = defaultdict(list)
    for live in files:
        if live.file.file_size_in_bytes < SMALL_BYTES:
            groups[live.file.spec_id, live.file.partition].append(live)
    return list(groups.values())


def overfull(files: list[LiveFile], fan_in: int) -> list[LiveFile]:
    """The files of the highest tier that has too many, and all smaller ones; none when no tier has.

    Args:
        files: Small files of one partition, in any order, which is kept.
        fan_in: As many files of a tier are still left alone.
    """
    tiers = Counter(_tier(live, fan_in) for live in files)
    too_full = [tier for tier, count in tiers.items() if count > fan_in]
    return [live for live in files if _tier(live, fan_in) <= max(too_full)] if too_full else []


def _tier(live: LiveFile, fan_in: int) -> int:
    return int(math.log(max(live.file.file_size_in_bytes, 1), fan_in))


def _merged(table: Table, group: list[LiveFile]) -> Iterator[pa.Table]:
    """The rows of the files in the table's order, in as few pieces as `MERGED_BYTES` allows."""
    total = sum(live.file.file_size_in_bytes for live in group)
    rows = sum(live.file.record_count for live in group)
    piece_rows = math.ceil(rows / math.ceil(total / MERGED_BYTES))
    scan = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue())
    held: list[pa.RecordBatch] = []
    held_rows = 0
    for live in group:  # a file at a time: the scan would read all of them ahead
        for batch in scan.to_record_batches([FileScanTask(live.file)]):
            held.append(batch)
            held_rows += batch.num_rows
            if held_rows >= piece_rows:
                yield _sorted(table, held)
                held, held_rows = [], 0
    if held:
        yield _sorted(table, held)


def _sorted(table: Table, batches: list[pa.RecordBatch]) -> pa.Table:
    rows = pa.Table.from_batches(batches)
    columns = [table.schema().find_column_name(each.source_id) for each in table.sort_order().fields]
    return rows.sort_by([(name, "ascending") for name in columns if name]) if columns else rows
