"""Deletes files below a table's location that no snapshot refers to and that no commit in flight can need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pyarrow.fs import FileInfo, FileSelector, FileSystem
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table

from floe_pipeline.lake.errors import LakeError
from floe_pipeline.lake.manifests import referenced


class ListingRefusedError(LakeError):
    """The storage does not let us see which files there are."""


@dataclass(frozen=True)
class Orphans:
    """What was found below a table's location.

    Attributes:
        deleted: Files deleted now.
        bytes_deleted: Their size together.
        left: Files that are still there.
    """

    deleted: int
    bytes_deleted: int
    left: int


def delete_orphans(table: Table, min_age: timedelta) -> Orphans:
    """Delete what nothing refers to and what is older than `min_age`.

    A commit writes its files before any snapshot refers to them; the age keeps them from being taken for
    orphans.

    Args:
        table: As it is now; it is read before the files are listed.
        min_age: Must be longer than any commit takes.

    Raises:
        ListingRefusedError: When the storage refuses to list, which vended keys may not be allowed to.
    """
    io = table.io
    assert isinstance(io, PyArrowFileIO)
    began = datetime.now(UTC)
    scheme, netloc, root = io.parse_location(table.location())
    filesystem = io.fs_by_scheme(scheme, netloc)
    needed = {io.parse_location(location)[2] for location in referenced(table)}
    files = _list(filesystem, root)
    dead = [
        info
        for info in files
        if info.path not in needed and info.mtime is not None and began - info.mtime > min_age
    ]
    deleted = [info for info in dead if _delete(filesystem, info.path)]
    return Orphans(
        deleted=len(deleted),
        bytes_deleted=sum(info.size or 0 for info in deleted),
        left=len(files) - len(dead),
    )


def _delete(filesystem: FileSystem, path: str) -> bool:
    try:
        filesystem.delete_file(path)
    except FileNotFoundError:
        return False  # maintenance in another process was faster
    return True


def _list(filesystem: FileSystem, root: str) -> list[FileInfo]:
    try:
        found = filesystem.get_file_info(FileSelector(root, recursive=True, allow_not_found=True))
    except OSError as error:  # pyarrow raises PermissionError or OSError, by the storage's mood
        raise ListingRefusedError(
            f"cannot list {root}: the catalog's S3 user needs s3:ListBucket and s3:GetBucketLocation"
            f" ({error})"
        ) from error
    return [info for info in found if info.is_file]
