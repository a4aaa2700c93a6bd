"""The table of images: what there is, what each needs, and the fingerprint that says which must be built."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import platform
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

_REGISTRY = "localhost/floe"
_RECIPE_FORMAT = 1  # raise it when the builder itself changes what comes out of an unchanged recipe
_NEVER = (
    "__pycache__",
    "*.pyc",
    ".venv",
    "node_modules",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    "*.egg-info",
)
BUILDING_BLOCK = "building block"


class CatalogueError(Exception):
    """What is wrong with the table or a recipe, in one line."""


@dataclass(frozen=True)
class Image:
    """One row of the table.

    Attributes:
        name: its folder and the last part of its reference.
        version: its tag.
        seconds: a cold build on two idle cores.
        needs: name of the image it starts from, or empty.
        context: folder, relative to the repository, that is built; empty means the image's own folder.
        inputs: files and folders, relative to the repository, that join the build context.
        part: BUILDING_BLOCK for what only other images start from, otherwise empty.
    """

    name: str
    version: str
    seconds: int
    needs: str = ""
    context: str = ""
    inputs: tuple[str, ...] = ()
    part: str = ""

    @property
    def ref(self) -> str:
        """Reference under which the cluster finds it."""
        return f"{_REGISTRY}/{self.name}:{self.version}"

    def content_ref(self, fingerprint: str) -> str:
        """Reference that changes with the content, so that a Deployment which names it rolls out a change."""
        return f"{_REGISTRY}/{self.name}:{fingerprint}"

    @property
    def in_cluster(self) -> bool:
        """Whether pods run it."""
        return self.part != BUILDING_BLOCK


def load(table: Path) -> dict[str, Image]:
    """Read the table.

    Args:
        table: the TOML file.

    Returns:
        Images by name, each after the one it needs.

    Raises:
        CatalogueError: an unknown or missing key, an unknown base image, or a circle.
    """
    rows = tomllib.loads(table.read_text())
    images: dict[str, Image] = {}
    for name, row in rows.items():
        try:
            images[name] = Image(name=name, **{**row, "inputs": tuple(row.get("inputs", ()))})
        except TypeError as error:
            raise CatalogueError(f"{table.name}: [{name}]: {error}") from error
    for image in images.values():
        if image.needs and image.needs not in images:
            raise CatalogueError(
                f"{table.name}: [{image.name}] needs {image.needs!r}, which is not in the table"
            )
    try:
        order = TopologicalSorter({i.name: {i.needs} - {""} for i in images.values()}).static_order()
        return {name: images[name] for name in order}
    except CycleError as error:
        raise CatalogueError(f"{table.name}: images need each other in a circle: {error.args[1]}") from error


def files_of(folder: Path) -> Iterator[Path]:
    """Files of a build context in a fixed order, without what its .dockerignore or a tool's cache holds."""
    ignored = _dockerignore(folder)
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if (path.is_file() or path.is_symlink()) and not _is_ignored(relative, ignored):
            yield path


def _is_ignored(relative: Path, patterns: list[str]) -> bool:
    """Docker's rules as far as this repository uses them: from the root, or anywhere after `**/`."""
    prefixes = [str(Path(*relative.parts[: n + 1])) for n in range(len(relative.parts))]
    anywhere = [*_NEVER, *(p.removeprefix("**/") for p in patterns if p.startswith("**/"))]
    return any(fnmatch.fnmatch(part, p) for part in relative.parts for p in anywhere) or any(
        fnmatch.fnmatch(prefix, p) for prefix in prefixes for p in patterns
    )


def _dockerignore(folder: Path) -> list[str]:
    file = folder / ".dockerignore"
    lines = file.read_text().splitlines() if file.is_file() else []
    return [line.strip().rstrip("/") for line in lines if line.strip() and not line.startswith("#")]


def fingerprints(images: Mapping[str, Image], recipes: Path, repository: Path) -> dict[str, str]:
    """Fingerprint of each image: of its row, its files, and the images below it.

    Args:
        images: the table, each image after the one it needs.
        recipes: folder that holds a folder for each image.
        repository: root that `context` and `inputs` are relative to.

    Returns:
        Twelve hexadecimal digits by name.

    Raises:
        CatalogueError: a folder or an input is missing.
    """
    found: dict[str, str] = {}
    for image in images.values():
        digest = hashlib.sha256()
        row = {key: value for key, value in asdict(image).items() if key != "seconds"}
        head = [_RECIPE_FORMAT, platform.machine(), row, found.get(image.needs, "")]
        digest.update(json.dumps(head, sort_keys=True).encode())
        for source in sources(image, recipes, repository):
            for path in files_of(source) if source.is_dir() else [source]:
                name = path.relative_to(source.parent)
                executable = bool(path.stat().st_mode & 0o100)
                digest.update(f"{name}\0{executable}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
        found[image.name] = digest.hexdigest()[:12]
    return found


def sources(image: Image, recipes: Path, repository: Path) -> list[Path]:
    """Folder to build, then the further inputs.

    Raises:
        CatalogueError: one of them does not exist.
    """
    folder = repository / image.context if image.context else recipes / image.name
    paths = [folder, *(repository / name for name in image.inputs)]
    for path in paths:
        if not path.exists():
            raise CatalogueError(f"image {image.name}: {path} does not exist")
    return paths
