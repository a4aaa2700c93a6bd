#!/usr/bin/python
"""Asks Polaris, as each principal with its own token, for what it may do and what it may not."""

from __future__ import annotations

import base64
import http.client
import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.catalog_access import AccessError, try_principals
from ansible.module_utils.kubernetes_api import ARGUMENTS, ApiError, KubernetesApi, forwarded, kubernetes_api

DOCUMENTATION = r"""
module: polaris_access
short_description: Try principals of the catalog with their own tokens
description:
  - Goes through the API server to Polaris' pod, by a port on 127.0.0.1 that is free, so it works on any
    cluster. Changes nothing.
  - Credentials are read from Secrets here, and are in no argument and in no result.
options:
  namespace: {description: Namespace of Polaris and the Secrets., type: str, required: true}
  catalog: {description: Name of the catalog., type: str, required: true}
  principals:
    description: >-
      Secret with C(client-id) and C(client-secret) -> namespaces of the catalog that may be listed.
    type: dict
    required: true
  kubectl: {description: kubectl's path., type: path, default: kubectl}
  kubeconfig: {description: "Its file, else that of C(K8S_AUTH_KUBECONFIG).", type: path}
  context: {description: "Its context, else that of C(K8S_AUTH_CONTEXT).", type: str}
"""

RETURN = r"""
seen: {description: What was tried and answered., type: list, elements: str, returned: always}
"""

PORT, SECONDS = 8181, 20
SELECTOR = "app.kubernetes.io%2Fname%3Dpolaris"


def ready_pod(api: KubernetesApi, namespace: str) -> str:
    """Returns the name of Polaris' pod.

    Raises:
        AccessError: none is ready.
    """
    for pod in api.items(f"/api/v1/namespaces/{namespace}/pods?labelSelector={SELECTOR}"):
        if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", [])):
            return str(pod["metadata"]["name"])
    raise AccessError(f"no pod of Polaris is ready in namespace {namespace}")


def credentials(api: KubernetesApi, namespace: str, secret: str) -> tuple[str, str]:
    """Reads client id and secret.

    Raises:
        AccessError: there is no such Secret, or a key of it is missing.
    """
    found = api.get(f"/api/v1/namespaces/{namespace}/secrets/{secret}") or {}
    try:
        encoded = (found["data"]["client-id"], found["data"]["client-secret"])
    except KeyError as error:
        raise AccessError(f"Secret {secret} has no {error}") from error
    client_id, client_secret = (base64.b64decode(text).decode() for text in encoded)
    return client_id, client_secret


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "namespace": {"type": "str", "required": True},
            "catalog": {"type": "str", "required": True},
            "principals": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    namespace, access = params["namespace"], (params["kubectl"], params["kubeconfig"], params["context"])
    try:
        with kubernetes_api(*access) as api:
            pod = ready_pod(api, namespace)
            known = {secret: credentials(api, namespace, secret) for secret in params["principals"]}
        with forwarded(*access, namespace=namespace, target=f"pod/{pod}", port=PORT) as port:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)

            def send(
                method: str, path: str, body: str | None, headers: dict[str, str]
            ) -> tuple[int, dict[str, Any]]:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                text = answer.read()
                return answer.status, json.loads(text) if text[:1] == b"{" else {}

            seen = try_principals(send, params["catalog"], known, params["principals"])
            connection.close()
    except (ApiError, AccessError, OSError, http.client.HTTPException) as error:
        module.fail_json(msg=f"Polaris: {error}")
    module.exit_json(changed=False, seen=seen)


if __name__ == "__main__":
    main()
