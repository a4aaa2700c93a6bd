#!/usr/bin/python
"""Asks Polaris, as each principal with its own token, for what it may do and what it may not."""

from __future__ import annotations

import base64
import http.client
import json
from typing import Any

from ansible.module_utils.catalog_access import AccessError, try_principals
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import get_api_client
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.core import AnsibleK8SModule
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.exceptions import CoreException
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward

DOCUMENTATION = r"""
module: polaris_access
short_description: Try principals of the catalog with their own tokens
description:
  - Goes through the API server to Polaris' pod, so it needs no local port and works on any cluster. Changes
    nothing.
  - Credentials are read from Secrets here, and are in no argument and in no result.
options:
  namespace: {description: Namespace of Polaris and the Secrets., type: str, required: true}
  catalog: {description: Name of the catalog., type: str, required: true}
  principals:
    description: >-
      Secret with C(client-id) and C(client-secret) -> namespaces of the catalog that may be listed.
    type: dict
    required: true
extends_documentation_fragment: [kubernetes.core.k8s_auth_options]
"""

RETURN = r"""
seen: {description: What was tried and answered., type: list, elements: str, returned: always}
"""

PORT, SECONDS = 8181, 20
SELECTOR = "app.kubernetes.io/name=polaris"


def connect(core: client.CoreV1Api, namespace: str) -> http.client.HTTPConnection:
    """Returns an HTTP connection to Polaris' pod."""
    pods = [p for p in core.list_namespaced_pod(namespace, label_selector=SELECTOR).items
            if any(c.type == "Ready" and c.status == "True" for c in p.status.conditions or [])]  # fmt: skip
    if not pods:
        raise AccessError(f"no pod of Polaris is ready in namespace {namespace}")
    forward = portforward(
        core.connect_get_namespaced_pod_portforward, pods[0].metadata.name, namespace, ports=str(PORT)
    )
    connection = http.client.HTTPConnection("polaris", PORT, timeout=SECONDS)
    connection.sock = forward.socket(PORT)
    connection.sock.setblocking(True)
    connection.sock.settimeout(SECONDS)
    return connection


def credentials(core: client.CoreV1Api, namespace: str, secret: str) -> tuple[str, str]:
    """Reads client id and secret."""
    data = core.read_namespaced_secret(secret, namespace).data or {}
    return base64.b64decode(data["client-id"]).decode(), base64.b64decode(data["client-secret"]).decode()


def main() -> None:
    """Entry point."""
    module = AnsibleK8SModule(
        argument_spec={
            **AUTH_ARG_SPEC,
            "namespace": {"type": "str", "required": True},
            "catalog": {"type": "str", "required": True},
            "principals": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    namespace = module.params["namespace"]
    try:
        core = client.CoreV1Api(get_api_client(module).client.client)
        connection = connect(core, namespace)

        def send(
            method: str, path: str, body: str | None, headers: dict[str, str]
        ) -> tuple[int, dict[str, Any]]:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text[:1] == b"{" else {}

        known = {secret: credentials(core, namespace, secret) for secret in module.params["principals"]}
        seen = try_principals(send, module.params["catalog"], known, module.params["principals"])
    except (CoreException, ApiException, AccessError, OSError, http.client.HTTPException, KeyError) as error:
        module.fail_json(msg=f"Polaris: {error}")
    module.exit_json(changed=False, seen=seen)


if __name__ == "__main__":
    main()
