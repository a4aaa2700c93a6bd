"""What containerd holds for the testbed: images that it got from archives, and containers to take away."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from .layout import CONTAINERD_SOCKET, TestbedError
from .network import run


@dataclass(frozen=True)
class ImageArchive:
    """One line of a list of images (JSON).

    Attributes:
        name: of the image.
        ref: reference that the archive gives it.
        archive: file in Docker's or OCI's format.
        hash: of all that the archive depends on.
        size: of the archive in bytes.
        content_ref: second reference, which changes with the content; empty for none.
    """

    name: str
    ref: str
    archive: Path
    hash: str
    size: int
    content_ref: str = ""

    @property
    def refs(self) -> tuple[str, ...]:
        """All references that the node knows it by."""
        return (self.ref, self.content_ref) if self.content_ref else (self.ref,)


def read_lists(lists: list[Path]) -> list[ImageArchive]:
    """Reads lists of image archives.

    Raises:
        TestbedError: a list or an archive in it is missing.
    """
    images = []
    for path in lists:
        try:
            entries = json.loads(path.read_text())
        except FileNotFoundError:
            raise TestbedError(f"the list of images {path} is missing; run `make testbed-up`") from None
        images += [ImageArchive(**(entry | {"archive": Path(entry["archive"])})) for entry in entries]
    if missing := [str(image.archive) for image in images if not image.archive.exists()]:
        raise TestbedError(f"image archives are missing: {', '.join(missing)}; run `make testbed-up`")
    return images


def present() -> dict[str, str]:
    """Returns the references of the images that containerd has, and the digest behind each."""
    rows = [line.split() for line in _ctr("images", "list").splitlines()[1:]]
    return {row[0]: row[2] for row in rows if not row[0].startswith("sha256:")}


def import_images(images: list[ImageArchive], marks: Path) -> list[str]:
    """Imports what containerd has not from the same archive; drops what no list names, if no pod runs yet.

    Args:
        images: what should be there.
        marks: file, beside the image store, that remembers which archive each image came from.

    Returns:
        The references that were imported.
    """
    imported_from: dict[str, list[str]] = json.loads(marks.read_text()) if marks.exists() else {}
    there, done = present(), []
    for number, image in enumerate(images, 1):
        known = imported_from.get(image.ref, ["", ""])
        if known[0] == image.hash and all(there.get(ref) == known[1] for ref in image.refs):
            continue
        sys.stderr.write(f"{number} of {len(images)}: {image.ref}, {image.size >> 20} MiB\n")
        sys.stderr.flush()
        _ctr("images", "import", str(image.archive))
        digest = present().get(image.ref)
        if digest is None:
            raise TestbedError(f"{image.archive} was imported but holds no image named {image.ref}")
        if image.content_ref:
            _ctr("images", "tag", "--force", image.ref, image.content_ref)
        imported_from[image.ref] = [image.hash, digest]
        marks.write_text(json.dumps(imported_from, indent=1))
        done.append(image.ref)
    stale = sorted(set(there) - {ref for image in images for ref in image.refs})
    # a young cluster: nobody else has imported any yet
    if stale and not _ctr("containers", "list", "--quiet"):
        _ctr("images", "remove", *stale)
    return done


def remove_containers() -> None:
    """Removes every container, and with it its layer of changes; their processes have to be dead."""
    if ids := _ctr("containers", "list", "--quiet").split():
        _ctr("containers", "remove", *ids)


def _ctr(*argv: str) -> str:
    return run("ctr", "--address", str(CONTAINERD_SOCKET), "--namespace", "k8s.io", *argv)
