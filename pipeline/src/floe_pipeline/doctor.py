"""What `floe doctor` looks at: whether this machine can run the demo, and what to do where it cannot."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PYTHONS: Final = ((3, 11), (3, 14))  # from, up to but not including: as in the package's requires-python
PORTS: Final = {8181: "floe catalog serve", 3000: "floe demo-ui"}
DISK_NEEDED: Final = 1 << 30  # bytes; the demo itself writes a few MB, the bench half of this
MEMORY_NEEDED: Final = 2 << 30  # bytes; DuckDB's limit of 1 GB, and dbt and Arrow beside it
PACKAGES: Final = ("duckdb", "pyiceberg", "pyarrow", "dbt-core", "dbt-duckdb", "dagster", "typer")


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what, whether it is well, what was seen, and what to do, if there is anything."""

    what: str
    ok: bool
    seen: str
    remedy: str = ""


def examine(home: Path) -> list[Finding]:
    """Look at everything the demo needs; nothing is changed but the home folder being made.

    Args:
        home: Folder of the embedded lake.

    Returns:
        All findings, also the good ones.
    """
    return [
        _python(),
        _packages(),
        _report(),
        _extensions(),
        _home(home),
        *_ports(),
        _disk(home),
        _memory(),
    ]


def _judged(what: str, ok: bool, seen: str, remedy: str) -> Finding:
    return Finding(what, ok, seen, "" if ok else remedy)


def _python() -> Finding:
    low, high = PYTHONS
    wanted = f"{low[0]}.{low[1]} to {high[0]}.{high[1] - 1}"
    return _judged(
        "python",
        low <= sys.version_info[:2] < high,
        f"{platform.python_version()} at {sys.executable}",
        f"use Python {wanted}",
    )


def _packages() -> Finding:
    found, missing = [], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    seen = f"missing: {', '.join(missing)}" if missing else ", ".join(found)
    return _judged("packages", not missing, seen, "install floe-pipeline again, with its dependencies")


def _report() -> Finding:
    try:
        version = importlib.metadata.version("plotly")
    except importlib.metadata.PackageNotFoundError:
        remedy = (
            "the demo runs without its report; for the report install floe-pipeline with the extra 'report'"
        )
        return Finding("report", ok=False, seen="plotly is not installed", remedy=remedy)
    return Finding("report", ok=True, seen=f"plotly {version}")


def _extensions() -> Finding:
    try:
        import duckdb  # noqa: PLC0415  # a broken installation is a finding, not a crash at import

        from floe_pipeline.lake.engine import EXTENSIONS, connection_config  # noqa: PLC0415
        from floe_pipeline.settings import load_settings  # noqa: PLC0415

        with duckdb.connect(config=connection_config(load_settings())) as connection:
            for name in EXTENSIONS:
                connection.execute(f"LOAD {name}")
    except Exception as error:  # whatever keeps them from loading is what the reader must see
        first = str(error).strip().partition("\n")[0]
        remedy = "install duckdb and the duckdb-extension-* packages in the same version"
        return Finding("duckdb", ok=False, seen=f"extensions do not load: {first}", remedy=remedy)
    return Finding("duckdb", ok=True, seen=f"{duckdb.__version__} loads {', '.join(EXTENSIONS)}")


def _home(home: Path) -> Finding:
    folder = home.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
        seen = str(folder) if writable else f"{folder} cannot be written to"
    except OSError as error:
        writable, seen = False, f"{folder}: {error.strerror}"
    return _judged("home", writable, seen, "give another folder with --home")


def _ports() -> Iterator[Finding]:
    for port, user in PORTS.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                remedy = f"stop what listens there, or choose another with `{user} --port`"
                yield Finding(f"port {port}", ok=False, seen=f"{error.strerror}", remedy=remedy)
            else:
                yield Finding(f"port {port}", ok=True, seen=f"free for `{user}`")


def _disk(home: Path) -> Finding:
    folder = home.expanduser().absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    return _judged(
        "disk", free >= DISK_NEEDED, f"{free / 2**30:.1f} GiB free at {existing}", "free at least 1 GiB there"
    )


def _memory() -> Finding:
    try:
        available = _available_memory()
    except (OSError, ValueError) as error:  # another system's way to count it: not a reason to stop anybody
        return Finding("memory", ok=True, seen=f"not known on this system ({type(error).__name__})")
    return _judged(
        "memory",
        available >= MEMORY_NEEDED,
        f"{available / 2**30:.1f} GiB available",
        "close other programs, or lower FLOE_DUCKDB_MEMORY_LIMIT",
    )


def _available_memory() -> int:
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        fields = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
