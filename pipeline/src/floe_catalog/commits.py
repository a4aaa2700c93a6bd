"""Commits: requirements checked, metadata written, pointers swapped in one database transaction."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError as PydanticValidationError
from pyiceberg.exceptions import CommitFailedException, ValidationError
from pyiceberg.schema import Schema
from pyiceberg.table import CommitTableRequest, TableProperties
from pyiceberg.table.metadata import TableMetadata, TableMetadataV1
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    AssertCreate,
    RemovePropertiesUpdate,
    SetPropertiesUpdate,
    TableUpdate,
    update_table_metadata,
)
from pyiceberg.utils.properties import property_as_bool
from sqlalchemy.exc import DBAPIError

from floe_catalog.database import Database
from floe_catalog.errors import (
    AlreadyExistsError,
    BadRequestError,
    CommitFailedError,
    CommitStateUnknownError,
    NotFoundError,
    ServiceUnavailableError,
)
from floe_catalog.storage import (
    Storage,
    StoredMetadata,
    check_allowed,
    check_overlap,
    create_directories,
    table_locations,
)
from floe_catalog.store import (
    CatalogRow,
    NamespaceRow,
    TableRow,
    display,
    get_table,
    insert_table,
    sibling_locations,
    swap_metadata,
)

_ATTEMPTS = 5


@dataclass(frozen=True)
class Change:
    """What one request asks of one table, as Iceberg's CommitTableRequest."""

    namespace: NamespaceRow
    name: str
    request: CommitTableRequest

    @property
    def creates(self) -> bool:
        """Whether this commits a staged create."""
        return any(isinstance(requirement, AssertCreate) for requirement in self.request.requirements)


class _Outrun(Exception):  # noqa: N818 (not an error: the caller starts over)
    """Another commit swapped the pointer between our read and our write."""


@dataclass(frozen=True)
class _Update:
    namespace: NamespaceRow
    row: TableRow
    base: StoredMetadata
    metadata: TableMetadata


class Committer:
    """Creates and changes tables. Holds no lock: the compare-and-swap in the database decides."""

    def __init__(self, database: Database, storage: Storage) -> None:
        self._database = database
        self._storage = storage

    def load(self, catalog: CatalogRow, namespace: NamespaceRow, row: TableRow) -> StoredMetadata:
        """The current metadata of a table.

        Raises:
            NotFoundError: The metadata file is gone.
        """
        while True:
            try:
                return self._storage.load(catalog, row.metadata_location)
            except NotFoundError:
                # A commit since the row was read may have deleted the file as too old.
                with self._database.read() as db:
                    current = get_table(db, namespace, row.name)
                if current == row:
                    raise
                row = current

    def create(
        self, catalog: CatalogRow, namespace: NamespaceRow, name: str, metadata: TableMetadata
    ) -> StoredMetadata:
        """Make a table from its first metadata, whose location has been checked.

        Raises:
            AlreadyExistsError: The name is taken.
        """
        create_directories(metadata)
        stored = self._storage.write(catalog, metadata, version=0)
        with self._undo_files(catalog, [stored]), self._transaction() as db:
            insert_table(db, namespace, name, location=metadata.location, metadata_location=stored.location)
        return stored

    def commit_create(self, catalog: CatalogRow, change: Change) -> StoredMetadata:
        """Commit a staged create.

        Raises:
            CommitFailedError: The table exists by now.
            ForbiddenError: The location is not allowed, or another table's.
        """
        empty: TableMetadata = TableMetadataV1.model_construct(last_column_id=-1, schema=Schema())
        with _refusals(change):
            metadata = update_table_metadata(empty, change.request.updates, enforce_validation=True)
        self.check_location(catalog, change.namespace, change.name, metadata)
        try:
            return self.create(catalog, change.namespace, change.name, metadata)
        except AlreadyExistsError as error:
            raise CommitFailedError(f"Requirement failed: table already exists: {_name(change)}") from error

    def commit(self, catalog: CatalogRow, changes: Sequence[Change]) -> list[StoredMetadata]:
        """Apply changes to one or more tables: all of them or none.

        A commit that lost the race but whose requirements still hold is applied to the newer metadata.

        Returns:
            The new metadata of each table, in the order in which tables are first named.

        Raises:
            CommitFailedError: A requirement does not hold (any more).
            CommitStateUnknownError: The database failed at the very end.
        """
        grouped: dict[tuple[int, str], list[Change]] = {}
        for change in changes:
            grouped.setdefault((change.namespace.id, change.name), []).append(change)
        for _ in range(_ATTEMPTS):
            updates = [self._stage(catalog, group) for group in grouped.values()]
            with contextlib.suppress(_Outrun):
                return self._swap(catalog, updates)
        names = ", ".join(sorted(_name(change) for change in changes))
        raise CommitFailedError(f"Cannot commit to {names}: metadata changed {_ATTEMPTS} times meanwhile")

    def check_location(
        self, catalog: CatalogRow, namespace: NamespaceRow, name: str, metadata: TableMetadata
    ) -> None:
        """Raise ForbiddenError when a table may not live where it says."""
        check_allowed(catalog, display(namespace.levels, name), table_locations(metadata))
        with self._database.read() as db:
            siblings = sibling_locations(db, catalog, namespace, besides=name)
        check_overlap(metadata.location, siblings)

    def _stage(self, catalog: CatalogRow, changes: Sequence[Change]) -> _Update:
        namespace, name = changes[0].namespace, changes[0].name
        with self._database.read() as db:
            row = get_table(db, namespace, name)
        base = self.load(catalog, namespace, row)
        metadata = base.table
        for change in changes:
            logged = metadata.metadata_log != base.table.metadata_log
            metadata = _apply(change, metadata, None if logged else base.location)
        if table_locations(metadata) != table_locations(base.table):
            self.check_location(catalog, namespace, name, metadata)
        return _Update(namespace, row, base, metadata)

    def _swap(self, catalog: CatalogRow, updates: Sequence[_Update]) -> list[StoredMetadata]:
        written: list[StoredMetadata] = []
        outcome: list[tuple[_Update, StoredMetadata]] = []
        with self._undo_files(catalog, written):
            for update in updates:
                if update.metadata.metadata_log == update.base.table.metadata_log:
                    outcome.append((update, update.base))  # nothing changed: no new file, as in Iceberg
                    continue
                stored = self._storage.write(catalog, update.metadata, _version(update.base.location) + 1)
                written.append(stored)
                outcome.append((update, stored))
            with self._transaction() as db:
                # In one order everywhere, so that two transactions on PostgreSQL cannot deadlock.
                for update, stored in sorted(outcome, key=lambda pair: pair[0].row.id):
                    if not swap_metadata(
                        db, update.row, location=stored.table.location, metadata_location=stored.location
                    ):
                        raise _Outrun
        for update, stored in outcome:
            self._delete_old_metadata(catalog, update.base.table, stored.table)
        return [stored for _, stored in outcome]

    def _delete_old_metadata(self, catalog: CatalogRow, old: TableMetadata, new: TableMetadata) -> None:
        key = TableProperties.METADATA_DELETE_AFTER_COMMIT_ENABLED
        if property_as_bool(new.properties, key, default=False):
            kept = {entry.metadata_file for entry in new.metadata_log}
            self._storage.delete(catalog, {entry.metadata_file for entry in old.metadata_log} - kept)

    @contextlib.contextmanager
    def _undo_files(self, catalog: CatalogRow, written: Sequence[StoredMetadata]) -> Iterator[None]:
        """Delete the written files when the commit certainly did not happen."""
        try:
            yield
        except CommitStateUnknownError:
            raise  # the files may be current by now
        except BaseException:
            self._storage.delete(catalog, [stored.location for stored in written])
            raise

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        """A write that tells a database failure which surely rolled back from an open outcome."""
        complete = False
        try:
            with self._database.write() as db:
                yield db
                complete = True
        except DBAPIError as error:
            if complete:
                raise CommitStateUnknownError(f"Database failed while committing: {error.orig}") from error
            raise ServiceUnavailableError(f"Database failed, nothing was committed: {error.orig}") from error


def parse_request(body: Mapping[str, Any], levels: Sequence[str], name: str) -> CommitTableRequest:
    """The body of a commit; the identifier may be left out where the path says it.

    Raises:
        BadRequestError: It is not a commit request.
    """
    identifier = {"namespace": list(levels), "name": name}
    try:
        return CommitTableRequest.model_validate({**body, "identifier": identifier})
    except PydanticValidationError as error:
        raise BadRequestError(f"Malformed commit: {error}") from error


def _apply(change: Change, base: TableMetadata, base_location: str | None) -> TableMetadata:
    with _refusals(change):
        for requirement in change.request.requirements:
            requirement.validate(base)
        updates = tuple(_as_reference(change.request.updates, base))
        return update_table_metadata(base, updates, metadata_location=base_location)


def _as_reference(updates: Sequence[TableUpdate], base: TableMetadata) -> Iterator[TableUpdate]:
    """The updates in the form in which pyiceberg's machinery treats them as Iceberg's reference does."""
    properties = set(base.properties)
    for update in updates:
        if isinstance(update, SetPropertiesUpdate):
            properties |= update.updates.keys()
        if isinstance(update, RemovePropertiesUpdate):
            # Removing what is not there is no error.
            yield RemovePropertiesUpdate(removals=[key for key in update.removals if key in properties])
            continue
        if isinstance(update, AddSnapshotUpdate) and update.snapshot.parent_snapshot_id is not None:
            # Another branch moved on meanwhile: worth a retry (409), not a client's mistake (400).
            sequence = update.snapshot.sequence_number
            last = getattr(base, "last_sequence_number", None)  # format version 1 has none
            if last is not None and sequence is not None and sequence <= last:
                message = f"snapshot's sequence number {sequence} is not above {last}"
                raise CommitFailedException(message)
        yield update


@contextlib.contextmanager
def _refusals(change: Change) -> Iterator[None]:
    try:
        yield
    except CommitFailedException as error:
        raise CommitFailedError(f"Cannot commit to {_name(change)}: {error}") from error
    except (ValueError, LookupError, StopIteration, ValidationError) as error:
        # pyiceberg looks up what an update refers to; what it does not find is the request's fault.
        reason = str(error) or "the updates do not make complete table metadata"
        raise BadRequestError(f"Cannot commit to {_name(change)}: {reason}") from error


def _name(change: Change) -> str:
    return display(change.namespace.levels, change.name)


def _version(metadata_location: str) -> int:
    digits = metadata_location.rsplit("/", 1)[-1].partition("-")[0]
    return int(digits) if digits.isdecimal() else -1
