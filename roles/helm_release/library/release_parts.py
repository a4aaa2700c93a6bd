#!/usr/bin/python
"""Lists the parts of several releases, each with how it is."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.kubernetes_api import ARGUMENTS, ApiError, kubernetes_api
from ansible.module_utils.release_reader import read_release
from ansible.module_utils.release_state import judge, parts_of, utc_now

DOCUMENTATION = r"""
module: release_parts
short_description: List the workloads and Jobs of releases with their states
description: Changes nothing. A release that is not there has no parts.
options:
  names: {description: Names of the releases., type: list, elements: str, required: true}
  namespace: {description: Their namespace., type: str, required: true}
  kubectl: {description: kubectl's path., type: path, default: kubectl}
  kubeconfig: {description: "Its file, else that of C(K8S_AUTH_KUBECONFIG).", type: path}
  context: {description: "Its context, else that of C(K8S_AUTH_CONTEXT).", type: str}
"""

RETURN = r"""
parts:
  description: A row for each, with release, revision, part, kind, pods, seconds, restarts and state.
  type: list
  elements: dict
  returned: always
"""


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "names": {"type": "list", "elements": "str", "required": True},
            "namespace": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    params, parts = module.params, []
    try:
        with kubernetes_api(params["kubectl"], params["kubeconfig"], params["context"]) as api:
            for name in params["names"]:
                found = read_release(api, params["namespace"], name)
                state = judge(found.workloads, found.jobs, found.pods, utc_now())
                rows = parts_of(found.workloads, found.jobs, found.pods, state)
                parts += [{"release": name, "revision": found.revision, **row} for row in rows]
    except ApiError as error:
        module.fail_json(msg=f"releases in {params['namespace']}: {error}")
    module.exit_json(changed=False, parts=parts)


if __name__ == "__main__":
    main()
