"""Images of what the cluster itself runs as pods: each a static program on an empty base; and a busybox."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from oci import ociimage
from oci.ociimage import Folder, RunConfig, write_image

from .build import TOOLS, output_of
from .layout import PAUSE_IMAGE, TestbedError

_REPOSITORY = "localhost/floe-testbed"
_UNPRIVILEGED = "65532:65532"


@dataclass(frozen=True)
class _Image:
    """One image.

    Attributes:
        ref: its reference.
        config: how it runs.
        content: text that changes when what is in it changes.
        fill: puts its files into an empty folder.
    """

    ref: str
    config: RunConfig
    content: str
    fill: Callable[[Path], None]

    @property
    def name(self) -> str:
        return self.ref.rpartition("/")[2].partition(":")[0]

    def fingerprint(self) -> str:
        writer = Path(ociimage.__file__).read_text()
        identity = json.dumps([self.ref, asdict(self.config), self.content, writer])
        return hashlib.sha256(identity.encode()).hexdigest()[:12]


def write_system_images(cache: Path, tools: Path) -> tuple[dict[str, str], bool]:
    """Writes the archives that are not in the cache yet, and images/system.json, which lists all.

    Args:
        cache: the testbed's cache folder.
        tools: folder of the programs; its name tells one build from another.

    Returns:
        The reference of each image by name, and whether anything was written.
    """
    folder = cache / "images"
    folder.mkdir(parents=True, exist_ok=True)
    rows, written = [], False
    for image in (images := _images(tools)):
        archive = folder / f"system-{image.name}-{image.fingerprint()}.tar"
        if not archive.exists():
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                Path(scratch).chmod(0o755)
                image.fill(Path(scratch))
                write_image(archive, image.ref, [Folder(Path(scratch))], image.config)
            written = True
        rows.append(
            {
                "name": image.name,
                "ref": image.ref,
                "archive": str(archive),
                "hash": image.fingerprint(),
                "size": archive.stat().st_size,
            }
        )
    listing, text = folder / "system.json", json.dumps(rows, indent=1)
    if not listing.exists() or listing.read_text() != text:
        listing.write_text(text)
        written = True
    return {image.name: image.ref for image in images}, written


def _images(tools: Path) -> tuple[_Image, ...]:
    def around(program: str, module: str, user: str = _UNPRIVILEGED) -> _Image:
        return _Image(
            f"{_REPOSITORY}/{program}:{TOOLS.version(module)}",
            RunConfig(entrypoint=(f"/{program}",), user=user),
            tools.name,
            partial(_copy_program, tools / program),
        )

    pause = RunConfig(entrypoint=("/pause",), user=_UNPRIVILEGED)
    busybox = Path(_which("busybox"))
    return (
        _Image(PAUSE_IMAGE, pause, tools.name, partial(_copy_program, tools / "pause")),
        around("coredns", "github.com/coredns/coredns"),
        around("metrics-server", "sigs.k8s.io/metrics-server"),
        around("local-volumes", "sigs.k8s.io/sig-storage-lib-external-provisioner/v13", user="0:0"),
        _Image(
            f"{_REPOSITORY}/busybox:1",
            RunConfig(cmd=("sh",)),
            hashlib.sha256(busybox.read_bytes()).hexdigest(),
            partial(_lay_out_busybox, busybox),
        ),
    )


def _copy_program(program: Path, root: Path) -> None:
    shutil.copy2(program, root / program.name)


def _lay_out_busybox(busybox: Path, root: Path) -> None:
    """Lays out this machine's busybox with its libraries; a static one cannot look names up."""
    (root / "bin").mkdir()
    shutil.copy2(busybox, root / "bin" / "busybox")
    for applet in output_of(str(busybox), "--list").split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    for library in re.findall(r"(/\S+) \(0x", output_of("ldd", str(busybox))):
        copy = root / library.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(library, copy)  # the file behind the link, under the name that the loader looks for
    (root / "etc").mkdir()
    (root / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)


def _which(program: str) -> str:
    path = shutil.which(program)
    if not path:
        raise TestbedError(f"{program} is not installed: `apt-get install {program}`")
    return path
