"""Images in the node: each archive is imported once, under both names, and what no list names goes."""

from dataclasses import replace
from pathlib import Path

import pytest

from floe_testbed import containers
from floe_testbed.containers import ImageArchive
from floe_testbed.layout import TestbedError


class Containerd:
    """The part of `ctr` that is asked for; an archive's content stands in its file."""

    def __init__(self) -> None:
        self.images: dict[str, str] = {}
        self.containers = ""
        self.imports = 0

    def __call__(self, *argv: str) -> str:
        match argv:
            case ("images", "list"):
                rows = [f"{ref} application/type {digest} 1.0 MiB" for ref, digest in self.images.items()]
                return "\n".join(["REF TYPE DIGEST SIZE", *rows])
            case ("images", "import", archive):
                self.imports += 1
                ref, digest = Path(archive).read_text().split()
                self.images[ref] = digest
            case ("images", "tag", "--force", old, new):
                self.images[new] = self.images[old]
            case ("images", "remove", *refs):
                for ref in refs:
                    del self.images[ref]
            case ("containers", "list", "--quiet"):
                return self.containers
        return ""


@pytest.fixture
def containerd(monkeypatch) -> Containerd:
    fake = Containerd()
    monkeypatch.setattr(containers, "_ctr", fake)
    return fake


@pytest.fixture
def image(tmp_path) -> ImageArchive:
    archive = tmp_path / "a.tar"
    archive.write_text("floe/a:1 sha256:first")
    return ImageArchive("a", "floe/a:1", archive, "aaaa", 1, "floe/a:aaaa")


def test_an_archive_is_imported_once_under_both_names(containerd, image, tmp_path):
    assert containers.import_images([image], tmp_path / "marks") == ["floe/a:1"]
    assert containers.import_images([image], tmp_path / "marks") == []
    assert containerd.imports == 1
    assert containerd.images == {"floe/a:1": "sha256:first", "floe/a:aaaa": "sha256:first"}


@pytest.mark.parametrize("lost", ["floe/a:1", "floe/a:aaaa"])
def test_a_name_that_is_lost_comes_back(containerd, image, tmp_path, lost):
    containers.import_images([image], tmp_path / "marks")
    del containerd.images[lost]
    assert containers.import_images([image], tmp_path / "marks") == ["floe/a:1"]
    assert containerd.images[lost] == "sha256:first"


def test_a_change_is_imported_and_the_old_content_stays_while_pods_run(containerd, image, tmp_path):
    containers.import_images([image], tmp_path / "marks")
    containerd.containers = "some-pod"
    image.archive.write_text("floe/a:1 sha256:second")
    changed = replace(image, hash="bbbb", content_ref="floe/a:bbbb")
    assert containers.import_images([changed], tmp_path / "marks") == ["floe/a:1"]
    assert containerd.images == {
        "floe/a:1": "sha256:second",
        "floe/a:aaaa": "sha256:first",
        "floe/a:bbbb": "sha256:second",
    }
    containerd.containers = ""
    containers.import_images([changed], tmp_path / "marks")
    assert set(containerd.images) == {"floe/a:1", "floe/a:bbbb"}


def test_an_archive_without_the_name_is_refused(containerd, image, tmp_path):
    with pytest.raises(TestbedError, match="holds no image named floe/b:1"):
        containers.import_images([replace(image, ref="floe/b:1")], tmp_path / "marks")
