"""How Polaris' variables and its admin tool's commands reach floe_catalog."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from polaris_double import admin
from polaris_double.__main__ import catalog_environment
from polaris_double.properties import TOKEN_LIFETIME, seconds, setting
from polaris_double.realms import Realms, database_url, parse_credentials

DATABASE = {
    "QUARKUS_DATASOURCE_JDBC_URL": "jdbc:postgresql://postgresql:5432/polaris?currentSchema=polaris_schema",
    "QUARKUS_DATASOURCE_USERNAME": "polaris",
    "QUARKUS_DATASOURCE_PASSWORD": "p@ss/word",
}


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sa.URL:
    url = sa.make_url(f"sqlite:///{tmp_path}/polaris.db")
    monkeypatch.setattr(admin, "database_url", lambda _: url)
    return url


def test_the_variables_of_the_image_reach_the_catalog() -> None:
    given = {
        **DATABASE,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-west-2",
    }
    mapped = catalog_environment(given, ("root", "s3cr3t"), "POLARIS")
    assert sa.make_url(mapped["FLOE_CATALOG_DATABASE_URL"]).password == "p@ss/word"
    assert sa.make_url(mapped["FLOE_CATALOG_DATABASE_URL"]).host == "postgresql"
    assert mapped["FLOE_CATALOG_S3_ACCESS_KEY"] == "key"
    assert mapped["FLOE_CATALOG_S3_REGION"] == "us-west-2"
    assert (mapped["FLOE_CATALOG_ROOT_CLIENT_ID"], mapped["FLOE_CATALOG_ROOT_CLIENT_SECRET"]) == (
        "root",
        "s3cr3t",
    )


TOKEN_VARIABLE = "POLARIS_AUTHENTICATION_TOKEN_BROKER_MAX_TOKEN_GENERATION"


def test_a_setting_is_taken_from_the_environment_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "application.properties"
    assert setting(TOKEN_LIFETIME, {}, file) is None
    file.write_text(f"# {TOKEN_LIFETIME}=PT1S\nother=1\n{TOKEN_LIFETIME} = PT20S\n")
    assert setting(TOKEN_LIFETIME, {}, file) == "PT20S"
    assert setting(TOKEN_LIFETIME, {TOKEN_VARIABLE: "PT2M"}, file) == "PT2M"


def test_the_lifetime_of_tokens_reaches_the_catalog() -> None:
    mapped = catalog_environment({**DATABASE, TOKEN_VARIABLE: "PT1M30S"}, ("root", "s3cr3t"), "POLARIS")
    assert mapped["FLOE_CATALOG_TOKEN_SECONDS"] == "90"
    assert "FLOE_CATALOG_TOKEN_SECONDS" not in catalog_environment(DATABASE, ("root", "s3cr3t"), "POLARIS")


@pytest.mark.parametrize("text", ["an hour", "3600", "1h", "PT0S", "-PT5S"])
def test_a_lifetime_that_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=f"{TOKEN_LIFETIME}={text} must be an ISO 8601 duration"):
        seconds(TOKEN_LIFETIME, text)


def test_a_database_that_is_not_postgresql_is_refused() -> None:
    with pytest.raises(ValueError, match="QUARKUS_DATASOURCE_JDBC_URL='jdbc:h2:mem'"):
        database_url({"QUARKUS_DATASOURCE_JDBC_URL": "jdbc:h2:mem"})


def test_bootstrap_may_be_repeated_and_keeps_the_first_credentials(url: sa.URL) -> None:
    assert admin.main(["bootstrap", "--realm=POLARIS", "--credential=POLARIS,root,first"]) == 0
    refused: list[sa.engine.ExceptionContext] = []
    heard = refused.append
    sa.event.listen(sa.Engine, "handle_error", heard)
    try:
        assert admin.main(["bootstrap", "--realm=POLARIS", "--credential=POLARIS,root,second"]) == 0
    finally:
        sa.event.remove(sa.Engine, "handle_error", heard)
    assert Realms(url).root("POLARIS") == ("root", "first")
    assert refused == []  # PostgreSQL logs what it refuses, with the secret in it


def test_root_credentials_may_come_in_a_file(url: sa.URL, tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    file.write_text('{"POLARIS": {"client-id": "root", "client-secret": "quoted \\" and \\\\"}}')
    assert admin.main(["bootstrap", f"--credentials-file={file}"]) == 0
    assert Realms(url).root("POLARIS") == ("root", 'quoted " and \\')


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"R": "hush"}', '{"R": {"client-id": "a"}}', '{"R": {"client-secret": "hush"}}']
)
def test_a_file_without_credentials_is_refused_without_showing_it(
    url: sa.URL, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "credentials.json"
    file.write_text(text)
    assert admin.main(["bootstrap", "-f", str(file)]) == 2
    said = capsys.readouterr().err
    assert f"{file} must hold" in said
    assert "hush" not in said


def test_purge_forgets_a_realm_once(url: sa.URL) -> None:
    admin.main(["bootstrap", "-r", "POLARIS", "-c", "POLARIS,root,first"])
    assert admin.main(["purge", "-r", "POLARIS"]) == 0
    assert Realms(url).root("POLARIS") is None
    assert admin.main(["purge", "-r", "POLARIS"]) == 1


@pytest.mark.parametrize("text", ["POLARIS,root", "POLARIS,root,", "POLARIS,a,hush,b"])
def test_malformed_credentials_are_refused_without_showing_them(text: str) -> None:
    with pytest.raises(ValueError, match="realm 'POLARIS' must be realm,clientId,clientSecret") as error:
        parse_credentials(text)
    assert "hush" not in str(error.value)


def test_wrong_usage_ends_with_2(url: sa.URL) -> None:
    assert admin.main(["bootstrap", "-r", "POLARIS", "-c", "POLARIS"]) == 2
    with pytest.raises(SystemExit) as stopped:
        admin.main(["frobnicate"])
    assert stopped.value.code == 2
