"""DuckDB with the lake attached: extensions from installed packages, OAuth2 to the catalog, no S3 keys."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

import duckdb
from duckdb_extensions import import_extension

from floe_pipeline.settings import Settings

ALIAS: Final = "lake"
EXTENSIONS: Final = ("httpfs", "avro", "iceberg")  # in the order in which they need each other
_NO_DOWNLOADS: Final = {"autoinstall_known_extensions": "false"}


def extension_directory(settings: Settings) -> Path:
    """Folder where DuckDB finds its extensions; filled from the `duckdb-extension-*` packages when it is not.

    Nothing is downloaded. Two processes may do this at once: each installs into a folder of its own, and one
    rename decides.

    Returns:
        An absolute folder, to be given to DuckDB as `extension_directory`.

    Raises:
        OSError: When the folder cannot be written to.
    """
    root = settings.duckdb_extension_directory.expanduser().absolute()
    ready = root / f"duckdb-{duckdb.__version__}"
    if ready.is_dir():
        return ready
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="installing-", dir=root) as work:
        made = Path(work) / "extensions"
        with duckdb.connect(config={**_NO_DOWNLOADS, "extension_directory": str(made)}) as connection:
            for name in EXTENSIONS:
                import_extension(name, con=connection)
        try:
            made.rename(ready)
        except OSError:
            if not ready.is_dir():  # another process was faster: what was wanted
                raise
    return ready


def connection_config(settings: Settings) -> dict[str, str | bool | int | float | list[str]]:
    """DuckDB's configuration: limits, and extensions from disk only."""
    return {
        **_NO_DOWNLOADS,
        "extension_directory": str(extension_directory(settings)),
        "memory_limit": settings.duckdb_memory_limit,
        "threads": settings.duckdb_threads,
        "temp_directory": str(Path(tempfile.gettempdir()) / f"floe-duckdb-{os.getuid()}"),
    }


def attach(connection: duckdb.DuckDBPyConnection, settings: Settings, *, read_only: bool = True) -> None:
    """Attach the catalog as `lake` to a connection that was opened with `connection_config`.

    Every statement asks the catalog for the table as it is now, so a commit shows at once. Times are UTC.

    Args:
        connection: Gets the extensions, the OAuth2 secret and the attached catalog.
        settings: Where the catalog is, and the credentials.
        read_only: Whether the attached lake refuses writes.

    Raises:
        SettingsError: When the client id or secret is not set.
        duckdb.Error: When the catalog does not answer or refuses the credentials.
    """
    settings.require("catalog_client_id", "catalog_client_secret")
    for name in EXTENSIONS:
        connection.execute(f"LOAD {name}")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(_secret(settings))
    mode = ", READ_ONLY" if read_only else ""
    connection.execute(
        f"ATTACH IF NOT EXISTS {_quoted(settings.catalog_name)} AS {ALIAS}"
        f" (TYPE iceberg, ENDPOINT {_quoted(settings.catalog_uri)}, SECRET floe_catalog{mode})"
    )


def connect(settings: Settings, *, read_only: bool = True) -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB with the catalog attached as `lake`; see `attach`."""
    connection = duckdb.connect(config=connection_config(settings))
    try:
        attach(connection, settings, read_only=read_only)
    except BaseException:
        connection.close()
        raise
    return connection


def _secret(settings: Settings) -> str:
    return (
        "CREATE OR REPLACE SECRET floe_catalog (TYPE iceberg,"
        f" CLIENT_ID {_quoted(settings.catalog_client_id)},"
        f" CLIENT_SECRET {_quoted(settings.catalog_client_secret.get_secret_value())},"
        f" OAUTH2_SCOPE {_quoted(settings.catalog_scope)},"
        f" OAUTH2_SERVER_URI {_quoted(settings.catalog_uri + '/v1/oauth/tokens')})"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
