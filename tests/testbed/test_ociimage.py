"""The image writer: what goes in comes out in the image, byte for byte the same each time."""

import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest

from oci import ociimage


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    root = tmp_path / "rootfs"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "motd").write_text("hello\n")
    (root / "tool").write_bytes(b"\x7fELF")
    (root / "tool").chmod(0o755)
    (root / "link").symlink_to("tool")
    os.link(root / "tool", root / "twin")
    return root


def layer_members(image: Path, number: int) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(image) as tar:
        index = json.load(tar.extractfile("index.json"))
        manifest = json.load(tar.extractfile(blob(index["manifests"][0]["digest"])))
        with tarfile.open(fileobj=tar.extractfile(blob(manifest["layers"][number]["digest"]))) as layer:
            return {member.name: member for member in layer.getmembers()}


def blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def test_layer_holds_the_folder_owned_by_root(tmp_path, rootfs):
    out = tmp_path / "image.tar"
    ociimage.write_image(out, "localhost/x:1", [ociimage.Folder(rootfs)], ociimage.RunConfig())
    members = layer_members(out, 0)
    assert set(members) == {"etc", "etc/motd", "tool", "link", "twin"}
    assert members["tool"].mode == 0o755
    assert (members["link"].issym(), members["link"].linkname) == (True, "tool")
    assert members["twin"].islnk()
    assert {(m.uid, m.gid, m.mtime) for m in members.values()} == {(0, 0, 0)}


def test_same_input_gives_the_same_bytes(tmp_path, rootfs):
    images = [tmp_path / "a.tar", tmp_path / "b.tar"]
    for image in images:
        (rootfs / "etc" / "motd").touch()  # another time stamp, the same content
        ociimage.write_image(image, "localhost/x:1", [ociimage.Folder(rootfs)], ociimage.RunConfig())
    assert images[0].read_bytes() == images[1].read_bytes()


def test_digests_are_those_of_the_content(tmp_path, rootfs):
    out = tmp_path / "image.tar"
    ociimage.write_image(out, "localhost/x:1", [ociimage.Folder(rootfs)], ociimage.RunConfig())
    with tarfile.open(out) as tar:
        for member in tar.getmembers():
            if member.name.startswith("blobs/"):
                assert hashlib.sha256(tar.extractfile(member).read()).hexdigest() == Path(member.name).name


def test_image_on_a_base_has_its_layers_and_settings_first(tmp_path, rootfs):
    base, child, extra = tmp_path / "base.tar", tmp_path / "child.tar", tmp_path / "extra"
    extra.mkdir()
    (extra / "app").write_text("app")
    ociimage.write_image(
        base,
        "localhost/base:1",
        [ociimage.Folder(rootfs)],
        ociimage.RunConfig(env=["A=1", "B=2"], user="7", cmd=["sh"]),
    )
    ociimage.write_image(
        child,
        "localhost/child:1",
        [ociimage.Folder(extra, "/srv")],
        ociimage.RunConfig(env=["B=3"], entrypoint=["/srv/app"]),
        base=base,
    )
    config = ociimage.read_index(child)["config"]
    assert "tool" in layer_members(child, 0)
    assert set(layer_members(child, 1)) == {"srv", "srv/app"}
    assert config["Env"][1:] == ["A=1", "B=3"]
    assert config["User"] == "7"
    assert config["Entrypoint"] == ["/srv/app"]
    assert "Cmd" not in config


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device files")
def test_overlay_whiteouts_become_the_layers(tmp_path):
    upper = tmp_path / "upper"
    (upper / "etc").mkdir(parents=True)
    os.mknod(upper / "etc" / "gone", 0o20000, 0)
    os.setxattr(upper / "etc", "trusted.overlay.opaque", b"y")
    out = tmp_path / "image.tar"
    ociimage.write_image(out, "localhost/x:1", [ociimage.Folder(upper)], ociimage.RunConfig())
    assert {"etc/.wh.gone", "etc/.wh..wh..opq"} <= set(layer_members(out, 0))


@pytest.mark.parametrize(
    ("name", "layer", "message"),
    [
        ("localhost/x", None, "has no tag"),
        ("localhost:5000/x", None, "has no tag"),
        ("localhost/x:1", ociimage.Folder(Path("/nowhere")), "not a folder"),
        ("localhost/x:1", ociimage.Archive(Path(__file__)), "not a tar"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(tmp_path, name, layer, message):
    with pytest.raises(ociimage.ImageError, match=message):
        ociimage.write_image(tmp_path / "image.tar", name, [layer] if layer else [], ociimage.RunConfig())
    assert list(tmp_path.iterdir()) == []


def test_compressed_layer_is_refused(tmp_path):
    with tarfile.open(tmp_path / "layer.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("x"))
    with pytest.raises(ociimage.ImageError, match="compressed"):
        ociimage.write_image(
            tmp_path / "image.tar",
            "localhost/x:1",
            [ociimage.Archive(tmp_path / "layer.tar.gz")],
            ociimage.RunConfig(),
        )


def test_base_that_is_no_image_is_refused(tmp_path):
    with tarfile.open(tmp_path / "base.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("x"))
    with pytest.raises(ociimage.ImageError, match=r"not an OCI archive: it has no index\.json"):
        ociimage.write_image(
            tmp_path / "image.tar", "localhost/x:1", [], ociimage.RunConfig(), base=tmp_path / "base.tar"
        )
