"""Makes the user of MinIO that Polaris works as: it may use the warehouse's bucket and nothing else.

Safe at any time. From the environment: FLOE_S3_ENDPOINT, FLOE_S3_REGION and FLOE_WAREHOUSE_LOCATION; root's
FLOE_S3_ACCESS_KEY and FLOE_S3_SECRET_KEY; the user's POLARIS_ACCESS_KEY and POLARIS_SECRET_KEY.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from minio import Minio, MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException, MinioException, S3Error
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError

POLICY: Final = "floe-warehouse"
USER: Final = "user of Polaris"
UNREACHABLE: Final = (MinioAdminException, MinioException, HTTPError)


def policy_of(bucket: str) -> dict[str, Any]:
    """What Polaris may do, and hand on to its clients: use the objects of one bucket, and list it."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
                "Resource": [f"arn:aws:s3:::{bucket}/*"],
            },
            {
                "Effect": "Allow",
                "Action": ["s3:GetBucketLocation", "s3:ListBucket"],
                "Resource": [f"arn:aws:s3:::{bucket}"],
            },
        ],
    }


def ensure(environment: Mapping[str, str]) -> list[str]:
    """Make policy and user where they are missing or different.

    Args:
        environment: the variables above.

    Returns:
        list[str]: what was made or changed; empty when all was there.

    Raises:
        MinioAdminException, MinioException: MinIO refuses; it says why.
        urllib3.exceptions.HTTPError: it does not answer.
    """
    root = StaticProvider(environment["FLOE_S3_ACCESS_KEY"], environment["FLOE_S3_SECRET_KEY"])
    admin = MinioAdmin(credentials=root, **_address(environment))
    access_key, secret_key = environment["POLARIS_ACCESS_KEY"], environment["POLARIS_SECRET_KEY"]
    made = []

    wanted = policy_of(urlsplit(environment["FLOE_WAREHOUSE_LOCATION"]).netloc)
    if _statements(json.loads(admin.policy_list()).get(POLICY)) != _statements(wanted):
        admin.policy_add(POLICY, policy=wanted)
        made.append(f"policy {POLICY}")

    user = json.loads(admin.user_list()).get(access_key)
    if user is None or not _accepts(login_of(environment)):
        admin.user_add(access_key, secret_key)
        made.append(USER)
    if user is None or user.get("policyName") != POLICY:
        admin.policy_set(POLICY, user=access_key)
        made.append(f"{USER} has policy {POLICY}")
    return made


def _statements(policy: dict[str, Any] | None) -> list[str]:
    """A policy in one order, since MinIO answers in any."""
    statements = policy["Statement"] if policy else []
    return sorted(f"{one['Effect']} {sorted(one['Action'])} {sorted(one['Resource'])}" for one in statements)


def login_of(environment: Mapping[str, str]) -> Minio:
    """MinIO as its user Polaris."""
    access_key, secret_key = environment["POLARIS_ACCESS_KEY"], environment["POLARIS_SECRET_KEY"]
    return Minio(access_key=access_key, secret_key=secret_key, **_address(environment))


def _address(environment: Mapping[str, str]) -> dict[str, Any]:
    endpoint = urlsplit(environment["FLOE_S3_ENDPOINT"])
    return {
        "endpoint": endpoint.netloc,
        "secure": endpoint.scheme == "https",
        "region": environment["FLOE_S3_REGION"],
        "http_client": PoolManager(timeout=Timeout(connect=5, read=20), retries=Retry(2, backoff_factor=0.5)),
    }


def _accepts(login: Minio) -> bool:
    """Whether MinIO knows the user by this password, whatever it then may."""
    try:
        login.list_buckets()
    except S3Error as error:
        return error.code == "AccessDenied"
    return True


def main() -> None:
    """Entry point; exits 1 with one line when MinIO refuses or does not answer."""
    try:
        for change in ensure(os.environ):
            print(f"made {change}", flush=True)
    except UNREACHABLE as error:
        sys.exit(f"MinIO at {os.environ['FLOE_S3_ENDPOINT']}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
