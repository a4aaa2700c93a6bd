"""Writes a container image from folders and layer archives as one OCI archive: same input, same bytes.

The archive is an OCI image layout in an uncompressed tar, and so are its layers, since they are read once and
on this machine. `ctr images import`, `docker load` (25 or newer) and `buildah from oci-archive:` read it.

    python ociimage.py OUT.tar NAME:TAG --dir ROOTFS --entrypoint '["/pause"]'
    python ociimage.py OUT.tar NAME:TAG --from BASE.tar --layer X.tar --dir SRC=/srv --env K=V --user 10001

A folder may be the upper folder of an overlay mount: its whiteouts become the layer's. Standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import stat
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_EPOCH = "1970-01-01T00:00:00Z"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
_CHUNK = 1 << 20


class ImageError(Exception):
    """What is wrong with the input, in one line."""


@dataclass(frozen=True)
class Folder:
    """A folder that becomes a layer.

    Attributes:
        source: folder on this machine.
        target: where its content goes in the image.
        keep_owner: keep user and group ids; otherwise all of it belongs to root.
    """

    source: Path
    target: str = "/"
    keep_owner: bool = False


@dataclass(frozen=True)
class Archive:
    """A tar (not compressed) that is a layer already."""

    source: Path


@dataclass(frozen=True)
class RunConfig:
    """How a container of the image runs; a value left empty is the base image's."""

    entrypoint: Sequence[str] = ()
    cmd: Sequence[str] = ()
    env: Sequence[str] = ()
    user: str = ""
    workdir: str = ""
    ports: Sequence[str] = ()
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Blob:
    digest: str
    size: int
    open: Any  # () -> IO[bytes], positioned at the blob's first byte


def write_image(
    out: Path, name: str, layers: Sequence[Folder | Archive], config: RunConfig, base: Path | None = None
) -> str:
    """Writes an image archive; a reader sees the old file or the new one, never half of it.

    Args:
        out: file to write.
        name: whole reference with a tag, such as `localhost/pause:1`.
        layers: the image's own layers, lowest first.
        config: how it runs.
        base: an archive of this kind whose layers and settings it starts from.

    Returns:
        The manifest's digest, `sha256:...`.

    Raises:
        ImageError: a name without a tag, a folder or archive that is not there, a compressed layer.
    """
    repository, _, tag = name.rpartition(":")
    if not repository or "/" in tag:
        raise ImageError(f"image name {name!r} has no tag; write it as repository:tag")
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".ociimage-") as scratch:
        inherited, settings = _read_base(base) if base else ([], {})
        blobs = inherited + [_layer(layer, Path(scratch) / f"{i}.tar") for i, layer in enumerate(layers)]
        image = _json_blob(
            {
                "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
                "config": _merge(settings, config),
                "created": _EPOCH,
                "history": [{"created": _EPOCH, "created_by": "ociimage"} for _ in blobs],
                "os": "linux",
                "rootfs": {"type": "layers", "diff_ids": [blob.digest for blob in blobs]},
            }
        )
        manifest = _json_blob(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST_TYPE,
                "config": _descriptor(image, _CONFIG_TYPE),
                "layers": [_descriptor(blob, _LAYER_TYPE) for blob in blobs],
            }
        )
        index = _json_blob(
            {
                "schemaVersion": 2,
                "manifests": [
                    _descriptor(manifest, _MANIFEST_TYPE)
                    | {
                        "annotations": {
                            "io.containerd.image.name": name,
                            "org.opencontainers.image.ref.name": tag,
                        }
                    }
                ],
            }
        )
        unfinished = Path(scratch) / "image.tar"
        with tarfile.open(unfinished, "w", format=tarfile.PAX_FORMAT) as archive:
            _put(archive, "oci-layout", _json_blob({"imageLayoutVersion": "1.0.0"}))
            _put(archive, "index.json", index)
            for blob in {blob.digest: blob for blob in [manifest, image, *blobs]}.values():
                _put(archive, _blob_path(blob.digest), blob)
        unfinished.replace(out)
    return manifest.digest


def read_index(archive: Path) -> dict[str, Any]:
    """Returns an image archive's name, digest and settings.

    Returns:
        `{"name": reference, "digest": "sha256:...", "config": the image's config object}`.
    """
    with tarfile.open(archive) as tar:
        entry = _load(tar, "index.json")["manifests"][0]
        manifest = _load(tar, _blob_path(entry["digest"]))
        image = _load(tar, _blob_path(manifest["config"]["digest"]))
    return {
        "name": entry["annotations"]["io.containerd.image.name"],
        "digest": entry["digest"],
        "config": image["config"],
    }


def _layer(layer: Folder | Archive, scratch: Path) -> _Blob:
    if isinstance(layer, Archive):
        if not tarfile.is_tarfile(layer.source):
            raise ImageError(f"layer {layer.source} is not a tar archive")
        with layer.source.open("rb") as file:
            if file.read(2) == b"\x1f\x8b":
                raise ImageError(f"layer {layer.source} is compressed; write it as a plain tar")
        return _file_blob(layer.source)
    if not layer.source.is_dir():
        raise ImageError(f"layer {layer.source} is not a folder")
    with tarfile.open(scratch, "w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, layer.source, layer.target.strip("/"), keep_owner=layer.keep_owner)
    return _file_blob(scratch)


def _add(archive: tarfile.TarFile, path: Path, name: str, *, keep_owner: bool) -> None:
    """Adds a path and, for a folder, what is in it, in the order of names."""
    status = path.lstat()
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:  # overlayfs: "deleted in this layer"
        folder, _, gone = name.rpartition("/")
        archive.addfile(_plain(f"{folder}/.wh.{gone}" if folder else f".wh.{gone}"))
        return
    if name:
        member = archive.gettarinfo(path, name)
        if member is None:  # a socket: not a thing an image can hold
            return
        member.mtime = 0
        if not keep_owner:
            member.uid = member.gid = 0
        member.uname = member.gname = ""
        if "security.capability" in os.listxattr(path, follow_symlinks=False):
            value = os.getxattr(path, "security.capability", follow_symlinks=False)
            headers = {"SCHILY.xattr.security.capability": value.decode("utf-8", "surrogateescape")}
            member.pax_headers = headers
        if member.isreg():
            with path.open("rb") as file:
                archive.addfile(member, file)
        else:
            archive.addfile(member)
    if stat.S_ISDIR(status.st_mode):
        if _is_opaque(path):
            archive.addfile(_plain(f"{name}/.wh..wh..opq" if name else ".wh..wh..opq"))
        for child in sorted(path.iterdir()):
            _add(archive, child, f"{name}/{child.name}" if name else child.name, keep_owner=keep_owner)


def _is_opaque(folder: Path) -> bool:
    """Says whether overlayfs hides what lower layers have in this folder."""
    return (
        "trusted.overlay.opaque" in os.listxattr(folder)
        and os.getxattr(folder, "trusted.overlay.opaque") == b"y"
    )


def _read_base(base: Path) -> tuple[list[_Blob], dict[str, Any]]:
    """Returns a base image's layers and run settings."""
    with tarfile.open(base) as tar:
        entry = _load(tar, "index.json")["manifests"][0]
        manifest = _load(tar, _blob_path(entry["digest"]))
        image = _load(tar, _blob_path(manifest["config"]["digest"]))
        blobs = []
        for layer in manifest["layers"]:
            if layer["mediaType"] != _LAYER_TYPE:
                raise ImageError(
                    f"base image {base} has a layer of type {layer['mediaType']}; {_LAYER_TYPE} is needed"
                )
            offset = tar.getmember(_blob_path(layer["digest"])).offset_data
            blobs.append(_Blob(layer["digest"], layer["size"], lambda at=offset: _open_at(base, at)))
    return blobs, image["config"]


def _merge(settings: dict[str, Any], config: RunConfig) -> dict[str, Any]:
    """Returns an OCI config object: the base's settings with ours on top."""
    merged = dict(settings)
    env = dict(pair.split("=", 1) for pair in [*settings.get("Env", [_PATH]), *config.env])
    merged["Env"] = [f"{key}={value}" for key, value in env.items()]
    if config.entrypoint:
        merged["Entrypoint"] = list(config.entrypoint)
        merged.pop("Cmd", None)  # as a Dockerfile's ENTRYPOINT does
    if config.cmd:
        merged["Cmd"] = list(config.cmd)
    if config.user:
        merged["User"] = config.user
    merged["WorkingDir"] = config.workdir or settings.get("WorkingDir", "/")
    if ports := {*settings.get("ExposedPorts", {}), *config.ports}:
        merged["ExposedPorts"] = {port: {} for port in sorted(ports)}
    if labels := settings.get("Labels", {}) | config.labels:
        merged["Labels"] = labels
    return merged


def _file_blob(path: Path) -> _Blob:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return _Blob(f"sha256:{digest.hexdigest()}", path.stat().st_size, lambda: _open_at(path, 0))


def _json_blob(value: dict[str, Any]) -> _Blob:
    data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return _Blob(f"sha256:{hashlib.sha256(data).hexdigest()}", len(data), lambda: io.BytesIO(data))


def _open_at(path: Path, offset: int) -> IO[bytes]:
    file = path.open("rb")
    file.seek(offset)
    return file


def _descriptor(blob: _Blob, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size}


def _blob_path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _plain(name: str, size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member


def _put(archive: tarfile.TarFile, name: str, blob: _Blob) -> None:
    with blob.open() as data:
        archive.addfile(_plain(name, blob.size), data)


def _load(tar: tarfile.TarFile, name: str) -> dict[str, Any]:
    member = tar.extractfile(name) if name in tar.getnames() else None
    if member is None:
        raise ImageError(f"{tar.name!s} is not an OCI archive: it has no {name}")
    value: dict[str, Any] = json.load(member)
    return value


class _Layers(argparse.Action):
    """Collects --layer and --dir in the order in which they stand on the command line."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option: str | None = None,
    ) -> None:
        source, _, target = str(values).partition("=")
        layer = (
            Archive(Path(source))
            if option == "--layer"
            else Folder(Path(source), target or "/", namespace.keep_owner)
        )
        namespace.layers = [*namespace.layers, layer]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("name")
    parser.set_defaults(layers=[])
    parser.add_argument("--from", dest="base", type=Path, metavar="ARCHIVE", help="image to start from")
    parser.add_argument(
        "--keep-owner", action="store_true", help="keep owners of every --dir after this option"
    )
    parser.add_argument("--layer", action=_Layers, metavar="TAR")
    parser.add_argument("--dir", action=_Layers, metavar="SRC[=TARGET]")
    parser.add_argument("--entrypoint", type=json.loads, default=[], metavar="JSON")
    parser.add_argument("--cmd", type=json.loads, default=[], metavar="JSON")
    parser.add_argument("--env", action="append", default=[], metavar="K=V")
    parser.add_argument("--port", action="append", default=[], metavar="N/tcp")
    parser.add_argument("--label", action="append", default=[], metavar="K=V")
    parser.add_argument("--user", default="")
    parser.add_argument("--workdir", default="")
    return parser.parse_args()


def main() -> int:
    """Runs the command line; prints the name and the digest of what was written."""
    arguments = _arguments()
    config = RunConfig(
        entrypoint=arguments.entrypoint,
        cmd=arguments.cmd,
        env=arguments.env,
        user=arguments.user,
        workdir=arguments.workdir,
        ports=arguments.port,
        labels=dict(label.split("=", 1) for label in arguments.label),
    )
    try:
        digest = write_image(arguments.out, arguments.name, arguments.layers, config, arguments.base)
    except ImageError as error:
        sys.stderr.write(f"ociimage: {error}\n")
        return 1
    sys.stdout.write(f"{arguments.name} {digest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
