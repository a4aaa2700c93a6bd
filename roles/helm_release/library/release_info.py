#!/usr/bin/python
"""Looks at all that belongs to a Helm release at once: k8s_info for four kinds, judged together."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.release_reader import Api, last_events, last_lines, read_release
from ansible.module_utils.release_state import (
    container_statuses,
    describe_pod,
    holds,
    is_well,
    judge,
    parts_of,
    utc_now,
)
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import get_api_client
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.core import AnsibleK8SModule
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.exceptions import CoreException
from kubernetes.client.exceptions import ApiException

DOCUMENTATION = r"""
module: release_info
short_description: Say whether what a Helm release made is ready, on its way, or will never be
description:
  - Meant for C(until), like M(kubernetes.core.k8s_info), where the answer is spread over Deployments,
    StatefulSets, Jobs and pods. Changes nothing.
options:
  name: {description: Name of the release., type: str, required: true}
  namespace: {description: Its namespace., type: str, required: true}
  background:
    description: >-
      Results file of an asynchronous task that runs Helm; nothing is settled before that has ended.
    type: path
  hooks:
    description: Whether Jobs of hooks have to have succeeded, too.
    type: bool
    default: true
  patches: {description: Patches of its workloads., type: list, elements: dict, default: []}
  patience:
    description: Look again every second, for as many seconds, before answering that nothing is settled yet.
    type: int
    default: 0
  explain:
    description: >-
      Return C(explanation) too, with the state, last events and last log lines of each pod that is not well.
    type: bool
    default: false
extends_documentation_fragment: [kubernetes.core.k8s_auth_options]
"""

RETURN = r"""
settled: {description: Whether waiting makes no difference any more., type: bool, returned: always}
ready: {description: Whether all of it works., type: bool, returned: always}
waiting: {description: What is waited for, a line each., type: list, elements: str, returned: always}
hopeless: {description: What will not heal, a line each., type: list, elements: str, returned: always}
unpatched:
  description: Patches that would change something.
  type: list
  elements: dict
  returned: always
stuck:
  description: Pods that hold up a StatefulSet and can be deleted.
  type: list
  elements: str
  returned: always
parts:
  description: A row for each workload and Job, with part, kind, pods, restarts and state.
  type: list
  elements: dict
  returned: always
revision: {description: Number and status of the last revision., type: str, returned: always}
remedy: {description: What to read when nothing but time seems to be missing., type: str, returned: always}
explanation: {description: For a person to read., type: list, elements: str, returned: when asked for}
"""

HELP = "docs/troubleshooting.md"
# A state counts as hopeless when it lasts: Helm may be about to replace the very pod that is in it.
LASTING_SECONDS = 6


def main() -> None:
    """Entry point."""
    module = AnsibleK8SModule(
        argument_spec={
            **AUTH_ARG_SPEC,
            "name": {"type": "str", "required": True},
            "namespace": {"type": "str", "required": True},
            "background": {"type": "path"},
            "hooks": {"type": "bool", "default": True},
            "patches": {"type": "list", "elements": "dict", "default": []},
            "patience": {"type": "int", "default": 0},
            "explain": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        api = get_api_client(module).client
        result = look(api, module.params)
        if module.params["explain"]:
            result["explanation"] = explain(api, module.params)
            if result["remedy"]:
                result["explanation"].append(f"It may only need more time ({result['remedy']})")
    except (CoreException, ApiException) as error:
        module.fail_json(msg=f"release {module.params['name']}: {error}")
    module.exit_json(changed=False, **result)


def look(api: Api, params: dict[str, Any]) -> dict[str, Any]:
    """Looks until something is settled or patience is at its end."""
    first_seen: dict[Any, float] = {}
    deadline = time.monotonic() + params["patience"]
    while True:
        helm = helm_state(params["background"])
        release = read_release(api, params["namespace"], params["name"])
        jobs = release.jobs if params["hooks"] else []
        state = judge(release.workloads, jobs, release.pods, utc_now(), helm_runs=helm == "running")
        now = time.monotonic()
        first_seen = {seen: first_seen.get(seen, now) for seen in [*state.hopeless, *state.stuck]}
        lasting = [t for t in state.hopeless if helm != "running" or now - first_seen[t] >= LASTING_SECONDS]
        stuck = [name for name in state.stuck if now - first_seen[name] >= LASTING_SECONDS]
        settled = bool(lasting or stuck) or helm == "failed" or (state.is_ready and helm != "running")
        if settled or now >= deadline:
            waiting = [f"{name} waits for {what}" for name, what in state.waiting.items()]
            if helm == "running":
                waiting.append("Helm has not ended")
            return {
                "settled": settled,
                "ready": state.is_ready and helm not in ("running", "failed"),
                "waiting": waiting,
                "stuck": stuck,
                "unpatched": [
                    p for p in params["patches"] if not any(holds(p, w) for w in release.workloads)
                ],
                "parts": parts_of(release.workloads, jobs, release.pods, state),
                "revision": release.revision,
                "remedy": f"{HELP}#{state.remedy}" if state.remedy else "",
                "hopeless": [f"{t.name}: {t.what} ({HELP}#{t.remedy})" for t in lasting],
            }
        time.sleep(1)  # between two looks at the API server


def helm_state(results_file: str | None) -> str:
    """Returns running, failed or ended; what an asynchronous task wrote first says `started`."""
    if not results_file or not Path(results_file).exists():
        return "ended"
    result = json.loads(Path(results_file).read_text() or '{"started": 1}')
    if result.get("started") and not result.get("finished"):
        return "running"
    return "failed" if result.get("failed") else "ended"


def explain(api: Api, params: dict[str, Any]) -> list[str]:
    """Tells of each pod that is not well, and of what cannot get pods at all, what there is to know."""
    namespace = params["namespace"]
    release = read_release(api, namespace, params["name"])
    lines = []
    for pod in release.pods:
        if is_well(pod):
            continue
        name = pod["metadata"]["name"]
        text, remedy = describe_pod(pod)
        lines.append(f"Pod {name}: {text}" + (f" -> {HELP}#{remedy}" if remedy else ""))
        lines += [f"  event  {event}" for event in last_events(api, namespace, name)]
        for container in container_statuses(pod):
            if container.get("ready") or not container.get("containerID"):
                continue
            previous = "waiting" in container.get("state", {}) and container.get("restartCount", 0) > 0
            said = last_lines(api, namespace, name, container["name"], previous=previous)
            lines += [f"  log of {container['name']}  {line}" for line in said]
    with_pods = {
        owner["name"] for pod in release.pods for owner in pod["metadata"].get("ownerReferences", [])
    }
    for item in release.workloads:
        name = item["metadata"]["name"]
        if not any(owner == name or owner.startswith(f"{name}-") for owner in with_pods):
            lines.append(f"{item['kind']} {name} has no pods -> {HELP}#pods-are-refused-by-the-namespace")
            lines += [
                f"  {c['type']}: {c.get('message', '')}" for c in item.get("status", {}).get("conditions", [])
            ]
            lines += [f"  event  {event}" for event in last_events(api, namespace, name)]
    return lines


if __name__ == "__main__":
    main()
