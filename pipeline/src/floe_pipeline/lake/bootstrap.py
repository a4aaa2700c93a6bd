"""Makes an empty catalog server into the lake: bucket, catalog, namespaces, principals, roles, grants.

Everything is looked at first and made only when it is missing, so it may run any number of times, and twice
at once: what another process made meanwhile (409) counts as there. Tables whose files are gone are dropped
(lost.py). The end checks what each principal may do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from floe_pipeline.lake.access import AccessCheck, Principal, check_access
from floe_pipeline.lake.bucket import Bucket
from floe_pipeline.lake.errors import LakeError
from floe_pipeline.lake.lost import drop_lost
from floe_pipeline.lake.management import Json, Management
from floe_pipeline.lake.tables import GOLD_NAMESPACE, NAMESPACES
from floe_pipeline.settings import Settings, variable
from floe_pipeline.telemetry import span

PIPELINE: Final = "pipeline"
CUBE: Final = "cube"

# What each principal may do. A grant that is not listed here is taken away again.
GRANTS: Final[dict[str, tuple[Json, ...]]] = {
    PIPELINE: ({"type": "catalog", "privilege": "CATALOG_MANAGE_CONTENT"},),
    CUBE: (
        {"type": "catalog", "privilege": "NAMESPACE_LIST"},
        {"type": "namespace", "namespace": [GOLD_NAMESPACE], "privilege": "TABLE_READ_DATA"},
    ),
}


@dataclass
class BootstrapResult:
    """What `bootstrap` found and did.

    Attributes:
        catalog: Name of the catalog.
        location: Where its tables live.
        changes: What had to be made or changed, in order; empty when all was there.
        dropped: Tables whose files are gone for good, each with the address that its metadata had.
        access: What was tried with each principal's own token at the end; all as wanted.
    """

    catalog: str
    location: str
    changes: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    access: list[AccessCheck] = field(default_factory=list)


def bootstrap(settings: Settings) -> BootstrapResult:
    """Bring the lake into being, or find that it is there.

    Args:
        settings: With root's, the pipeline's and Cube's credentials; for a warehouse on S3 also the keys that
            may make the bucket.

    Raises:
        SettingsError: Naming credentials that are not set.
        LakeError: What could not be made, and what to do about it.
    """
    settings.require(
        "root_client_id",
        "root_client_secret",
        "catalog_client_id",
        "catalog_client_secret",
        "cube_client_id",
        "cube_client_secret",
    )
    result = BootstrapResult(settings.catalog_name, settings.warehouse_location)
    principals = _principals(settings)
    with span("lake.bootstrap", **{"iceberg.catalog": settings.catalog_name}) as here:
        on_s3 = settings.warehouse_location.startswith("s3://")
        if on_s3 and (bucket := Bucket(settings)).ensure():
            result.changes.append(f"bucket {bucket.name}")
        with Management.log_in(settings) as management:
            _ensure_catalog(management, settings, result)
            _ensure_namespaces(management, settings, result)
            for principal in principals:
                _ensure_principal(management, principal, result)
                _ensure_roles(management, settings.catalog_name, principal.name, result)
        if on_s3:
            result.dropped = [str(table) for table in drop_lost(settings)]
        result.access = check_access(settings, principals)
        here.set_attribute("floe.changes", result.changes)
    return result


def _ensure_catalog(management: Management, settings: Settings, result: BootstrapResult) -> None:
    name, location = settings.catalog_name, settings.warehouse_location
    if management.create(
        "/catalogs",
        {
            "catalog": {
                "name": name,
                "type": "INTERNAL",
                "properties": {"default-base-location": location},
                "storageConfigInfo": _storage(settings),
            }
        },
    ):
        result.changes.append(f"catalog {name}")
        return
    found = management.get(f"/catalogs/{name}")
    base = str(found["properties"]["default-base-location"]).rstrip("/")
    if base != location:
        raise LakeError(
            f"catalog {name!r} exists at {base}, but {variable('warehouse_location')}={location}:"
            f" set it to {base}, or choose another {variable('catalog_name')}"
        )
    endpoint = found["storageConfigInfo"].get("endpoint")
    if endpoint and endpoint != settings.s3_endpoint:
        raise LakeError(
            f"catalog {name!r} has its files at {endpoint}, but"
            f" {variable('s3_endpoint')}={settings.s3_endpoint}: set it to {endpoint}, or choose another"
            f" {variable('catalog_name')}"
        )


def _storage(settings: Settings) -> Json:
    location = settings.warehouse_location
    if location.startswith("file://"):
        return {"storageType": "FILE", "allowedLocations": [location]}
    return {
        "storageType": "S3",
        "allowedLocations": [location],
        "endpoint": settings.s3_endpoint,
        "stsEndpoint": settings.s3_sts_endpoint or settings.s3_endpoint,
        "pathStyleAccess": True,
        "region": settings.s3_region,
        "kmsUnavailable": True,  # without it Polaris asks MinIO's STS for keys of a service that is not there
    }


def _ensure_namespaces(management: Management, settings: Settings, result: BootstrapResult) -> None:
    for namespace in NAMESPACES:
        if management.create_namespace(settings.catalog_name, namespace):
            result.changes.append(f"namespace {namespace}")


def _principals(settings: Settings) -> tuple[Principal, ...]:
    return (
        Principal(
            PIPELINE,
            settings.catalog_client_id,
            settings.catalog_client_secret.get_secret_value(),
            reads=NAMESPACES,
            writes=NAMESPACES,
        ),
        Principal(
            CUBE,
            settings.cube_client_id,
            settings.cube_client_secret.get_secret_value(),
            reads=(GOLD_NAMESPACE,),
            writes=(),
        ),
    )


def _ensure_principal(management: Management, principal: Principal, result: BootstrapResult) -> None:
    name, client_id, secret = principal.name, principal.client_id, principal.secret
    if management.create("/principals", {"principal": {"name": name}, "credentialRotationRequired": False}):
        result.changes.append(f"principal {name}")
    if not management.accepts(client_id, secret):
        body: Json = {"clientId": client_id, "clientSecret": secret}
        management.send("POST", f"/principals/{name}/reset", body)
        result.changes.append(f"credentials of {name}")


def _ensure_roles(management: Management, catalog: str, name: str, result: BootstrapResult) -> None:
    catalog_role = f"/catalogs/{catalog}/catalog-roles"
    if management.create("/principal-roles", {"principalRole": {"name": name}}):
        result.changes.append(f"principal role {name}")
    if management.create(catalog_role, {"catalogRole": {"name": name}}):
        result.changes.append(f"catalog role {name}")

    if name not in management.names(f"/principals/{name}/principal-roles"):
        body: Json = {"principalRole": {"name": name}}
        management.send("PUT", f"/principals/{name}/principal-roles", body)
        result.changes.append(f"{name} has principal role {name}")
    if name not in management.names(f"/principal-roles/{name}/catalog-roles/{catalog}"):
        body = {"catalogRole": {"name": name}}
        management.send("PUT", f"/principal-roles/{name}/catalog-roles/{catalog}", body)
        result.changes.append(f"principal role {name} has catalog role {name}")

    grants = f"{catalog_role}/{name}/grants"
    wanted = GRANTS[name]
    held: list[Json] = management.get(grants)["grants"]
    for grant in wanted:
        if grant not in held:
            management.send("PUT", grants, {"grant": grant})
            result.changes.append(f"{name} is granted {grant['privilege']}")
    for grant in held:
        if grant not in wanted:
            management.send("POST", grants, {"grant": grant})  # POST is how Polaris revokes
            result.changes.append(f"{name} is no longer granted {grant['privilege']}")
