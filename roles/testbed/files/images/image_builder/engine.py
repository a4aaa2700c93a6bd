"""One image from its recipe: context, prepare.sh, buildah, archive; what the programs say goes to a log."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .catalogue import Image, files_of, sources

_CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
_LOG_TAIL = 25


class BuildError(Exception):
    """Which image failed, and the end of its log."""


@dataclass(frozen=True)
class Workshop:
    """Where things are.

    Attributes:
        recipes: folder that holds a folder for each image.
        repository: root of the repository.
        cache: folder that holds images/, logs/ and buildah's layers.
    """

    recipes: Path
    repository: Path
    cache: Path

    @property
    def images(self) -> Path:
        """Folder of the finished archives."""
        return self.cache / "images"

    def archive(self, image: Image, fingerprint: str) -> Path:
        """Where the archive of a recipe's fingerprint is or will be."""
        return self.images / f"{image.name}-{fingerprint}.tar"

    def log(self, image: Image) -> Path:
        """Where the output of the image's last build is."""
        return self.cache / "logs" / f"image-{image.name}.log"


def build(image: Image, archive: Path, base: Path | None, workshop: Workshop) -> None:
    """Build one image and leave its archive, whole or not at all.

    Args:
        image: what to build.
        archive: where its archive goes.
        base: archive of the image it starts from, or None.
        workshop: where things are.

    Raises:
        BuildError: a program of the recipe failed.
    """
    log_file = workshop.log(image)
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"floe-{image.name}-") as scratch, log_file.open("w") as log:
        context = Path(scratch) / "context"
        _fill(context, image, workshop)
        partial = archive.with_suffix(".partial")
        partial.unlink(missing_ok=True)  # docker-archive: refuses to write over a file
        steps = [
            *([["bash", "-eu", str(context / "prepare.sh")]] if (context / "prepare.sh").exists() else []),
            _bud(image, context, base, workshop),
            [*_buildah(workshop), "push", "--quiet", image.ref, f"docker-archive:{partial}:{image.ref}"],
        ]
        environment = {
            **os.environ,
            "FLOE_CACHE": str(workshop.cache),
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "0",
        }
        for step in steps:
            log.write(f"+ {' '.join(step)}\n")
            log.flush()
            done = subprocess.run(  # noqa: S603 - arguments are the recipe's, there is no shell
                step,
                cwd=context,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
            )
            if done.returncode:
                tail = "\n".join(log_file.read_text(errors="replace").splitlines()[-_LOG_TAIL:])
                raise BuildError(
                    f"image {image.name}: {step[0]} failed ({done.returncode}); {log_file} ends:\n{tail}"
                )
        partial.rename(archive)


def prune(workshop: Workshop) -> None:
    """Drop layers that no present image stands on, and what an interrupted build left, from buildah's store.

    Raises:
        BuildError: buildah failed; the message is what it said.
    """
    for command in (["rm", "--all"], ["rmi", "--prune"]):
        done = subprocess.run(  # noqa: S603 - our own command line
            [*_buildah(workshop), *command], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise BuildError(f"buildah {' '.join(command)} failed ({done.returncode}): {done.stderr.strip()}")


def _fill(context: Path, image: Image, workshop: Workshop) -> None:
    """Copy the folder and the further inputs, leaving out what the fingerprint leaves out."""
    folder, *inputs = sources(image, workshop.recipes, workshop.repository)
    for source, target in [(folder, context), *((i, context / i.name) for i in inputs)]:
        for path in files_of(source) if source.is_dir() else [source]:
            copy = target / path.relative_to(source) if source.is_dir() else target
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy, follow_symlinks=False)


def _buildah(workshop: Workshop) -> list[str]:
    store = workshop.cache / "buildah"
    return [
        "buildah",
        "--root",
        str(store / "root"),
        "--runroot",
        str(store / "run"),
        "--storage-driver",
        "overlay",
    ]


def _bud(image: Image, context: Path, base: Path | None, workshop: Workshop) -> list[str]:
    recipe = next((p for p in (context / "Containerfile", context / "Dockerfile") if p.exists()), None)
    if recipe is None:
        raise BuildError(f"image {image.name}: its folder holds neither a Containerfile nor a Dockerfile")
    command = [*_buildah(workshop), "bud", "--isolation", "chroot", "--layers", "--tag", image.ref]
    if base:
        command += ["--build-arg", f"BASE_IMAGE=docker-archive:{base}"]
    # Behind a package mirror only the host's bundle knows the mirror's authority.
    bundle = next(
        (p for p in (os.environ.get("SSL_CERT_FILE", ""), *_CA_BUNDLES) if p and Path(p).is_file()), None
    )
    if bundle:
        command += ["--secret", f"id=ca-bundle,src={bundle}"]
    return [*command, "--file", str(recipe), str(context)]
