"""A chart is put together outside the source tree, anew only when something changed."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml


def make_chart(
    folder: Path, name: str, version: str, dependencies: list[dict[str, str]] | None = None
) -> Path:
    (folder / "templates").mkdir(parents=True)
    chart: dict[str, Any] = {"apiVersion": "v2", "name": name, "version": version}
    if dependencies:
        chart["dependencies"] = dependencies
    (folder / "Chart.yaml").write_text(yaml.safe_dump(chart, sort_keys=False))
    (folder / "templates" / "a.yaml").write_text("kind: ConfigMap\n")
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    wanted = [{"name": "minio", "version": "5.4.0", "repository": "https://charts.min.io/"},
              {"name": "postgresql", "version": "17.1.0", "repository": "oci://registry/charts"}]  # fmt: skip
    return make_chart(tmp_path / "source" / "floe", "floe", "0.1.0", wanted)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    return {
        "minio": str(make_chart(tmp_path / "minio", "minio", "5.4.0")),
        "postgresql": str(make_chart(tmp_path / "pg", "postgresql", "17.1.0")),
    }


def test_built_once(chart_folder: ModuleType, source: Path, folders: dict[str, str], tmp_path: Path) -> None:
    built, version = chart_folder.build_chart(source, tmp_path / "out", folders, None)
    assert built
    assert version.startswith("0.1.0+")
    assert yaml.safe_load((tmp_path / "out" / "Chart.yaml").read_text())["version"] == version
    assert (tmp_path / "out" / "charts" / "minio" / "Chart.yaml").exists()
    assert not (source / "charts").exists()
    assert chart_folder.build_chart(source, tmp_path / "out", folders, None) == (False, version)


@pytest.mark.parametrize("changed", ["source/floe/templates/a.yaml", "minio/templates/a.yaml"])
def test_a_changed_template_is_another_version(
    chart_folder: ModuleType, source: Path, folders: dict[str, str], tmp_path: Path, changed: str
) -> None:
    _, before = chart_folder.build_chart(source, tmp_path / "out", folders, None)
    (tmp_path / changed).write_text("kind: Secret\n")
    built, after = chart_folder.build_chart(source, tmp_path / "out", folders, None)
    assert built
    assert before != after


def test_what_checkers_leave_is_not_the_chart(
    chart_folder: ModuleType, source: Path, folders: dict[str, str], tmp_path: Path
) -> None:
    _, before = chart_folder.build_chart(source, tmp_path / "out", folders, None)
    for left in (".mypy_cache/a.json", "files/__pycache__/a.pyc", ".DS_Store"):
        (source / left).parent.mkdir(parents=True, exist_ok=True)
        (source / left).write_text("left")
    assert chart_folder.build_chart(source, tmp_path / "out", folders, None) == (False, before)
    (source / "templates" / "b.yaml").write_text("kind: Pod\n")
    chart_folder.build_chart(source, tmp_path / "out", folders, None)
    assert not (tmp_path / "out" / ".mypy_cache").exists()


def test_repositories_are_ours_when_dependencies_are_downloaded(
    chart_folder: ModuleType, source: Path, tmp_path: Path
) -> None:
    calls: list[tuple[tuple[str, ...], Path]] = []
    chart_folder.build_chart(source, tmp_path / "out", {}, lambda *a, home: calls.append((a, home)))
    assert [arguments[:2] for arguments, _ in calls] == [("repo", "add"), ("dependency", "build")]
    assert {home for _, home in calls} == {tmp_path / ".helm"}


def test_a_download_that_fails_leaves_nothing(chart_folder: ModuleType, source: Path, tmp_path: Path) -> None:
    def fail(*_: str, home: Path) -> None:
        raise chart_folder.ChartError(f"no way, {home}")

    with pytest.raises(chart_folder.ChartError):
        chart_folder.build_chart(source, tmp_path / "out" / "floe", {}, fail)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"minio": None}, "dependency minio of floe has no folder"),
        ({"redis": "/nowhere"}, "floe has no dependency redis; it has minio, postgresql"),
        ({"minio": "/nowhere"}, "/nowhere is no chart: it has no Chart.yaml"),
    ],
)
def test_wrong_folders(  # noqa: PLR0917 - fixtures
    chart_folder: ModuleType,
    source: Path,
    folders: dict[str, str],
    tmp_path: Path,
    change: dict[str, str],
    says: str,
) -> None:
    given = {k: v for k, v in (folders | change).items() if v}
    with pytest.raises(chart_folder.ChartError, match=says):
        chart_folder.build_chart(source, tmp_path / "out", given, None)


def test_another_version_of_a_dependency(
    chart_folder: ModuleType, source: Path, folders: dict[str, str], tmp_path: Path
) -> None:
    folders["minio"] = str(make_chart(tmp_path / "old", "minio", "5.3.0"))
    with pytest.raises(chart_folder.ChartError, match=r"has version 5\.3\.0, floe wants 5\.4\.0"):
        chart_folder.build_chart(source, tmp_path / "out", folders, None)
