"""Builds what is missing, two images at a time, and writes the index that says what there is.

PYTHONPATH=roles/testbed/files/images python3 -m image_builder [--cache FOLDER] [--only NAME ...] [--plan]
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from .catalogue import CatalogueError, Image, fingerprints, load
from .engine import BuildError, Workshop, build, prune
from .progress import Progress

_RECIPES = Path(__file__).resolve().parents[1]
_REPOSITORY = _RECIPES.parents[3]
_WORKERS = 2
_KEEP_OLD = 1  # archive of the recipe before, so that going back a commit costs nothing


def main() -> int:
    """Entry point; 0 when every wanted image is there, 1 with one message when not."""
    arguments = _arguments()
    workshop = Workshop(
        recipes=_RECIPES, repository=_REPOSITORY, cache=arguments.cache.expanduser().resolve()
    )
    try:
        images = load(_RECIPES / "images.toml")
        marks = fingerprints(images, _RECIPES, _REPOSITORY)
        wanted = _with_bases(images, arguments.only or list(images))
        missing = [image for image in wanted if not workshop.archive(image, marks[image.name]).exists()]
        if arguments.plan:
            print("\n".join(f"{i.name}: {'build' if i in missing else 'there'}" for i in wanted))
            return 0
        with _only_one(workshop.images):
            _build_all(missing, images, marks, workshop)
            _write_index(images, marks, workshop)
            _forget_old(images, marks, workshop)
            if missing:
                prune(workshop)
    except (CatalogueError, BuildError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    print(f"built {len(missing)} of {len(wanted)} images; index: {workshop.images / 'index.json'}")
    print(json.dumps({"changed": bool(missing)}))  # read by the role
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="image_builder", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument(
        "--cache", type=Path, default=Path("~/.cache/floe/testbed"), help="default: %(default)s"
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these images and what they start from")
    parser.add_argument("--plan", action="store_true", help="say what would be built, and stop")
    return parser.parse_args()


def _with_bases(images: dict[str, Image], names: list[str]) -> list[Image]:
    wanted: set[str] = set()
    for name in names:
        if name not in images:
            raise CatalogueError(f"no image is called {name!r}; there are: {', '.join(images)}")
        walk = name
        while walk:
            wanted.add(walk)
            walk = images[walk].needs
    return [image for image in images.values() if image.name in wanted]


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Hold the cache's lock, so that two checkouts never write the same archive."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            print(f"waiting for another build (process {lock.read().strip()}) in {folder}", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _build_all(
    missing: list[Image], images: dict[str, Image], marks: dict[str, str], workshop: Workshop
) -> None:
    """Build in the order of need, the slowest of those that can start first."""
    todo = {image.name: image for image in missing if not workshop.archive(image, marks[image.name]).exists()}
    running: dict[Future[None], Image] = {}
    with Progress(todo.values(), workers=_WORKERS) as progress, ThreadPoolExecutor(_WORKERS) as pool:
        while todo or running:
            waiting = {image.name for image in running.values()} | set(todo)
            ready = [image for image in todo.values() if image.needs not in waiting]
            for image in sorted(ready, key=lambda i: -_path_seconds(i, todo))[: _WORKERS - len(running)]:
                base = images.get(image.needs)
                progress.started(todo.pop(image.name))
                future = pool.submit(
                    build,
                    image,
                    workshop.archive(image, marks[image.name]),
                    workshop.archive(base, marks[base.name]) if base else None,
                    workshop,
                )
                running[future] = image
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                image = running.pop(future)
                future.result()
                progress.finished(image, workshop.archive(image, marks[image.name]).stat().st_size)


def _path_seconds(image: Image, todo: dict[str, Image]) -> int:
    """Seconds until the last of what starts from this image is built."""
    return image.seconds + max(
        (_path_seconds(i, todo) for i in todo.values() if i.needs == image.name), default=0
    )


def _write_index(images: dict[str, Image], marks: dict[str, str], workshop: Workshop) -> None:
    """List what the cluster can import; images of other recipes than the present ones are not in it."""
    rows = [
        {
            "name": i.name,
            "ref": i.ref,
            "content_ref": i.content_ref(marks[i.name]),
            "archive": str(path),
            "hash": marks[i.name],
            "size": path.stat().st_size,
        }
        for i in images.values()
        if i.in_cluster and (path := workshop.archive(i, marks[i.name])).exists()
    ]
    partial = workshop.images / "index.json.partial"
    partial.write_text(json.dumps(rows, indent=2) + "\n")
    partial.rename(workshop.images / "index.json")


def _forget_old(images: dict[str, Image], marks: dict[str, str], workshop: Workshop) -> None:
    for image in images.values():
        current = workshop.archive(image, marks[image.name])
        mark = "[0-9a-f]" * len(marks[image.name])
        old = [p for p in workshop.images.glob(f"{image.name}-{mark}.tar") if p != current]
        for path in sorted(old, key=lambda p: p.stat().st_mtime, reverse=True)[_KEEP_OLD:]:
            path.unlink()
    for path in workshop.images.glob("*.partial"):
        path.unlink()


if __name__ == "__main__":
    if not shutil.which("buildah"):
        sys.exit("ERROR: buildah is not installed: apt-get install buildah")
    sys.exit(main())
