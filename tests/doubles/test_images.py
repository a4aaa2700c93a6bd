"""The builder of the testbed's images: what is a change, what comes after what, clean lock files."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from image_builder.catalogue import CatalogueError, Image, files_of, fingerprints, load
from image_builder.engine import BuildError, Workshop, build, prune
from image_builder.progress import Progress

from .conftest import IMAGES

REPOSITORY = IMAGES.parents[3]
TABLE = """
[base]
version = "1"
seconds = 10
part = "building block"

[server]
version = "2"
seconds = 20
needs = "base"
inputs = ["shared"]
"""


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    for name in ("base", "server"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Containerfile").write_text(f"FROM scratch\n# {name}\n")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "code.py").write_text("1")
    (tmp_path / "images.toml").write_text(TABLE)
    return tmp_path


def marks(recipes: Path) -> dict[str, str]:
    return fingerprints(load(recipes / "images.toml"), recipes, recipes)


def test_every_image_of_the_table_has_its_recipe() -> None:
    images = load(IMAGES / "images.toml")
    assert set(fingerprints(images, IMAGES, REPOSITORY)) == set(images)
    for image in images.values():
        folder = REPOSITORY / image.context if image.context else IMAGES / image.name
        assert (folder / "Containerfile").exists() or (folder / "Dockerfile").exists(), image.name


def test_what_stands_in_for_something_is_named_a_double() -> None:
    refs = {image.ref for image in load(IMAGES / "images.toml").values() if image.in_cluster}
    assert {ref for ref in refs if "polaris" in ref or "marquez" in ref} == {
        ref for ref in refs if "-double:" in ref
    }


def test_an_image_comes_after_the_one_it_starts_from(recipes: Path) -> None:
    assert list(load(recipes / "images.toml")) == ["base", "server"]


def test_a_changed_base_changes_what_starts_from_it(recipes: Path) -> None:
    before = marks(recipes)
    (recipes / "base" / "Containerfile").write_text("FROM scratch\n# other\n")
    after = marks(recipes)
    assert before["base"] != after["base"]
    assert before["server"] != after["server"]


def test_a_changed_input_changes_only_the_image_that_takes_it(recipes: Path) -> None:
    before = marks(recipes)
    (recipes / "shared" / "code.py").write_text("2")
    after = marks(recipes)
    assert before["base"] == after["base"]
    assert before["server"] != after["server"]


@pytest.mark.parametrize("name", ["shared/__pycache__/code.cpython-311.pyc", "other/Containerfile"])
def test_leftovers_of_tools_and_other_folders_change_nothing(recipes: Path, name: str) -> None:
    before = marks(recipes)
    (recipes / name).parent.mkdir()
    (recipes / name).write_text("x")
    (recipes / "images.toml").write_text(TABLE.replace("seconds = 20", "seconds = 99"))
    assert marks(recipes) == before


def test_dockerignore_counts_from_the_root_unless_it_says_anywhere(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("tests\n**/target\n")
    for name in ("tests/a", "dbt/tests/b", "dbt/target/c", "d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert {str(p.relative_to(tmp_path)) for p in files_of(tmp_path)} == {".dockerignore", "d", "dbt/tests/b"}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (TABLE.replace('needs = "base"', 'needs = "bass"'), "'bass', which is not in the table"),
        (TABLE.replace("seconds = 10", 'seconds = 10\nneeds = "server"'), "circle"),
        (TABLE.replace("version", "verzion"), "verzion"),
    ],
)
def test_a_wrong_table_is_refused(recipes: Path, table: str, words: str) -> None:
    (recipes / "images.toml").write_text(table)
    with pytest.raises(CatalogueError, match=re.escape(words)):
        load(recipes / "images.toml")


def test_a_missing_folder_is_named(recipes: Path) -> None:
    shutil.rmtree(recipes / "base")
    with pytest.raises(CatalogueError, match=r"image base: .*base does not exist"):
        marks(recipes)


def test_progress_tells_elapsed_and_left() -> None:
    out = io.StringIO()
    first, second = Image("a", "1", 30), Image("b", "1", 60)
    with Progress([first, second], workers=2, out=out) as progress:
        progress.started(first)
        progress.finished(first, 5_000_000)
    lines = out.getvalue().splitlines()
    assert lines[0] == "[   0 s] a: building (0 of 2 done, about 60 s left on two idle cores)"
    assert lines[1] == "[   0 s] a: built in 0 s, 5 MB (1 of 2 done, about 60 s left on two idle cores)"


def test_locks_pin_by_hash_and_name_no_download_address() -> None:
    package_lock = (IMAGES / "cube" / "package-lock.json").read_text()
    assert '"resolved"' not in package_lock
    assert '"integrity"' in package_lock
    locks = [*IMAGES.glob("*/requirements.lock"), *IMAGES.glob("*/extensions.lock")]
    assert len(locks) == 4
    for lock in locks:
        text = lock.read_text()
        assert "--hash=sha256:" in text
        assert "index-url" not in text


def test_a_recipe_that_fails_is_shown_and_leaves_no_archive(recipes: Path, tmp_path: Path) -> None:
    (recipes / "base" / "prepare.sh").write_text("echo the reason >&2\nfalse\necho never\n")
    workshop = Workshop(recipes=recipes, repository=recipes, cache=tmp_path / "cache")
    image = load(recipes / "images.toml")["base"]
    archive = workshop.archive(image, "0" * 12)
    with pytest.raises(BuildError, match="image base: bash failed") as error:
        build(image, archive, None, workshop)
    assert "the reason" in str(error.value)
    assert "never" not in str(error.value)
    assert not archive.exists()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("buildah"), reason="needs root and buildah")
def test_layers_of_earlier_builds_do_not_pile_up(recipes: Path, tmp_path: Path) -> None:
    workshop = Workshop(recipes=recipes, repository=recipes, cache=tmp_path / "cache")
    image = load(recipes / "images.toml")["base"]
    store = workshop.cache / "buildah"
    list_all = ["buildah", "--root", store / "root", "--runroot", store / "run", "images", "--all", "--quiet"]
    counts = []
    workshop.images.mkdir(parents=True)
    for text in ("1", "2", "3"):
        (recipes / "base" / "file").write_text(text)
        (recipes / "base" / "Containerfile").write_text("FROM scratch\nCOPY file /\nENV A=b\n")
        build(image, workshop.archive(image, text), None, workshop)
        prune(workshop)
        counts.append(len(subprocess.run(list_all, capture_output=True, check=True).stdout.split()))
    assert counts[0] > 0
    assert counts == [counts[0]] * 3
