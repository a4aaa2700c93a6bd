"""Tables whose files are gone for good: found, and taken out of the catalog so that they can be made anew.

The catalog keeps a table's name and the address of its metadata; the files themselves are in the storage, and
one that lost its volume has none. Such a table can be neither read nor written, nor made again while its name
is taken. Dropped, it is missing, and tables that are missing get seeded.

Nothing is dropped on a guess. The storage must list the warehouse, and show no file at all in the table's
folder; the catalog must name metadata that is not there; and both must say the same several times. A storage
that is down, refuses, or has no bucket says nothing. Where any file is left, a person decides.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx

from floe_pipeline.lake.bucket import Bucket
from floe_pipeline.lake.errors import LakeError
from floe_pipeline.lake.management import fetch_token, http_client
from floe_pipeline.settings import Settings, variable

LOOKS: Final = 3
PAUSE_SECONDS: Final = 1.0
# Iceberg's name for metadata that is not there. Polaris sends it with 400 or 404, by the storage's own error.
_NO_METADATA: Final = "NotFoundException"
_ADDRESS: Final = re.compile(r"s3://\S+\.json")


@dataclass(frozen=True, order=True)
class LostTable:
    """A table without files.

    Attributes:
        name: As `bronze.orders`.
        metadata: Address of the metadata that is gone; a table made again has another. Empty when the catalog
            does not tell.
    """

    name: str
    metadata: str

    def __str__(self) -> str:
        return f"{self.name} ({self.metadata})" if self.metadata else self.name


def find_lost(settings: Settings) -> set[LostTable]:
    """Look once which tables have no files; where all is well that is one listing a namespace on either side.

    Args:
        settings: With the pipeline's credentials, and the keys that may make the bucket.

    Raises:
        LakeError: Catalog or storage do not answer, or refuse: nothing is known then.
    """
    bucket = Bucket(settings)
    with http_client() as client:
        catalog = _Catalog.log_in(client, settings)
        return {
            lost
            for namespace in catalog.namespaces()
            for lost in _lost_of(namespace, catalog, bucket, f"{settings.warehouse_location}/{namespace}")
        }


def drop_lost(settings: Settings) -> list[LostTable]:
    """Drop the tables that have no files, time and again; their addresses are in the result.

    Raises:
        LakeError: As `find_lost`; what was dropped before is dropped.
    """
    lost = find_lost(settings)
    for _ in range(LOOKS - 1):
        if not lost:
            return []
        time.sleep(PAUSE_SECONDS)
        lost &= find_lost(settings)
    with http_client() as client:
        catalog = _Catalog.log_in(client, settings)
        for table in sorted(lost):
            catalog.drop(table.name)
    return sorted(lost)


def _lost_of(namespace: str, catalog: _Catalog, bucket: Bucket, location: str) -> Iterator[LostTable]:
    names = catalog.tables(namespace)
    with_files = bucket.folders(location)
    for name in names - with_files:
        address = catalog.metadata_address(namespace, name)
        # Somebody may have put a table of their own elsewhere: that one is not for us to judge.
        if address is None or not (address or location).startswith(location):
            continue
        if not (address and bucket.has(address)):
            yield LostTable(f"{namespace}.{name}", address)


class _Catalog:
    """As much of Iceberg's REST API as this needs, in a process that should stay small."""

    def __init__(self, client: httpx.Client, settings: Settings) -> None:
        self._client = client
        self._where = f"{variable('catalog_uri')}={settings.catalog_uri}"
        self._namespaces = f"{settings.catalog_uri}/v1/{settings.catalog_name}/namespaces"

    @classmethod
    def log_in(cls, client: httpx.Client, settings: Settings) -> _Catalog:
        """As the pipeline."""
        catalog = cls(client, settings)
        secret = settings.catalog_client_secret.get_secret_value()
        try:
            answer = fetch_token(client, settings, settings.catalog_client_id, secret)
        except httpx.HTTPError as error:
            raise catalog._no_answer(error) from error
        if not answer.is_success:
            raise LakeError(
                f"{catalog._where} refused client {settings.catalog_client_id!r} ({answer.status_code}):"
                " run `floe bootstrap` again"
            )
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return catalog

    def namespaces(self) -> set[str]:
        """Those at the top, where all tables of the lake are."""
        found = self._expect(self._ask("GET", self._namespaces))
        return {levels[0] for levels in found["namespaces"] if len(levels) == 1}

    def tables(self, namespace: str) -> set[str]:
        """Names of the tables in a namespace."""
        found = self._expect(self._ask("GET", f"{self._namespaces}/{namespace}/tables"))
        return {each["name"] for each in found["identifiers"]}

    def metadata_address(self, namespace: str, name: str) -> str | None:
        """Where the catalog believes a table's metadata to be; "" when it says that it is not there.

        Returns:
            None when there is no such table (any more).
        """
        answer = self._ask("GET", f"{self._namespaces}/{namespace}/tables/{name}", snapshots="refs")
        if answer.is_client_error:
            error = answer.json().get("error", {})
            if error.get("type") == _NO_METADATA:
                named = _ADDRESS.search(str(error.get("message")))
                return named[0] if named else ""
            if answer.status_code == httpx.codes.NOT_FOUND:
                return None
        return str(self._expect(answer)["metadata-location"])

    def drop(self, identifier: str) -> None:
        """Take a table out of the catalog; one that is gone already is what was wanted."""
        namespace, name = identifier.split(".", 1)
        answer = self._ask("DELETE", f"{self._namespaces}/{namespace}/tables/{name}", purgeRequested="false")
        if answer.status_code != httpx.codes.NOT_FOUND:
            self._expect(answer)

    def _ask(self, method: str, url: str, **parameters: str) -> httpx.Response:
        try:
            return self._client.request(method, url, params=parameters)
        except httpx.HTTPError as error:
            raise self._no_answer(error) from error

    def _expect(self, answer: httpx.Response) -> dict[str, Any]:
        if not answer.is_success:
            raise LakeError(
                f"{answer.request.method} {answer.url}: {answer.status_code}: {answer.text[:200]}"
            )
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    def _no_answer(self, error: httpx.HTTPError) -> LakeError:
        return LakeError(f"{self._where} does not answer: is the catalog running? ({type(error).__name__})")
