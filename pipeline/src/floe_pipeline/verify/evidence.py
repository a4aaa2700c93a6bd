"""One check's result, and the evidence file that `floe verify`, `demo` and `bench` leave behind."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

EVIDENCE_PACKAGES = ("floe-pipeline", "duckdb", "pyiceberg", "pyarrow", "dbt-core", "dbt-duckdb", "dagster")


@dataclass(frozen=True)
class Check:
    """One promise, looked at.

    Attributes:
        id: Id in the specification where one exists (`B1`, `US2.1`), else a short slug of the same shape.
        title: The promise as a sentence a user would understand.
        passed: Whether it holds.
        seconds: How long looking took.
        evidence: What was seen: numbers, differences by table. JSON values, dates and decimals.
    """

    id: str
    title: str
    passed: bool
    seconds: float = 0.0
    evidence: dict[str, object] = field(default_factory=dict)


def write_evidence(name: str, target: str, checks: Sequence[Check], path: Path) -> dict[str, object]:
    """Write the checks as one JSON document, whole or not at all.

    Args:
        name: Which command saw this (`demo`, `verify`, `bench`).
        target: Where it looked (`embedded`, `local`, `testbed`).
        checks: In the order they are to be read.
        path: File to (over)write; its folder is made.

    Returns:
        The document that was written.

    Raises:
        OSError: The file cannot be written.
        TypeError: A check's evidence holds something JSON has no form for.
    """
    passed = sum(check.passed for check in checks)
    document: dict[str, object] = {
        "name": name,
        "target": target,
        "versions": _versions(),
        "checks": [asdict(check) for check in checks],
        "passed": passed,
        "failed": len(checks) - passed,
    }
    text = json.dumps(document, indent=2, default=_jsonable) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written beside and renamed: a reader (or an interrupted run) never leaves half a document.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return document


def read_evidence(path: Path) -> tuple[str, list[Check]]:
    """What `write_evidence` wrote: where was looked, and the checks.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds something else.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    try:
        return document["target"], [Check(**check) for check in document["checks"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is no evidence of this version: {error}") from error


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in EVIDENCE_PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def _jsonable(value: object) -> object:
    """What `json` cannot write itself: money stays exact as text, times are ISO 8601."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):  # a numpy scalar that slipped into a measurement
        return value.item()
    raise TypeError(f"evidence holds a {type(value).__name__}, which has no JSON form: {value!r}")
