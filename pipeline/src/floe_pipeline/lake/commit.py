"""One commit: data files first, then a single request whose outcome is always found out.

pyiceberg's own commit (0.12) retries an append on whatever it finds, and on a final conflict deletes
manifests without asking whether an earlier request had landed. Here a request is sent once, on the condition
that the table's `main` is where it was when it was loaded; whatever the answer, or if there is none, the
reloaded table is what decides. Retrying is the caller's business: only it knows whether its rows are still
wanted.
"""

from __future__ import annotations

import itertools
import logging
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import pyarrow as pa
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NoSuchTableError,
    ServerError,
    ServiceUnavailableError,
    TableAlreadyExistsError,
    ValidationException,
)
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import _dataframe_to_data_files
from pyiceberg.manifest import DataFile, ManifestFile
from pyiceberg.table import CreateTableTransaction, Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update import AssertCreate, AssertTableUUID, TableRequirement, TableUpdate
from pyiceberg.table.update.snapshot import _OverwriteFiles
from requests.exceptions import RequestException

from floe_pipeline.lake.errors import CommitConflictError, LakeError
from floe_pipeline.lake.tables import MANIFEST_PROPERTIES

logger = logging.getLogger(__name__)

ATTEMPTS: Final = 60
ATTEMPT_SECONDS: Final = 120.0
FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 2.0

_REFUSED = (CommitFailedException, TableAlreadyExistsError, ValidationException)
_NO_ANSWER = (CommitStateUnknownException, ServerError, ServiceUnavailableError, RequestException)


def attempts(what: str) -> Iterator[int]:
    """Count attempts 1, 2, 3..., pausing before each but the first, longer each time, with jitter.

    Args:
        what: What is attempted, for the error.

    Raises:
        LakeError: When `ATTEMPTS` or `ATTEMPT_SECONDS` are used up.
    """
    began = time.monotonic()
    for attempt in range(1, ATTEMPTS + 1):
        yield attempt
        if time.monotonic() - began > ATTEMPT_SECONDS:
            break
        longest = min(FIRST_PAUSE_SECONDS * 2 ** min(attempt, 10), LONGEST_PAUSE_SECONDS)
        time.sleep(random.uniform(0, longest))  # noqa: S311  # spreads writers, keeps no secret
    raise LakeError(
        f"{what}: gave up after {attempt} attempts in {time.monotonic() - began:.0f} s, because other writers"
        " committed first each time; run it again when fewer are writing"
    )


def write_files(table: Table, chunks: Iterable[pa.Table]) -> list[DataFile]:
    """Write rows as data files that no snapshot refers to yet.

    Args:
        table: Where they will belong: schema, partitioning and location are taken from it.
        chunks: Rows with the table's columns; each chunk becomes files of its own.

    Returns:
        The files, in order. Those of a commit that never came are removed by the next maintenance.
    """
    write_uuid, counter = uuid.uuid4(), itertools.count(0)
    return [
        file
        for chunk in chunks
        if chunk.num_rows
        for file in _dataframe_to_data_files(
            table_metadata=table.metadata, df=chunk, io=table.io, write_uuid=write_uuid, counter=counter
        )
    ]


class _Staging(Transaction):
    """pyiceberg's transaction without its copy of the whole history at each of a dozen looks."""

    _seen: tuple[tuple[TableUpdate, ...], TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        if self._seen is None or self._seen[0] is not self._updates:
            self._seen = (self._updates, super().table_metadata)
        return self._seen[1]


def begin(table: Table) -> Transaction:
    """A transaction on a table as it was loaded, to stage one commit in."""
    return _Staging(table)


def stage_append(transaction: Transaction, files: Iterable[DataFile], properties: dict[str, str]) -> None:
    """Stage a snapshot that adds files and merges small manifests, also of a table that was made without."""
    missing = MANIFEST_PROPERTIES.keys() - transaction.table_metadata.properties
    if missing:
        transaction.set_properties({name: MANIFEST_PROPERTIES[name] for name in missing})
    append = transaction.update_snapshot(snapshot_properties=properties).merge_append()
    for file in files:
        append.append_data_file(file)
    append.commit()


class _Exchange(_OverwriteFiles):
    """pyiceberg's overwrite, which would carry each commit's list of removed files along for ever."""

    def _existing_manifests(self) -> list[ManifestFile]:
        kept = super()._existing_manifests()
        return [each for each in kept if each.has_added_files() or each.has_existing_files()]


def stage_exchange(
    transaction: Transaction, old: Iterable[DataFile], new: Iterable[DataFile], properties: dict[str, str]
) -> None:
    """Stage ONE snapshot that takes exactly the old files out and puts the new ones in.

    `Transaction.overwrite` would make two snapshots, and would also drop files that were added meanwhile.
    """
    exchange = _Exchange(
        operation=Operation.OVERWRITE,
        transaction=transaction,
        io=transaction._table.io,
        snapshot_properties=properties,
    )
    exchange.delete_by_predicate(
        AlwaysTrue()
    )  # look into every manifest; only the listed files are taken out
    for file in old:
        exchange.delete_data_file(file)
    for file in new:
        exchange.append_data_file(file)
    exchange.commit()


def commit(transaction: Transaction, reload: Callable[[], Table]) -> Table:
    """Send what is staged, once, and find out what became of it.

    Args:
        transaction: Not yet committed. Of a table as it was loaded, or of one that is to be created.
        reload: Loads the table as it is now.

    Returns:
        The table with the commit in it.

    Raises:
        CommitConflictError: The commit is not in the table. If its answer was lost it may still arrive, but
            only while `main` has not moved; so try again with another commit, which moves it.
        LakeError: The catalog stopped answering, so the outcome is not known; running again finds out.
    """
    table = transaction._table
    made = [producer.snapshot_id for producer in transaction._snapshot_producers]
    try:
        table._do_commit(updates=transaction._updates, requirements=_requirements(transaction))
    except (*_REFUSED, *_NO_ANSWER) as error:
        found = _landed(made, reload)
        if found is not None:
            logger.info(
                "a commit to %s had landed although the answer was: %s", ".".join(table.name()), error
            )
            return found
        if isinstance(error, _REFUSED):  # without an answer it may still be on its way: keep its files
            _discard(transaction)
        raise CommitConflictError(f"{'.'.join(table.name())}: {error}") from error
    return table


def snapshot_id(transaction: Transaction) -> int:
    """Id of the last snapshot that a transaction stages or has committed."""
    return transaction._snapshot_producers[-1].snapshot_id


def _discard(transaction: Transaction) -> None:
    """Delete the files of a commit that was refused; what cannot be deleted is left to maintenance."""
    io = transaction._table.io
    for producer in transaction._snapshot_producers:
        producer._clean_all_uncommitted()
        for file in producer._added_data_files:
            try:
                io.delete(file.file_path)
            except OSError as error:
                logger.info("left %s to maintenance: %s", file.file_path, error)


def _requirements(transaction: Transaction) -> tuple[TableRequirement, ...]:
    if isinstance(transaction, CreateTableTransaction):
        return (AssertCreate(),)
    return (*transaction._requirements, AssertTableUUID(uuid=transaction.table_metadata.table_uuid))


def _landed(made: list[int], reload: Callable[[], Table]) -> Table | None:
    try:
        table = reload()
    except NoSuchTableError:
        return None
    except LakeError as error:
        raise LakeError(f"{error}; whether the last commit landed is found out by running again") from error
    snapshots = (table.metadata.snapshot_by_id(number) for number in made)
    return table if made and all(snapshots) else None
