"""The dbt project itself: described, parsed once, and free of secrets."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from dbt.cli.main import dbtRunner

import floe_pipeline
from floe_pipeline.lake.tables import GOLD
from floe_pipeline.settings import Settings
from floe_pipeline.transform import project, runner
from floe_pipeline.transform.project import TransformError, dbt_project_dir, load_manifest, manifest_json
from floe_synthetic.schemas import SCHEMAS

from .conftest import Shop

pytestmark = pytest.mark.slow


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No manifest is known yet, neither to this process nor in the folder for the next one."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr(project.tempfile, "tempdir", str(folder))
    monkeypatch.setattr(project, "_packed", {})
    return folder


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(manifest_json().read_text())
    return read


def test_unit_tests_of_the_business_rules(shop: Shop) -> None:
    shop.build()
    result = runner._invoke(
        "dbt.unit_tests",
        ["build", "--exclude", "test_type:data", "--exclude-resource-types", "exposure"],
        shop.settings,
        lake=shop.lake,
        run_id=None,
    )
    units = [node.status for node in result.nodes if node.resource_type == "unit_test"]
    assert len(units) >= 9
    assert set(units) == {"pass"}


def test_everything_is_described(manifest: dict[str, Any]) -> None:
    described = {
        node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"
    }
    described |= {f"bronze.{node['name']}": node for node in manifest["sources"].values()}
    for name, node in described.items():
        assert node["description"], name
        assert all(column["description"] for column in node["columns"].values()), name
    for spec in GOLD:
        assert list(described[spec.name]["columns"]) == list(spec.schema.column_names)
    for name, schema in SCHEMAS.items():
        assert list(described[f"bronze.{name}"]["columns"]) == schema.names


def test_a_manifest_is_parsed_once(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_manifest()
    monkeypatch.setattr(project, "dbtRunner", None)  # whoever parses again now fails
    assert set(load_manifest().nodes) == set(first.nodes)
    monkeypatch.setattr(project, "_packed", {})
    assert set(load_manifest().nodes) == set(first.nodes)
    kept = [path.suffix for path in (own_cache / f"floe-dbt-{os.getuid()}").iterdir()]
    assert sorted(kept) == [".json", ".msgpack"], "nothing else is left there"


def test_an_installed_project_that_is_read_only_and_changes(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site-packages" / "floe_pipeline"
    shutil.copytree(dbt_project_dir(), site / "dbt")
    monkeypatch.setattr(floe_pipeline, "__file__", str(site / "__init__.py"))
    assert dbt_project_dir() == site / "dbt"
    before = {path: path.stat().st_mtime_ns for path in site.rglob("*")}
    assert "model.floe.orders" in load_manifest().nodes
    assert {path: path.stat().st_mtime_ns for path in site.rglob("*")} == before, (
        "nothing is written beside it"
    )
    (site / "dbt/models/marts/more.sql").write_text("select * from {{ ref('orders') }}")
    assert "model.floe.more" in load_manifest().nodes
    (site / "dbt/models/marts/more.sql").write_text("select * from {{ ref('nothing') }}")
    with pytest.raises(TransformError, match=r"does not parse: .*nothing"):
        load_manifest()
    shutil.rmtree(site / "dbt")
    with pytest.raises(TransformError, match="no dbt project in"):
        dbt_project_dir()


def test_a_cache_that_others_can_write_to_is_refused(own_cache: Path) -> None:
    (own_cache / f"floe-dbt-{os.getuid()}").mkdir(mode=0o777)
    (own_cache / f"floe-dbt-{os.getuid()}").chmod(0o777)
    with pytest.raises(TransformError, match="can be written to by others"):
        load_manifest()


def test_a_bare_dbt_build_reads_the_environment_and_leaks_no_secret(
    shop: Shop, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    folders = [
        *("--project-dir", str(dbt_project_dir()), "--profiles-dir", str(dbt_project_dir())),
        *(
            "--target-path",
            str(tmp_path),
            "--log-path",
            str(tmp_path),
            "--log-level-file",
            "debug",
            "--quiet",
        ),
    ]
    outcome = dbtRunner().invoke(["build", "--exclude-resource-type", "unit_test", *folders])
    assert outcome.success, outcome.exception
    assert shop.one("SELECT count(*) FROM lake.gold.orders") == 400
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"manifest.json", "run_results.json", "dbt.log"} <= {path.name for path in written}
    secret = settings.catalog_client_secret.get_secret_value().encode()
    assert not [path for path in written if secret in path.read_bytes()]
