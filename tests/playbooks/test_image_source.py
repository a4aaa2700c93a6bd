"""The name of the pipeline's image follows what is built into it, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from .conftest import CHECKOUT, load


@pytest.fixture(scope="session")
def image_source() -> ModuleType:
    return load("roles/pipeline_image/filter_plugins/image_source.py")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the pipeline, which is large only where nothing is copied from."""
    copy = tmp_path / "pipeline"
    shutil.copytree(CHECKOUT / "pipeline", copy, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    return copy


@pytest.mark.parametrize(
    "changed",
    [
        "Dockerfile",
        "requirements.lock",
        "pyproject.toml",
        "README.md",
        "dbt/dbt_project.yml",
        "src/floe_synthetic/ecommerce.py",
        "src/floe_pipeline/new.py",
    ],
)
def test_what_is_built_in_makes_another_tag(image_source: ModuleType, source: Path, changed: str) -> None:
    before = image_source.content_tag(str(source))
    with (source / changed).open("a") as file:
        file.write("\n# changed\n")
    assert image_source.content_tag(str(source)) != before


@pytest.mark.parametrize(
    "left",
    ["tests/test_new.py", "dbt/target/manifest.json", "src/floe_pipeline/__pycache__/cli.pyc", ".mypy"],
)
def test_what_is_not_built_in_makes_none(image_source: ModuleType, source: Path, left: str) -> None:
    before = image_source.content_tag(str(source))
    (source / left).parent.mkdir(parents=True, exist_ok=True)
    (source / left).write_text("left by a tool")
    assert image_source.content_tag(str(source)) == before


def test_a_moved_file_makes_another_tag(image_source: ModuleType, source: Path) -> None:
    before = image_source.content_tag(str(source))
    (source / "src/floe_pipeline/cli.py").rename(source / "src/floe_pipeline/cli2.py")
    assert image_source.content_tag(str(source)) != before


def test_another_base_image_makes_another_tag(image_source: ModuleType, source: Path) -> None:
    tags = {image_source.content_tag(str(source), base) for base in ("", "mirror.local/python:3.13")}
    assert len(tags) == 2


def test_a_copied_file_that_is_missing_is_named(image_source: ModuleType, source: Path) -> None:
    (source / "requirements.lock").unlink()
    with pytest.raises(ValueError, match=r"copies requirements\.lock, which is not there"):
        image_source.content_tag(str(source))


def node(name: str, *images: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"images": [{"names": [image]} for image in images]}}


@pytest.mark.parametrize("listed", ["floe-pipeline:1", "docker.io/library/floe-pipeline:1"])
def test_every_node_has_to_have_it(image_source: ModuleType, listed: str) -> None:
    nodes = [node("a", "x:1", listed), node("b", "floe-pipeline:2"), node("c")]
    assert image_source.nodes_without(nodes, "floe-pipeline:1") == ["b", "c"]


def test_an_image_of_a_registry_is_no_other(image_source: ModuleType) -> None:
    nodes = [node("a", "floe-pipeline:1")]
    assert image_source.nodes_without(nodes, "localhost:5000/floe-pipeline:1") == ["a"]


@pytest.mark.parametrize(
    ("context", "way", "runtime", "says"),
    [
        ("docker-desktop", {}, "containerd://1.7", None),
        ("colima", {"runtime": "docker"}, "docker://27.1", None),
        (
            "colima",
            {"runtime": "docker"},
            "containerd://1.7",
            "its nodes run containerd://1.7, which does not",
        ),
        (
            "microk8s",
            None,
            "containerd://1.7",
            "how its cluster gets an image is not known (known are kind)",
        ),
        ("kind-a", {"command": ["kind"]}, "containerd://1.7", "kind does not answer"),
    ],
)
def test_what_keeps_an_image_from_a_cluster(
    image_source: ModuleType, context: str, way: Any, runtime: str, says: str | None
) -> None:
    silent = (way or {}).get("command", [])
    problems = image_source.delivery_problems(context, way, ["kind"], silent, [runtime])
    assert [says in problem for problem in problems] == ([True] if says else [])
