"""Table metadata files on local disk or S3, and the rules where tables may live."""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pyiceberg.catalog import MANIFEST, MANIFEST_LIST, METADATA, delete_data_files, delete_files
from pyiceberg.exceptions import ValidationError
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import ManifestFile
from pyiceberg.table import TableProperties
from pyiceberg.table.metadata import SUPPORTED_TABLE_FORMAT_VERSION, TableMetadata, TableMetadataUtil

from floe_catalog.config import S3Config
from floe_catalog.errors import BadRequestError, ForbiddenError, NotFoundError, ServiceUnavailableError
from floe_catalog.store import CatalogRow

logger = logging.getLogger(__name__)

_FILE = "file://"
_CACHED_METADATA = 64  # a table's metadata with 600 snapshots takes some 2 MB parsed


@dataclass(frozen=True)
class StoredMetadata:
    """One metadata file: immutable, so it can be kept parsed for as long as there is room."""

    location: str
    table: TableMetadata
    json: bytes


class Storage:
    """Reads and writes metadata files with the server's own keys.

    Only the catalog's storage configuration decides how files are reached; table properties such as
    `py-io-impl` come from clients and are never followed.
    """

    def __init__(self, s3: S3Config | None) -> None:
        self._s3 = s3
        self._ios: dict[str, FileIO] = {}
        self._cache: OrderedDict[str, StoredMetadata] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, catalog: CatalogRow, location: str) -> StoredMetadata:
        """The metadata file at a location.

        Raises:
            NotFoundError: There is no such file.
            BadRequestError: It is not table metadata.
            ServiceUnavailableError: The storage does not answer.
        """
        with self._lock:
            if (cached := self._cache.get(location)) is not None:
                self._cache.move_to_end(location)
                return cached
        try:
            with self._io(catalog).new_input(location).open() as stream:
                raw = stream.read()
        except FileNotFoundError as error:
            raise NotFoundError(f"Location does not exist: {location}") from error
        except OSError as error:
            raise _unavailable("read", location, error) from error
        if location.endswith(".gz.metadata.json"):
            raw = gzip.decompress(raw)
        try:
            table = TableMetadataUtil.parse_raw(raw.decode())
        except (ValidationError, UnicodeDecodeError) as error:
            raise BadRequestError(f"{location} is not table metadata: {error}") from error
        return self._remember(StoredMetadata(location, table, raw))

    def write(self, catalog: CatalogRow, table: TableMetadata, version: int) -> StoredMetadata:
        """Write metadata to a new file of its own name.

        Raises:
            BadRequestError: The format version is not supported.
            ServiceUnavailableError: The storage does not answer.
        """
        check_format(table)
        location = f"{metadata_directory(table)}/{version:05d}-{uuid.uuid4()}.metadata.json"
        raw = table.model_dump_json().encode()
        try:
            # The name is unique: overwrite=True only saves the request that would ask whether it is.
            with self._io(catalog).new_output(location).create(overwrite=True) as stream:
                stream.write(raw)
        except OSError as error:
            raise _unavailable("write", location, error) from error
        return self._remember(StoredMetadata(location, table, raw))

    def delete(self, catalog: CatalogRow, locations: Iterable[str]) -> None:
        """Delete metadata files; what cannot be deleted is logged and left for the orphan cleaner."""
        delete_files(self._io(catalog), set(locations), METADATA)

    def purge(self, catalog: CatalogRow, stored: StoredMetadata) -> None:
        """Delete every file a dropped table refers to; what cannot be read or deleted is logged and left."""
        io = self._io(catalog)
        manifests: dict[str, ManifestFile] = {}
        for snapshot in stored.table.snapshots:
            with _logged(snapshot.manifest_list):
                manifests |= {manifest.manifest_path: manifest for manifest in snapshot.manifests(io)}
        for path, manifest in manifests.items():
            with _logged(path):
                delete_data_files(io, [manifest])
        delete_files(io, set(manifests), MANIFEST)
        delete_files(io, {snapshot.manifest_list for snapshot in stored.table.snapshots}, MANIFEST_LIST)
        previous = {entry.metadata_file for entry in stored.table.metadata_log}
        delete_files(io, previous | {stored.location}, METADATA)

    def _remember(self, stored: StoredMetadata) -> StoredMetadata:
        with self._lock:
            self._cache[stored.location] = stored
            while len(self._cache) > _CACHED_METADATA:
                self._cache.popitem(last=False)
        return stored

    def _io(self, catalog: CatalogRow) -> FileIO:
        key = json.dumps(catalog.storage, sort_keys=True)
        with self._lock:
            if key not in self._ios:
                self._ios[key] = PyArrowFileIO(self._io_properties(catalog))
            return self._ios[key]

    def _io_properties(self, catalog: CatalogRow) -> dict[str, str]:
        if catalog.storage["storageType"] == "FILE":
            return {}
        if self._s3 is None:
            message = f"Catalog {catalog.name} is stored on S3, but this server was started without S3 keys"
            raise BadRequestError(message)
        properties = {
            "s3.access-key-id": self._s3.access_key,
            "s3.secret-access-key": self._s3.secret_key,
            "s3.connect-timeout": "5",
            "s3.request-timeout": "20",
            **client_s3_properties(catalog, self._s3),
        }
        if internal := catalog.storage.get("endpointInternal"):
            properties["s3.endpoint"] = str(internal)
        return properties


def client_s3_properties(catalog: CatalogRow, s3: S3Config) -> dict[str, str]:
    """How a client reaches this catalog's S3: endpoint, region, addressing; no keys."""
    storage = catalog.storage
    region = str(storage.get("region") or s3.region)
    properties = {"client.region": region, "s3.region": region}
    if endpoint := storage.get("endpoint"):
        properties["s3.endpoint"] = str(endpoint)
    if storage.get("pathStyleAccess"):
        properties["s3.path-style-access"] = "true"
    return properties


def check_format(table: TableMetadata) -> None:
    """Raise BadRequestError for a format version that pyiceberg cannot write."""
    if table.format_version > SUPPORTED_TABLE_FORMAT_VERSION:
        raise BadRequestError(f"format-version {table.format_version} is not supported; use 1 or 2")


def metadata_directory(table: TableMetadata) -> str:
    """Where a table's metadata files go."""
    custom = table.properties.get(TableProperties.WRITE_METADATA_PATH)
    return custom.rstrip("/") if custom else f"{table.location.rstrip('/')}/metadata"


def table_locations(table: TableMetadata) -> tuple[str, ...]:
    """Every location a table writes to: its own, and those that properties move elsewhere."""
    keys = (TableProperties.WRITE_DATA_PATH, TableProperties.WRITE_METADATA_PATH)
    return (table.location, *(table.properties[key] for key in keys if key in table.properties))


def create_directories(table: TableMetadata) -> None:
    """Make a local table's directories: DuckDB writes files but creates no directory."""
    if table.location.startswith(_FILE):
        data = table.properties.get(TableProperties.WRITE_DATA_PATH) or f"{table.location}/data"
        for directory in (data, metadata_directory(table)):
            Path(directory.removeprefix(_FILE)).mkdir(parents=True, exist_ok=True)


def normalize(location: str) -> str:
    """A location without trailing slash; a bare absolute path becomes a file URL."""
    trimmed = location.rstrip("/")
    return f"{_FILE}{trimmed}" if trimmed.startswith("/") else trimmed


def is_inside(location: str, base: str) -> bool:
    """Whether a location is a base location or below it."""
    location, base = normalize(location), normalize(base)
    return location == base or location.startswith(base + "/")


def check_allowed(catalog: CatalogRow, identifier: str, locations: Iterable[str]) -> None:
    """Raise ForbiddenError unless every location is inside one that the catalog allows."""
    allowed = catalog.storage["allowedLocations"]
    assert isinstance(allowed, list)
    for location in locations:
        inside = any(is_inside(location, base) for base in allowed)
        if not inside or ".." in location.split("/"):
            message = (
                f"Invalid location '{location}' for identifier '{identifier}': "
                f"not inside the allowed locations {allowed}"
            )
            raise ForbiddenError(message)


def check_overlap(location: str, siblings: Iterable[str]) -> None:
    """Raise ForbiddenError when a location contains, or lies inside, a sibling's location."""
    for sibling in siblings:
        if is_inside(location, sibling) or is_inside(sibling, location):
            message = (
                f"Unable to create entity at location '{location}' because it conflicts with "
                f"existing table or namespace at location '{sibling}'"
            )
            raise ForbiddenError(message)


@contextlib.contextmanager
def _logged(location: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        logger.warning("purge leaves what %s refers to: %s", location, error)


def _unavailable(action: str, location: str, error: OSError) -> ServiceUnavailableError:
    reason = str(error).partition("\n")[0]
    return ServiceUnavailableError(f"Storage failed to {action} {location}: {reason}")
