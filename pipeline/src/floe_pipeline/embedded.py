"""The embedded platform: a catalog server in this process over a home folder, used like any other."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from floe_catalog.config import CatalogConfig
from floe_catalog.serve import start
from floe_pipeline.lake.bootstrap import bootstrap
from floe_pipeline.settings import Settings, load_settings

CREDENTIALS: Final = "credentials.json"
CATALOG_DATABASE: Final = "catalog.db"
WAREHOUSE: Final = "warehouse"
TRACES: Final = "traces.jsonl"
LINEAGE: Final = "lineage.jsonl"
DAGSTER_HOME: Final = "dagster"
LOCK: Final = ".lock"
# All that a home may hold: only these are removed when it is made fresh, whatever else lies beside them.
CONTENTS: Final = (CATALOG_DATABASE, f"{CATALOG_DATABASE}-wal", f"{CATALOG_DATABASE}-shm", WAREHOUSE, TRACES,
                   LINEAGE, DAGSTER_HOME, CREDENTIALS)  # fmt: skip
PRINCIPALS: Final = ("root", "pipeline", "cube")


class EmbeddedError(RuntimeError):
    """The home folder cannot be used; the message says why and what to do."""


@contextmanager
def embedded_platform(
    home: Path, *, port: int = 0, fresh: bool = False, overrides: Mapping[str, object] | None = None
) -> Iterator[Settings]:
    """Run the embedded platform for as long as the context lasts.

    The catalog listens on 127.0.0.1 and keeps its state in SQLite and local files below `home`; the pipeline
    reaches it over HTTP with OAuth2, as it reaches any other. Several processes may use one home at once.

    Args:
        home: Folder of the lake's whole state; made when absent.
        port: Port of the catalog; 0 picks a free one.
        fresh: Remove the state of earlier runs first.
        overrides: Settings by field name that win over `FLOE_*`.

    Yields:
        Settings of this platform; what it does not decide (seed, sizes, limits) is read from `FLOE_*`.

    Raises:
        EmbeddedError: The folder cannot be written to, was moved, or is in use and was to be made fresh.
        SettingsError: A `FLOE_*` variable has a value that cannot be used.
    """
    home = home.expanduser().absolute()
    with _claimed(home, fresh=fresh):
        known = _credentials(home)
        config = CatalogConfig(
            database_url=f"sqlite:///{home / CATALOG_DATABASE}",
            root_client_id=known["root"]["client_id"],
            root_client_secret=known["root"]["client_secret"],
            port=port,
        )
        with start(config) as catalog:
            settings = load_settings(
                **(overrides or {}),
                target="embedded",
                catalog_uri=catalog.uri,
                catalog_management_uri=catalog.management_uri,
                catalog_client_id=known["pipeline"]["client_id"],
                catalog_client_secret=known["pipeline"]["client_secret"],
                root_client_id=known["root"]["client_id"],
                root_client_secret=known["root"]["client_secret"],
                cube_client_id=known["cube"]["client_id"],
                cube_client_secret=known["cube"]["client_secret"],
                warehouse_location=(home / WAREHOUSE).as_uri(),
                traces="file",
                traces_file=home / TRACES,
                lineage="file",
                lineage_file=home / LINEAGE,
            )
            bootstrap(settings)
            yield settings


def settings_env(settings: Settings) -> dict[str, str]:
    """The environment in which a child process has the same settings: this process' own plus `FLOE_*`."""
    return {**os.environ, **settings.environment()}


@contextmanager
def _claimed(home: Path, *, fresh: bool) -> Iterator[None]:
    """Hold the home while it is used, so that nobody makes it fresh under a running command."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(home / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EmbeddedError(
            f"--home {home} cannot be used: {error.strerror}; give a folder that can be written to"
        ) from error
    try:
        if fresh:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise EmbeddedError(
                    f"--home {home} is in use by another floe command: stop it before --fresh"
                ) from error
            _remove_state(home)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def _remove_state(home: Path) -> None:
    if not (home / CREDENTIALS).exists():
        return  # not a home of ours: what lies there has other owners
    for name in CONTENTS:
        path = home / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _credentials(home: Path) -> dict[str, dict[str, str]]:
    """The principals' credentials, made once at random; two first commands at once end up with the same."""
    path = home / CREDENTIALS
    if not path.exists():
        made: dict[str, dict[str, str]] = {
            name: {"client_id": f"{name}-{secrets.token_hex(4)}", "client_secret": secrets.token_hex(24)}
            for name in PRINCIPALS
        }
        made["home"] = {"path": str(home)}
        descriptor, temporary = tempfile.mkstemp(dir=home, prefix=".credentials.")  # made with mode 0600
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(made, stream, indent=2)
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass  # another process was faster: its credentials are read below
        finally:
            Path(temporary).unlink()
    try:
        known: dict[str, dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
        was = known["home"]["path"]
    except (ValueError, KeyError, TypeError) as error:
        raise EmbeddedError(f"{path} is damaged: start over with --fresh") from error
    if was != str(home):
        raise EmbeddedError(
            f"--home {home} was made at {was}, and tables name their files by full path: move it back,"
            " or start over with --fresh"
        )
    return known
