"""Short-lived S3 keys for clients, narrowed by a session policy to one table's prefix."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from minio.credentials.providers import AssumeRoleProvider
from minio.error import MinioException
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError

from floe_catalog.config import S3Config
from floe_catalog.errors import BadRequestError, ServiceUnavailableError
from floe_catalog.storage import client_s3_properties
from floe_catalog.store import CatalogRow

_READ = ["s3:GetObject", "s3:GetObjectVersion"]
_WRITE = ["s3:PutObject", "s3:DeleteObject"]


@dataclass(frozen=True)
class SessionKeys:
    """Keys from STS with the moment they expire (UTC)."""

    access_key: str
    secret_key: str
    session_token: str
    expires: datetime


AssumeRole = Callable[[CatalogRow, str], SessionKeys]


class CredentialVendor:
    """Hands out keys for a table, reusing them while more than half of their life is left."""

    def __init__(self, s3: S3Config | None, assume_role: AssumeRole | None = None) -> None:
        """Create a vendor.

        Args:
            s3: The server's own keys; None when it has none.
            assume_role: How to get keys for (catalog, session policy); STS AssumeRole by default.
        """
        self._s3 = s3
        self._assume_role = assume_role or self._ask_sts
        self._cache: dict[tuple[str, tuple[str, ...], bool], SessionKeys] = {}
        self._lock = threading.Lock()

    def vend(self, catalog: CatalogRow, locations: tuple[str, ...], *, write: bool) -> dict[str, str]:
        """Client properties with keys for these locations; empty for a catalog on local files.

        Raises:
            BadRequestError: The catalog's storage has no STS, or the server no keys.
            ServiceUnavailableError: STS does not answer.
        """
        if catalog.storage["storageType"] == "FILE":
            return {}
        if self._s3 is None or catalog.storage.get("stsUnavailable"):
            reason = "its storage has no STS" if self._s3 else "the server has no S3 keys"
            message = f"Credential vending was requested for catalog {catalog.name}, but {reason}"
            raise BadRequestError(message)
        keys = self._keys(catalog, locations, write=write)
        return {
            "s3.access-key-id": keys.access_key,
            "s3.secret-access-key": keys.secret_key,
            "s3.session-token": keys.session_token,
            "s3.session-token-expires-at-ms": str(int(keys.expires.timestamp() * 1000)),
            **client_s3_properties(catalog, self._s3),
        }

    def _keys(self, catalog: CatalogRow, locations: tuple[str, ...], *, write: bool) -> SessionKeys:
        assert self._s3 is not None
        now = datetime.now(UTC)
        key = (json.dumps(catalog.storage, sort_keys=True), locations, write)
        with self._lock:
            cached = self._cache.get(key)
        if cached and (cached.expires - now).total_seconds() > self._s3.credential_seconds / 2:
            return cached
        keys = self._assume_role(catalog, session_policy(locations, write=write))
        with self._lock:
            self._cache = {k: v for k, v in self._cache.items() if v.expires > now}
            self._cache[key] = keys
        return keys

    def _ask_sts(self, catalog: CatalogRow, policy: str) -> SessionKeys:
        assert self._s3 is not None
        storage: Mapping[str, object] = catalog.storage
        endpoint = storage.get("stsEndpoint") or storage.get("endpointInternal") or storage.get("endpoint")
        if not endpoint:
            raise BadRequestError(
                f"Catalog {catalog.name}: storageConfigInfo.stsEndpoint is needed to vend keys"
            )
        role = storage.get("roleArn")
        provider = AssumeRoleProvider(
            sts_endpoint=str(endpoint),
            access_key=self._s3.access_key,
            secret_key=self._s3.secret_key,
            duration_seconds=self._s3.credential_seconds,
            policy=policy,
            region=str(storage.get("region") or self._s3.region),
            role_arn=str(role) if role else None,
            role_session_name="floe-catalog",
            http_client=PoolManager(
                timeout=Timeout(connect=3, read=10), retries=Retry(total=2, backoff_factor=0.2)
            ),
        )
        try:
            credentials = provider.retrieve()
        except (MinioException, HTTPError, ValueError) as error:
            raise ServiceUnavailableError(f"STS at {endpoint} gave no keys: {error}") from error
        # minio keeps the expiry as UTC without saying so.
        expires = (credentials.expiration or datetime.now(UTC)).replace(tzinfo=UTC)
        return SessionKeys(
            credentials.access_key, credentials.secret_key, credentials.session_token or "", expires
        )


def session_policy(locations: tuple[str, ...], *, write: bool) -> str:
    """The session policy for some s3:// locations: read and list, and write if asked for."""
    objects = []
    prefixes: dict[str, list[str]] = {}
    for location in locations:
        bucket, _, path = location.removeprefix("s3://").partition("/")
        prefix = _literal(path.strip("/") + "/").lstrip("/")
        objects.append(f"arn:aws:s3:::{bucket}/{prefix}*")
        prefixes.setdefault(bucket, []).append(f"{prefix}*")
    statements: list[dict[str, object]] = [
        {"Effect": "Allow", "Action": _READ + (_WRITE if write else []), "Resource": objects}
    ]
    for bucket, paths in prefixes.items():
        arn = f"arn:aws:s3:::{bucket}"
        only = {"StringLike": {"s3:prefix": paths}}
        statements += [
            {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [arn], "Condition": only},
            {"Effect": "Allow", "Action": ["s3:GetBucketLocation"], "Resource": [arn]},
        ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _literal(path: str) -> str:
    """A path in which the policy language's wildcards stand for themselves."""
    return "".join(f"${{{char}}}" if char in "*?$" else char for char in path)
