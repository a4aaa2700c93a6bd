#!/usr/bin/python
"""Makes a namespace and Secrets in it, with random values that nobody but the API server gets to see."""

from __future__ import annotations

import json
from typing import Any, Protocol

from ansible.module_utils.secret_values import SpecificationError, draw, keys_of
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import get_api_client
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.core import AnsibleK8SModule
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.exceptions import CoreException
from kubernetes.client.exceptions import ApiException

DOCUMENTATION = r"""
module: random_secrets
short_description: Make a namespace and Secrets with random values in it, each once
description:
  - Values are drawn here and sent to the API server; they are in no argument and in no result.
  - What is there is never changed. A key that a Secret lacks is added. Two runs at once end with the same
    values.
options:
  namespace: {description: Namespace; made when it is missing., type: str, required: true}
  namespace_labels: {description: Labels that it has to have., type: dict, default: {}}
  secrets:
    description: >-
      Name of a Secret -> list of its parts, each C({kind: password, key}), C({kind: text, key, text}) or
      C({kind: key_pair, key, public_key}).
    type: dict
    required: true
  labels: {description: Labels of the Secrets that are made., type: dict, default: {}}
extends_documentation_fragment: [kubernetes.core.k8s_auth_options]
"""

RETURN = r"""
made:
  description: What was made or changed, by name.
  type: list
  elements: str
  returned: always
"""

NOT_FOUND, CONFLICT = 404, 409
TRIES = 5


class Api(Protocol):
    """The API server; `kubernetes.dynamic.DynamicClient` is one."""

    def request(self, method: str, path: str, **options: object) -> Any:  # noqa: ANN401 - urllib3's answer
        """Sends a request and returns the answer."""


def find(api: Api, path: str) -> dict[str, Any] | None:
    """Gives the object at a path, or None when there is none."""
    try:
        found: dict[str, Any] = json.loads(api.request("get", path, serialize=False).data)
    except ApiException as error:
        if error.status != NOT_FOUND:
            raise
        return None
    return found


def ensure_secret(
    api: Api, path: str, name: str, parts: list[dict[str, str]], *, labels: dict[str, str], dry: bool
) -> bool:
    """Makes a Secret or adds the keys that it lacks; returns whether something was to do."""
    wanted = keys_of(name, parts)
    for _ in range(TRIES):
        found = find(api, f"{path}/{name}")
        missing = wanted - (found or {}).get("data", {}).keys()
        if not missing:
            return False
        if dry:
            return True
        values = draw(parts, missing)
        try:
            if found is None:
                metadata = {"name": name, "labels": labels}
                body = {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": metadata,
                    "type": "Opaque",
                    "stringData": values,
                }
                api.request("post", path, body=body)
            else:
                # refused with 409 when somebody else has changed it since it was read
                metadata = {"resourceVersion": found["metadata"]["resourceVersion"]}
                body = {"metadata": metadata, "stringData": values}
                api.request("patch", f"{path}/{name}", body=body, content_type="application/merge-patch+json")
        except ApiException as error:
            if error.status != CONFLICT:
                raise
        else:
            return True
    raise CoreException(
        f"Secret {name} was changed by others {TRIES} times while keys were added; run it again"
    )


def ensure_namespace(api: Api, name: str, labels: dict[str, str], *, dry: bool) -> bool:
    """Makes a namespace or adds the labels that it lacks; returns whether something was to do."""
    path = "/api/v1/namespaces"
    found = find(api, f"{path}/{name}")
    if found and labels.items() <= found["metadata"].get("labels", {}).items():
        return False
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    if not dry:
        try:
            if found is None:
                api.request("post", path, body=body)
                return True
        except ApiException as error:
            if error.status != CONFLICT:  # another run was faster: it gets the labels below
                raise
        api.request("patch", f"{path}/{name}", body=body, content_type="application/merge-patch+json")
    return True


def main() -> None:
    """Entry point."""
    module = AnsibleK8SModule(
        argument_spec={
            **AUTH_ARG_SPEC,
            "namespace": {"type": "str", "required": True},
            "namespace_labels": {"type": "dict", "default": {}},
            "secrets": {"type": "dict", "required": True, "no_log": False},
            "labels": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    made = []
    path, labels = f"/api/v1/namespaces/{module.params['namespace']}/secrets", module.params["labels"]
    try:
        api: Api = get_api_client(module).client
        namespace, dry = module.params["namespace"], module.check_mode
        if ensure_namespace(api, namespace, module.params["namespace_labels"], dry=dry):
            made.append(f"namespace {namespace}")
        for name, parts in module.params["secrets"].items():
            if ensure_secret(api, path, name, parts, labels=labels, dry=dry):
                made.append(name)
    except (CoreException, ApiException, SpecificationError) as error:
        module.fail_json(msg=f"Secrets in {module.params['namespace']}: {error}")
    module.exit_json(changed=bool(made), made=made)


if __name__ == "__main__":
    main()
