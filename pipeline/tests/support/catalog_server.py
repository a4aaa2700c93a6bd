"""What tests of our own catalog server share."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import httpx

from floe_catalog.config import CatalogConfig

KEY = "a-signing-key"
WRITER = "PRINCIPAL_ROLE:ALL"
SCHEMA = {"type": "struct", "fields": [{"id": 1, "name": "id", "type": "long", "required": False}]}


def config(database_url: str, **settings: Any) -> CatalogConfig:
    return CatalogConfig(database_url, "root", "root-secret", **{"signing_key": KEY, **settings})


def bearer(uri: str, secret: str = "root-secret") -> dict[str, str]:
    form = {"grant_type": "client_credentials", "client_id": "root", "client_secret": secret, "scope": WRITER}
    answer = httpx.post(f"{uri}/v1/oauth/tokens", data=form)
    answer.raise_for_status()
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def add_catalog(client: Any, management: str, directory: Path) -> str:
    """A catalog on local files in which root may do everything, with namespace n; returns its name."""
    name = f"c{secrets.token_hex(4)}"
    base = f"file://{directory}/{name}"
    catalog = {
        "name": name,
        "type": "INTERNAL",
        "properties": {
            "default-base-location": base,
            "polaris.config.drop-with-purge.enabled": "true",
        },
        "storageConfigInfo": {"storageType": "FILE", "allowedLocations": [base]},
    }
    client.post(f"{management}/catalogs", json={"catalog": catalog}).raise_for_status()
    grant = {"type": "catalog", "privilege": "CATALOG_MANAGE_CONTENT"}
    grants = f"{management}/catalogs/{name}/catalog-roles/catalog_admin/grants"
    client.put(grants, json={"grant": grant}).raise_for_status()
    return name
