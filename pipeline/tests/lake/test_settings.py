"""Bad settings are named one by one: variable, value, and what would be right; secrets are never shown."""

from __future__ import annotations

import pytest

from floe_pipeline.settings import Settings, SettingsError, load_settings


def refused(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("FLOE_TARGET", "production", "embedded, local or testbed"),
        ("FLOE_CATALOG_URI", "polaris:8181", "a URL such as http://host:8181/path"),
        ("FLOE_CATALOG_URI", "http://host:99999/api", "a URL such as http://host:8181/path"),
        ("FLOE_CATALOG_NAME", "my catalog", "letters, digits, - and _"),
        ("FLOE_CATALOG_SCOPE", "ALL", "PRINCIPAL_ROLE:ALL or PRINCIPAL_ROLE:name"),
        ("FLOE_WAREHOUSE_LOCATION", "s3://floe-warehouse", "s3://bucket/prefix (a prefix is needed)"),
        ("FLOE_WAREHOUSE_LOCATION", "/tmp/warehouse", "file:///absolute/folder"),
        ("FLOE_TRACES", "yes", "off, file or otlp"),
        ("FLOE_LINEAGE", "kafka", "off, file or http"),
        ("FLOE_SEED", "-1", "a whole number from 0 to 2^63 - 1"),
        ("FLOE_SEED_ORDERS", "0", "a whole number, 1 or more"),
        ("FLOE_CYCLE_ORDERS", "1e3", "a whole number, 1 or more"),
        ("FLOE_COMPACT_FILES", "1", "a whole number, 2 or more"),
        ("FLOE_SCHEDULE_CRON", "every 5 minutes", "a cron expression of five fields"),
        ("FLOE_SCHEDULE_CRON", "61 * * * *", "a cron expression of five fields"),
        ("FLOE_DUCKDB_MEMORY_LIMIT", "lots", "a number and a unit, such as 1GB"),
    ],
)
def test_a_bad_value_is_one_line_that_says_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    (line,) = refused(monkeypatch, **{name: value})
    assert line.startswith(f"{name}={value!r} cannot be used: it must be ")
    assert allowed in line


def test_all_bad_values_are_listed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = refused(monkeypatch, FLOE_SEED="x", FLOE_TARGET="y", FLOE_OTLP_ENDPOINT="z")
    assert sorted(line.split("=")[0] for line in lines) == ["FLOE_OTLP_ENDPOINT", "FLOE_SEED", "FLOE_TARGET"]


def test_secrets_are_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOE_CATALOG_CLIENT_SECRET", "hunter2")
    assert "hunter2" not in repr(load_settings())
    (line,) = refused(monkeypatch, FLOE_S3_ENDPOINT="http://admin:hunter2@minio:9000")
    assert "hunter2" not in line
    assert "without credentials" in line


def test_what_is_needed_and_missing_is_named() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(catalog_client_id="id").require(
            "catalog_client_id", "catalog_client_secret", "root_client_id"
        )
    assert [line.split()[0] for line in str(caught.value).splitlines()] == [
        "FLOE_CATALOG_CLIENT_SECRET",
        "FLOE_ROOT_CLIENT_ID",
    ]


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOE_SEED_ORDERS", "")
    assert load_settings().seed_orders == 10_000


def test_any_cron_that_dagster_takes_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOE_SCHEDULE_CRON", "0 6-18/2 * * MON-FRI")
    assert load_settings().schedule_cron == "0 6-18/2 * * MON-FRI"


def test_the_management_api_is_beside_the_catalog_unless_said() -> None:
    beside = load_settings(catalog_uri="http://polaris:8181/api/catalog/")
    assert beside.management_uri == "http://polaris:8181/api/management/v1"
    elsewhere = load_settings(catalog_management_uri="http://admin/api/management/v1")
    assert elsewhere.management_uri == "http://admin/api/management/v1"


def test_the_environment_of_a_subprocess_makes_the_same_settings(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings
