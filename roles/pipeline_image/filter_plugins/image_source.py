"""Filters on the pipeline's image: its name by its source, nodes that lack it, what keeps it from them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

COPY = re.compile(r"^COPY\s+(?!--from)(?P<words>.+)$", re.MULTILINE)
DIGITS = 12


def content_tag(folder: str, *more: str) -> str:
    """Returns a tag that differs whenever the image would: a digest of all that its Dockerfile copies.

    Args:
        folder: The build context, with a Dockerfile and perhaps a .dockerignore.
        more: What else the image depends on, such as the values of build arguments.

    Raises:
        ValueError: the Dockerfile is missing, or copies what is not there.
    """
    root = Path(folder)
    dockerfile = root / "Dockerfile"
    if not dockerfile.is_file():
        raise ValueError(f"{folder} has no Dockerfile")
    digest = hashlib.sha256("\0".join(more).encode())
    for file in [dockerfile, *sorted(_copied(root, dockerfile.read_text()))]:
        digest.update(f"\0{file.relative_to(root).as_posix()}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:DIGITS]


def _copied(root: Path, dockerfile: str) -> Iterator[Path]:
    ignored = _ignored(root / ".dockerignore")
    for line in COPY.finditer(dockerfile):
        *sources, _ = (word for word in line["words"].split() if not word.startswith("--"))
        for name in sources:
            source = root / name
            if not source.exists():
                raise ValueError(f"{root}/Dockerfile copies {name}, which is not there")
            files = source.rglob("*") if source.is_dir() else [source]
            yield from (f for f in files if f.is_file() and not _matches(f.relative_to(root), ignored))


def _ignored(file: Path) -> list[str]:
    lines = file.read_text().splitlines() if file.is_file() else []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _matches(path: PurePath, patterns: list[str]) -> bool:
    """Whether a path is one of the patterns or inside one: a path, or a name anywhere (`**/name`)."""
    places = [path, *path.parents]
    return any(
        place.name == pattern.removeprefix("**/") if pattern.startswith("**/") else place == PurePath(pattern)
        for pattern in patterns
        for place in places
    )


def nodes_without(nodes: Iterable[Mapping[str, Any]], image: str) -> list[str]:
    """Returns the names of nodes that do not list an image; most put docker.io before short ones."""
    names = {image, f"docker.io/library/{image}"}
    return [
        node["metadata"]["name"]
        for node in nodes
        if not any(names.intersection(i.get("names") or []) for i in node["status"].get("images") or [])
    ]


def delivery_problems(
    context: str,
    way: Mapping[str, Any] | None,
    known: Iterable[str],
    silent: Iterable[str],
    runtimes: Iterable[str],
) -> list[str]:
    """Returns why an image that is built here could not get into a cluster, each with its remedy.

    Args:
        context: Of the cluster.
        way: How it gets images; `runtime` is the one that its nodes have to run. None when that is not known.
        known: Kinds of clusters for which it is.
        silent: Programs that are needed and do not answer.
        runtimes: Of the nodes, such as `containerd://1.7`.
    """
    problems = [
        f"{program} does not answer: the pipeline's image is built with Docker and given to context"
        f" {context}: install or start it, or name an image that the cluster can pull with"
        ' -e \'{"floe_images": {"pipeline": "registry/repository:tag"}}\''
        for program in silent
    ]
    if way is None:
        problems.append(
            f"context {context}: how its cluster gets an image is not known (known are {', '.join(known)}):"
            " name a registry that it pulls from, such as -e floe_registry=localhost:5000"
        )
        return problems
    others = [each for each in runtimes if not each.startswith(str(way.get("runtime", "")))]
    if others:
        problems.append(
            f"context {context}: its nodes run {', '.join(others)}, which does not see Docker's images:"
            f" start it with the runtime {way['runtime']}, or name a registry with -e"
            " floe_registry=localhost:5000"
        )
    return problems


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict[str, Callable[..., object]]:
        """Name in a template -> function."""
        return {
            "content_tag": content_tag,
            "nodes_without": nodes_without,
            "delivery_problems": delivery_problems,
        }
