#!/usr/bin/python
"""Makes a namespace and Secrets in it, with random values that nobody but the API server gets to see."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubernetes_api import (
    ARGUMENTS,
    CONFLICT,
    MERGE_PATCH,
    ApiError,
    KubernetesApi,
    kubernetes_api,
)
from ansible.module_utils.secret_values import SpecificationError, draw, keys_of

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
  kubectl: {description: kubectl's path., type: path, default: kubectl}
  kubeconfig: {description: "Its file, else that of C(K8S_AUTH_KUBECONFIG).", type: path}
  context: {description: "Its context, else that of C(K8S_AUTH_CONTEXT).", type: str}
"""

RETURN = r"""
made:
  description: What was made or changed, by name.
  type: list
  elements: str
  returned: always
"""

TRIES = 5


def ensure_secret(
    api: KubernetesApi,
    path: str,
    name: str,
    parts: list[dict[str, str]],
    *,
    labels: dict[str, str],
    dry: bool,
) -> bool:
    """Makes a Secret or adds the keys that it lacks; returns whether something was to do."""
    wanted = keys_of(name, parts)
    for _ in range(TRIES):
        found = api.get(f"{path}/{name}")
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
                api.send("POST", path, body)
            else:
                # refused with 409 when somebody else has changed it since it was read
                metadata = {"resourceVersion": found["metadata"]["resourceVersion"]}
                body = {"metadata": metadata, "stringData": values}
                api.send("PATCH", f"{path}/{name}", body, MERGE_PATCH)
        except ApiError as error:
            if error.status != CONFLICT:
                raise
        else:
            return True
    raise ApiError(f"Secret {name} was changed by others {TRIES} times while keys were added; run it again")


def ensure_namespace(api: KubernetesApi, name: str, labels: dict[str, str], *, dry: bool) -> bool:
    """Makes a namespace or adds the labels that it lacks; returns whether something was to do."""
    path = "/api/v1/namespaces"
    found = api.get(f"{path}/{name}")
    if found and labels.items() <= found["metadata"].get("labels", {}).items():
        return False
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    if not dry:
        try:
            if found is None:
                api.send("POST", path, body)
                return True
        except ApiError as error:
            if error.status != CONFLICT:  # another run was faster: it gets the labels below
                raise
        api.send("PATCH", f"{path}/{name}", body, MERGE_PATCH)
    return True


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "namespace": {"type": "str", "required": True},
            "namespace_labels": {"type": "dict", "default": {}},
            "secrets": {"type": "dict", "required": True, "no_log": False},
            "labels": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    params, dry, made = module.params, module.check_mode, []
    namespace = params["namespace"]
    try:
        with kubernetes_api(params["kubectl"], params["kubeconfig"], params["context"]) as api:
            if ensure_namespace(api, namespace, params["namespace_labels"], dry=dry):
                made.append(f"namespace {namespace}")
            path = f"/api/v1/namespaces/{namespace}/secrets"
            for name, parts in params["secrets"].items():
                if ensure_secret(api, path, name, parts, labels=params["labels"], dry=dry):
                    made.append(name)
    except (ApiError, SpecificationError) as error:
        module.fail_json(msg=f"Secrets in {namespace}: {error}")
    module.exit_json(changed=bool(made), made=made)


if __name__ == "__main__":
    main()
