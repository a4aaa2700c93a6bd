"""What FLOE_* environment variables may be, read once into one frozen object."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX: Final = "FLOE_"
DEFAULT_CRON: Final = "*/5 * * * *"

_MEMORY = re.compile(r"\d+(\.\d+)?\s?[KMGT]i?B")
_USERINFO = re.compile(r"//[^/@]*@")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_BUCKET_AND_PREFIX = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^/].*")


class SettingsError(ValueError):
    """Environment variables that cannot be used, one line for each: variable, value, what is allowed."""


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("not a plain URL")
    if parts.username or parts.password:
        raise ValueError("credentials do not belong in a URL")
    _ = parts.port  # raises ValueError when it is not a port
    return value.rstrip("/")


def _warehouse(value: str) -> str:
    is_file = value.startswith("file:///") and len(value) > len("file:///")
    if not is_file and not _BUCKET_AND_PREFIX.fullmatch(value):
        raise ValueError("not a warehouse location")
    return value.rstrip("/")


def _matching(pattern: re.Pattern[str]) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError("wrong form")
        return value

    return AfterValidator(check)


def _cron(value: str) -> str:
    if value == DEFAULT_CRON:  # the usual case does not pay for importing Dagster
        return value
    from dagster._utils.schedules import is_valid_cron_string  # noqa: PLC0415  # accepts what Dagster accepts

    if not is_valid_cron_string(value):
        raise ValueError("not a cron expression")
    return value


# Each type carries, as its description, the words that an error message uses for "what is allowed".
HttpUrl = Annotated[
    str,
    AfterValidator(_http_url),
    Field(description="a URL such as http://host:8181/path, without credentials"),
]
Warehouse = Annotated[
    str,
    AfterValidator(_warehouse),
    Field(description="s3://bucket/prefix (a prefix is needed) or file:///absolute/folder"),
]
Name = Annotated[
    str, _matching(_NAME), Field(description="letters, digits, - and _, starting with a letter or digit")
]
Memory = Annotated[str, _matching(_MEMORY), Field(description="a number and a unit, such as 1GB or 512MB")]
Cron = Annotated[
    str, AfterValidator(_cron), Field(description="a cron expression of five fields, such as */5 * * * *")
]
Positive = Annotated[int, Field(ge=1, le=10**12, description="a whole number, 1 or more")]
NotNegative = Annotated[int, Field(ge=0, le=10**12, description="a whole number, 0 or more")]
Seed = Annotated[int, Field(ge=0, lt=2**63, description="a whole number from 0 to 2^63 - 1")]
Scope = Annotated[
    str,
    _matching(re.compile(r"PRINCIPAL_ROLE:\S+")),
    Field(description="PRINCIPAL_ROLE:ALL or PRINCIPAL_ROLE:name"),
]


class Settings(BaseSettings):
    """Every knob of the pipeline; a field `x` is the environment variable `FLOE_X`.

    Secrets are `SecretStr`: neither `repr` nor an error message shows them.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True, validate_default=False
    )

    target: Literal["embedded", "local", "testbed"] = Field(
        "embedded", description="embedded, local or testbed"
    )

    # --- the catalog, as the pipeline's own principal
    catalog_uri: HttpUrl = "http://127.0.0.1:8181/api/catalog"
    catalog_management_uri: HttpUrl | None = Field(
        None, description="a URL such as http://host:8181/api/management/v1"
    )
    catalog_name: Name = "floe"
    catalog_client_id: str = ""
    catalog_client_secret: SecretStr = SecretStr("")
    catalog_scope: Scope = "PRINCIPAL_ROLE:ALL"

    # --- bootstrap only: nothing else of the pipeline may hold these
    root_client_id: str = ""
    root_client_secret: SecretStr = SecretStr("")
    cube_client_id: str = ""
    cube_client_secret: SecretStr = SecretStr("")
    warehouse_location: Warehouse = "s3://floe-warehouse/lake"
    s3_endpoint: HttpUrl = "http://minio:9000"
    s3_sts_endpoint: HttpUrl | None = Field(None, description="a URL such as http://minio:9000")
    s3_region: Name = "us-east-1"
    s3_access_key: str = ""
    s3_secret_key: SecretStr = SecretStr("")

    # --- telemetry and lineage
    traces: Literal["off", "file", "otlp"] = Field("off", description="off, file or otlp")
    traces_file: Path = Field(Path("build/traces.jsonl"), description="a file's path")
    otlp_endpoint: HttpUrl = "http://jaeger:4318"
    traces_url: HttpUrl | None = Field(
        None, description="a URL such as http://localhost:16686, where a person looks at traces"
    )
    lineage: Literal["off", "file", "http"] = Field("off", description="off, file or http")
    lineage_file: Path = Field(Path("build/lineage.jsonl"), description="a file's path")
    lineage_url: HttpUrl = "http://marquez:5000"
    lineage_ui_url: HttpUrl | None = Field(
        None, description="a URL such as http://localhost:5001, where a person looks at lineage"
    )

    # --- generation
    seed: Seed = 42
    seed_customers: Positive = 1000
    seed_products: Positive = 200
    seed_orders: Positive = 10_000
    history_days: Positive = 730
    cycle_orders: Positive = 100
    cycle_customers: NotNegative = 5
    schedule_cron: Cron = DEFAULT_CRON
    sensor_seconds: Positive = 30

    # --- maintenance
    snapshot_keep_minutes: NotNegative = 60
    orphan_min_age_minutes: NotNegative = 60
    compact_files: Annotated[int, Field(ge=2, description="a whole number, 2 or more")] = 32

    # --- engine
    duckdb_memory_limit: Memory = "1GB"
    duckdb_threads: Positive = 2
    duckdb_extension_directory: Path = Field(
        Path("~/.cache/floe/duckdb_extensions"), description="a folder that can be written to"
    )

    @property
    def management_uri(self) -> str:
        """Root of the catalog's management API; beside the Iceberg API unless it is set."""
        return self.catalog_management_uri or (
            self.catalog_uri.removesuffix("/api/catalog") + "/api/management/v1"
        )

    def require(self, *fields: str) -> None:
        """Make sure that fields which have no default are set.

        Args:
            fields: Names of fields of this class, for example `catalog_client_id`.

        Raises:
            SettingsError: Naming every variable that is missing, a line each.
        """
        missing = [name for name in fields if not _plain(getattr(self, name))]
        if missing:
            raise SettingsError(
                "\n".join(
                    f"{variable(name)} is not set: it is needed here and has no default" for name in missing
                )
            )

    def environment(self) -> dict[str, str]:
        """The same settings as environment variables, for a subprocess or a dbt profile; holds secrets."""
        values = {variable(name): _plain(getattr(self, name)) for name in type(self).model_fields}
        return {name: text for name, text in values.items() if text}


def variable(field: str) -> str:
    """Name of the environment variable of a field."""
    return PREFIX + field.upper()


def _plain(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return "" if value is None else str(value)


def load_settings(**overrides: object) -> Settings:
    """Read the settings from the environment.

    Args:
        overrides: Values by field name that win over the environment.

    Returns:
        Settings: Validated and frozen.

    Raises:
        SettingsError: All values that cannot be used, one line for each.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks them at run time
    except ValidationError as error:
        by_field: dict[str, str] = {}
        for problem in error.errors(include_url=False, include_context=False):
            field = str(problem["loc"][0])
            by_field.setdefault(field, _explain(field, problem))
        raise SettingsError("\n".join(by_field.values())) from None


def _explain(field: str, problem: Mapping[str, Any]) -> str:
    info = Settings.model_fields[field]
    is_secret = info.annotation is SecretStr
    shown = "***" if is_secret else _USERINFO.sub("//***@", repr(problem["input"]))
    return f"{variable(field)}={shown} cannot be used: it must be {info.description or 'text'}"
