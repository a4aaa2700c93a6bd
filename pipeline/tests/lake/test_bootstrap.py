"""The bootstrap makes what is missing and nothing else, alone or twice at once, and proves access."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.exceptions import ForbiddenError

from fake_s3 import FakeS3
from floe_pipeline.lake.bootstrap import bootstrap
from floe_pipeline.lake.catalog import Lake
from floe_pipeline.lake.errors import LakeError
from floe_pipeline.lake.management import Management
from floe_pipeline.lake.publish import publish
from floe_pipeline.settings import Settings, SettingsError, load_settings

MakeSettings = Callable[..., Settings]


def as_cube(settings: Settings) -> Lake:
    return Lake.connect(
        settings.model_copy(
            update={
                "catalog_client_id": settings.cube_client_id,
                "catalog_client_secret": settings.cube_client_secret,
            }
        )
    )


def test_the_second_time_nothing_changes(make_settings: MakeSettings) -> None:
    settings = make_settings()
    first = bootstrap(settings)
    assert f"catalog {settings.catalog_name}" in first.changes
    second = bootstrap(settings)
    assert second.changes == []
    assert second.access == first.access
    assert {(check.principal, check.action, check.namespace) for check in first.access if check.allowed} == {
        ("pipeline", "read", "bronze"),
        ("pipeline", "write", "bronze"),
        ("pipeline", "read", "gold"),
        ("pipeline", "write", "gold"),
        ("cube", "read", "gold"),
    }


def test_twice_at_once(make_settings: MakeSettings) -> None:
    settings = make_settings()
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(bootstrap, [settings] * 3))
    made = [change for result in results for change in result.changes if change.startswith("catalog floe")]
    assert len(made) == 1
    assert bootstrap(settings).changes == []


def test_cube_reads_gold_and_nothing_else(lake: Lake) -> None:
    publish(lake, "gold.mart", pa.table({"id": [1]}), mode="replace")
    cube = as_cube(lake.settings)
    with cube.duckdb_connect() as connection:
        assert connection.execute("SELECT id FROM lake.gold.mart").fetchall() == [(1,)]
    with pytest.raises(LakeError, match=r"cannot load bronze\.orders .*ForbiddenError"):
        cube.load("bronze.orders")
    with pytest.raises(ForbiddenError):
        cube.load("gold.mart").append(pa.table({"id": [2]}))


def test_a_grant_too_many_is_taken_away(make_settings: MakeSettings) -> None:
    settings = make_settings()
    bootstrap(settings)
    grants = f"/catalogs/{settings.catalog_name}/catalog-roles/cube/grants"
    extra: dict[str, Any] = {"type": "catalog", "privilege": "CATALOG_MANAGE_CONTENT"}
    with Management.log_in(settings) as management:
        management.send("PUT", grants, {"grant": extra})
    assert bootstrap(settings).changes == ["cube is no longer granted CATALOG_MANAGE_CONTENT"]


def test_rotated_credentials_are_set(make_settings: MakeSettings) -> None:
    settings = make_settings()
    bootstrap(settings)
    rotated = load_settings(**{**settings.model_dump(), "cube_client_secret": "rotated-0123456789"})
    assert bootstrap(rotated).changes == ["credentials of cube"]
    assert bootstrap(settings).changes == ["credentials of cube"]


def test_errors_say_what_to_do(make_settings: MakeSettings) -> None:
    settings = make_settings()
    with pytest.raises(
        LakeError, match=r"refused root .*check FLOE_ROOT_CLIENT_ID and FLOE_ROOT_CLIENT_SECRET"
    ):
        bootstrap(load_settings(**{**settings.model_dump(), "root_client_secret": "wrong"}))
    with pytest.raises(
        LakeError, match=r"FLOE_CATALOG_URI=http://127\.0\.0\.1:9/api/catalog does not answer"
    ):
        bootstrap(load_settings(**{**settings.model_dump(), "catalog_uri": "http://127.0.0.1:9/api/catalog"}))
    with pytest.raises(SettingsError, match="FLOE_CUBE_CLIENT_ID is not set"):
        bootstrap(load_settings(**{**settings.model_dump(), "cube_client_id": ""}))
    bootstrap(settings)
    moved = f"{settings.warehouse_location}-moved"
    with pytest.raises(
        LakeError, match=f"exists at {settings.warehouse_location}, but FLOE_WAREHOUSE_LOCATION"
    ):
        bootstrap(load_settings(**{**settings.model_dump(), "warehouse_location": moved}))


def test_connecting_to_what_is_not_there_says_what_to_do(make_settings: MakeSettings) -> None:
    settings = make_settings()
    bootstrap(settings)
    for changes, message in (
        (
            {"catalog_client_secret": "wrong"},
            "refused client 'pipeline-id': check FLOE_CATALOG_CLIENT_SECRET",
        ),
        ({"catalog_name": "nowhere"}, "has no usable catalog 'nowhere': run `floe bootstrap` first"),
        ({"catalog_uri": "http://127.0.0.1:9/api/catalog"}, "does not answer: is the catalog running?"),
    ):
        with pytest.raises(LakeError, match=message.replace("?", r"\?")) as caught:
            Lake.connect(load_settings(**{**settings.model_dump(), **changes}))
        assert "wrong" not in str(caught.value)
    with pytest.raises(SettingsError, match="FLOE_CATALOG_CLIENT_ID is not set"):
        Lake.connect(load_settings(catalog_uri=settings.catalog_uri))


def test_the_bucket_is_made_once(make_settings: MakeSettings, bucket: FakeS3) -> None:
    s3 = {"s3_endpoint": bucket.endpoint, "s3_access_key": "key", "s3_secret_key": "secret"}
    settings = make_settings(warehouse_location="s3://floe-test/lake", **s3)
    assert bootstrap(settings).changes[0] == "bucket floe-test"
    assert bootstrap(settings).changes == []
    assert bucket.made == 1
    bucket.state = "racing"
    assert bootstrap(settings).changes == []
    bucket.state = "forbidden"
    with pytest.raises(LakeError, match=r"bucket 'floe-test' at FLOE_S3_ENDPOINT=.*check FLOE_S3_ACCESS_KEY"):
        bootstrap(settings)
    unreachable = load_settings(**{**settings.model_dump(), "s3_endpoint": "http://127.0.0.1:9"})
    with pytest.raises(LakeError, match=r"no answer .*is MinIO running there"):
        bootstrap(unreachable)
