"""Copies a chart with its dependencies, and gives the copy a version that changes with its content."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

DIGEST = ".floe-digest"
_VERSION = re.compile(r"^version:\s*['\"]?([^'\"\s#]+)['\"]?.*$", re.MULTILINE)


class ChartError(Exception):
    """What is wrong with a chart or its dependencies, and what would be right."""


def build_chart(
    source: str | Path,
    destination: str | Path,
    dependencies: Mapping[str, str],
    run_helm: Callable[..., None],
) -> tuple[bool, str]:
    """Makes the copy, or finds that it is up to date.

    Args:
        source: Folder of the chart.
        destination: Folder of the copy.
        dependencies: Name of a dependency -> folder of its chart; all of them or none.
        run_helm: Runs helm with arguments, and with a folder `home` for its repositories and downloads.

    Returns:
        Whether the copy was made anew, and its version.

    Raises:
        ChartError: naming what is missing or too much.
    """
    source, destination = Path(source), Path(destination)
    chart = _read_chart(source)
    wanted = {str(item["name"]): item for item in chart.get("dependencies", [])}
    folders = {name: Path(folder) for name, folder in dependencies.items()}
    _check(source, wanted, folders)

    digest = _digest(source, folders)
    version = _with_digest(str(chart["version"]), digest)
    stamp = destination / DIGEST
    if stamp.exists() and stamp.read_text() == digest:
        return False, version

    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent) as folder:
        copy = Path(folder) / source.name
        for file in _files(source):
            if file.parts[0] != "charts":
                _copy(source / file, copy / file)
        for name, root in folders.items():
            for file in _files(root):
                _copy(root / file, copy / "charts" / name / file)
        if wanted and not folders:
            _download(copy, wanted, run_helm, home=destination.parent / ".helm")
        file = copy / "Chart.yaml"
        file.write_text(_VERSION.sub(f"version: {version}", file.read_text(), count=1))
        (copy / DIGEST).write_text(digest)
        shutil.rmtree(destination, ignore_errors=True)
        copy.rename(destination)
    return True, version


def _read_chart(folder: Path) -> dict[str, Any]:
    try:
        chart = yaml.safe_load((folder / "Chart.yaml").read_text())
    except FileNotFoundError as error:
        raise ChartError(f"{folder} is no chart: it has no Chart.yaml") from error
    if not isinstance(chart, dict) or not {"name", "version"} <= chart.keys():
        raise ChartError(f"{folder}/Chart.yaml must have name and version")
    return chart


def _check(source: Path, wanted: Mapping[str, Any], folders: Mapping[str, Path]) -> None:
    if not folders:
        return
    problems = [
        f"dependency {name} of {source.name} has no folder" for name in wanted.keys() - folders.keys()
    ]
    problems += [f"{source.name} has no dependency {name}; it has {', '.join(wanted) or 'none'}"
                 for name in folders.keys() - wanted.keys()]  # fmt: skip
    for name in folders.keys() & wanted.keys():
        try:
            found = _read_chart(folders[name])
        except ChartError as error:
            problems.append(f"dependency {name}: {error}")
            continue
        # Helm would leave a dependency of another version out without a word
        if str(found["version"]) != str(wanted[name]["version"]):
            problems.append(f"dependency {name}: {folders[name]} has version {found['version']}, "
                            f"{source.name} wants {wanted[name]['version']}")  # fmt: skip
    if problems:
        raise ChartError("; ".join(sorted(problems)))


def _download(copy: Path, wanted: Mapping[str, Any], run_helm: Callable[..., None], home: Path) -> None:
    for name, item in wanted.items():
        address = str(item.get("repository", ""))
        if address.startswith("http"):
            run_helm("repo", "add", "--force-update", name, address, home=home)
    run_helm("dependency", "build", str(copy), home=home)


def _files(root: Path) -> list[Path]:
    """Returns a chart's files, in order and relative to it, without what checkers and editors leave."""

    def is_left(part: str) -> bool:
        return part == "__pycache__" or (part.startswith(".") and part != ".helmignore")

    inside = (file.relative_to(root) for file in root.rglob("*") if file.is_file())
    return sorted(file for file in inside if not any(map(is_left, file.parts)))


def _copy(source: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, destination)


def _digest(source: Path, folders: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for label, root in [("", source), *sorted(folders.items())]:
        for file in _files(root):
            if label or file.parts[0] != "charts":
                digest.update(f"{label}/{file.as_posix()}\0".encode())
                digest.update(hashlib.sha256((root / file).read_bytes()).digest())
    return digest.hexdigest()


def _with_digest(version: str, digest: str) -> str:
    return f"{version}{'.' if '+' in version else '+'}{digest[:12]}"
