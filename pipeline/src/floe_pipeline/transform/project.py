"""The dbt project: where it is, and its manifest, parsed once for each content of the project."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from importlib.metadata import version
from pathlib import Path
from typing import Final

from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

import floe_pipeline

_PARTS: Final = ("*.sql", "*.yml", "*.md")  # what a dbt project is made of

_lock = threading.Lock()
_packed: dict[str, bytes] = {}


class TransformError(RuntimeError):
    """The marts could not be built; the message names what failed and why."""


def dbt_project_dir() -> Path:
    """Folder of the dbt project, in a checkout (`pipeline/dbt`) or in the installed package.

    Raises:
        TransformError: When there is none.
    """
    package = Path(floe_pipeline.__file__).parent
    for folder in (package / "dbt", package.parents[1] / "dbt"):
        if (folder / "dbt_project.yml").is_file():
            return folder
    raise TransformError(f"no dbt project in {package / 'dbt'}: install floe-pipeline again")


def load_manifest() -> Manifest:
    """A manifest of its own for each caller: dbt writes into the one it works with.

    Parsing takes a second or two, so its result is kept by the project's content, in this process and in a
    private folder for the next one.

    Raises:
        TransformError: When the project does not parse.
    """
    with _lock:
        key = _fingerprint()
        if key not in _packed:
            _packed[key] = _parsed(key)
        packed = _packed[key]
    manifest = Manifest.from_msgpack(packed)
    manifest.build_flat_graph()  # type: ignore[no-untyped-call]
    return manifest


def manifest_json() -> Path:
    """The manifest as dbt's JSON artifact, for tools that read it (Dagster).

    Raises:
        TransformError: When the project does not parse.
    """
    key = _fingerprint()
    path = _kept(key, "json")
    if not path.is_file():
        _parse(key)
    return path


def _parsed(key: str) -> bytes:
    path = _kept(key, "msgpack")
    if not path.is_file():
        _parse(key)
    return path.read_bytes()


def _parse(key: str) -> None:
    """Keep the manifest in both forms; here, since writing JSON needs the flags that parsing has set."""
    with tempfile.TemporaryDirectory(dir=_private_folder()) as work:
        result = dbtRunner().invoke(
            ["parse", "--no-partial-parse", "--no-write-json", *project_arguments(work)]
        )
        manifest = result.result
        if not isinstance(manifest, Manifest):
            why = " ".join(str(result.exception).split())
            raise TransformError(f"the dbt project in {dbt_project_dir()} does not parse: {why}")
        packed, json = Path(work) / "manifest.msgpack", Path(work) / "manifest.json"
        packed.write_bytes(manifest.to_msgpack())
        manifest.build_parent_and_child_maps()  # type: ignore[no-untyped-call]
        manifest.write(str(json))  # type: ignore[no-untyped-call]
        packed.replace(_kept(key, "msgpack"))  # whole or not at all, also when two processes parse at once
        json.replace(_kept(key, "json"))


def _kept(key: str, form: str) -> Path:
    return _private_folder() / f"manifest-{key}.{form}"


def project_arguments(work: str) -> list[str]:
    """Arguments by which dbt finds the project, which may be read-only, and writes only to `work`."""
    project = str(dbt_project_dir())
    return [
        *("--project-dir", project, "--profiles-dir", project),
        *("--target-path", work, "--log-path", work, "--log-level-file", "none", "--log-level", "none"),
        *("--no-use-colors", "--no-version-check", "--no-send-anonymous-usage-stats"),
    ]


def _fingerprint() -> str:
    """Hash of all that a manifest depends on."""
    project = dbt_project_dir()
    digest = hashlib.sha256()
    for name in ("dbt-core", "dbt-adapters", "dbt-duckdb"):
        digest.update(f"{name} {version(name)} ".encode())
    digest.update(str(project).encode())
    for path in sorted(path for part in _PARTS for path in project.rglob(part)):
        digest.update(str(path.relative_to(project)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:32]


def _private_folder() -> Path:
    """A folder that nobody else can write to: a manifest holds code that dbt runs.

    Raises:
        TransformError: When the folder is somebody else's.
    """
    folder = Path(tempfile.gettempdir()) / f"floe-dbt-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022 or folder.is_symlink():
        raise TransformError(
            f"{folder} can be written to by others: remove it, or set TMPDIR to a private folder"
        )
    return folder
