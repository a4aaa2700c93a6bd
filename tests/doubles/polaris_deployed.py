"""Runs the catalog's contract tests against the Polaris of a deployed stack, the real one or the double.

    python -m tests.doubles.polaris_deployed [--namespace N] [--kubeconfig F] [--context C] [PYTEST...]

Polaris and MinIO are reached through port-forwards on 127.0.0.1. The catalogs that the tests make lie beside
the lake, and stay there until the stack is undeployed.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
sys.path.append(str(CHECKOUT / "roles/kubernetes_api/module_utils"))

from kubernetes_api import ApiError, forwarded, kubernetes_api  # noqa: E402 - its folder is named above

SECRET, SERVER = "floe-polaris-root", "http://minio:9000"
LOCATION = "s3://floe-warehouse/contract"


def main() -> int:
    """Entry point; returns pytest's exit code, 2 when the stack cannot be reached."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--namespace", default="floe")
    parser.add_argument("--kubectl", default="kubectl")
    parser.add_argument("--kubeconfig")
    parser.add_argument("--context")
    given, more = parser.parse_known_args()
    access, namespace = (given.kubectl, given.kubeconfig, given.context), given.namespace
    try:
        root = root_credentials(access, namespace)
        with (
            forwarded(*access, namespace=namespace, target="service/polaris", port=8181) as polaris,
            forwarded(*access, namespace=namespace, target="service/minio", port=9000) as minio,
        ):
            return run(root, polaris, minio, more)
    except ApiError as error:
        print(f"polaris_deployed: {error}", file=sys.stderr)
        return 2


def root_credentials(access: tuple[str, str | None, str | None], namespace: str) -> dict[str, str]:
    """Returns `client-id` and `client-secret` of Polaris' root.

    Raises:
        ApiError: there is no cluster or no Secret.
    """
    with kubernetes_api(*access) as api:
        secret = api.get(f"/api/v1/namespaces/{namespace}/secrets/{SECRET}")
    if secret is None:
        raise ApiError(f"namespace {namespace} has no Secret {SECRET}: deploy the infrastructure first")
    return {key: base64.b64decode(text).decode() for key, text in secret["data"].items()}


def run(root: dict[str, str], polaris: int, minio: int, more: list[str]) -> int:
    """Runs the tests; the server reaches MinIO by its name, and clients here by the forwarded port."""
    storage = {
        "storageType": "S3",
        "allowedLocations": [LOCATION],
        "endpoint": f"http://127.0.0.1:{minio}",
        "endpointInternal": SERVER,
        "stsEndpoint": SERVER,
        "pathStyleAccess": True,
        "region": "us-east-1",
        "kmsUnavailable": True,
    }
    variables = {
        "FLOE_POLARIS_URL": f"http://127.0.0.1:{polaris}",
        "FLOE_POLARIS_CLIENT_ID": root["client-id"],
        "FLOE_POLARIS_CLIENT_SECRET": root["client-secret"],
        "FLOE_POLARIS_STORAGE": json.dumps(storage),
    }
    # -k: the same tests run against floe_catalog in this process in every other run
    tests = ["pipeline/tests/catalog/contract", "-k", "polaris", "--quiet"]
    command = [sys.executable, "-m", "pytest", *tests, *more]
    return subprocess.run(command, cwd=CHECKOUT, env={**os.environ, **variables}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
