"""The warehouse's bucket, seen with the keys that may make it: makes it, and tells which files there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from minio import Minio
from minio.error import MinioException, S3Error
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError

from floe_pipeline.lake.errors import LakeError
from floe_pipeline.settings import Settings, variable

_NO_OBJECT: Final = "NoSuchKey"
_MADE_BY_ANOTHER: Final = "BucketAlreadyOwnedByYou"  # another process was faster: what was wanted


class Bucket:
    """The bucket of a warehouse on S3."""

    def __init__(self, settings: Settings) -> None:
        """A client; nothing is asked yet.

        Raises:
            SettingsError: The keys are not set.
        """
        settings.require("s3_access_key", "s3_secret_key")
        endpoint = urlsplit(settings.s3_endpoint)
        self.name = urlsplit(settings.warehouse_location).netloc
        self._where = f"bucket {self.name!r} at {variable('s3_endpoint')}={settings.s3_endpoint}"
        self._client = Minio(
            endpoint.netloc,
            access_key=settings.s3_access_key,
            secret_key=settings.s3_secret_key.get_secret_value(),
            region=settings.s3_region,
            secure=endpoint.scheme == "https",
            http_client=PoolManager(
                timeout=Timeout(connect=5, read=20), retries=Retry(2, backoff_factor=0.5)
            ),
        )

    def ensure(self) -> bool:
        """Make the bucket; False when it was there.

        Raises:
            LakeError: The storage does not answer, or refuses.
        """
        with self._explained():
            if self._client.bucket_exists(self.name):
                return False
            try:
                self._client.make_bucket(self.name)
            except S3Error as error:
                if error.code != _MADE_BY_ANOTHER:
                    raise
                return False
            return True

    def folders(self, location: str) -> set[str]:
        """Names of the folders right below a location that hold a file, at any depth.

        Args:
            location: As `s3://bucket/path`; its bucket is this one.

        Raises:
            LakeError: The storage does not answer, refuses, or has no such bucket: nothing is known then.
        """
        prefix = _key(location) + "/"
        with self._explained():
            found = [each.object_name or "" for each in self._client.list_objects(self.name, prefix)]
        return {name.removeprefix(prefix).rstrip("/") for name in found if name.endswith("/")}

    def has(self, location: str) -> bool:
        """Whether there is a file at a location.

        Raises:
            LakeError: As `folders`.
        """
        with self._explained():
            try:
                self._client.stat_object(self.name, _key(location))
            except S3Error as error:
                if error.code != _NO_OBJECT:
                    raise
                return False
            return True

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except S3Error as error:
            raise LakeError(
                f"{self._where}: {error.code}: {error.message}; check {variable('s3_access_key')} and"
                f" {variable('s3_secret_key')}"
            ) from error
        except (MinioException, HTTPError) as error:
            raise LakeError(
                f"{self._where}: no answer ({type(error).__name__}); is MinIO running there?"
            ) from error


def _key(location: str) -> str:
    return urlsplit(location).path.strip("/")
