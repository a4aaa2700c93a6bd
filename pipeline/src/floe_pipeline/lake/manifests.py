"""What a table's manifests say: which data files are live, and which files of any kind belong to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyiceberg.manifest import DataFile, ManifestContent, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot


@dataclass(frozen=True)
class LiveFile:
    """A data file of the current snapshot.

    Attributes:
        file: The file with its statistics.
        sequence: When it was added, as the table counts commits.
    """

    file: DataFile
    sequence: int


def live_files(table: Table) -> list[LiveFile]:
    """Data files of the current snapshot, those added first before the others."""
    found = [
        LiveFile(entry.data_file, entry.sequence_number or 0)
        for manifest in _manifests(table, table.current_snapshot())
        if manifest.content == ManifestContent.DATA
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    ]
    return sorted(found, key=lambda live: live.sequence)


def has_row_deletes(table: Table) -> bool:
    """Whether the current snapshot has delete files, as merge-on-read engines write them."""
    manifests = _manifests(table, table.current_snapshot())
    return any(manifest.content == ManifestContent.DELETES for manifest in manifests)


def referenced(table: Table) -> set[str]:
    """Locations of all files that any snapshot needs: metadata, manifests, data, statistics."""
    metadata = table.metadata
    needed = {table.metadata_location, *(entry.metadata_file for entry in metadata.metadata_log)}
    needed |= {each.statistics_path for each in metadata.statistics}
    needed |= {each.statistics_path for each in metadata.partition_statistics}
    seen: set[str] = set()  # a manifest is shared by the snapshots after it: read it once
    for snapshot in metadata.snapshots:
        needed.add(snapshot.manifest_list)
        for manifest in _manifests(table, snapshot):
            if manifest.manifest_path not in seen:
                seen.add(manifest.manifest_path)
                needed |= set(_data_paths(table, manifest))
    return needed | seen


def _manifests(table: Table, snapshot: Snapshot | None) -> list[ManifestFile]:
    return snapshot.manifests(table.io) if snapshot else []


def _data_paths(table: Table, manifest: ManifestFile) -> Iterator[str]:
    for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
        yield entry.data_file.file_path
