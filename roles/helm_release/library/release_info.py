#!/usr/bin/python
"""Looks at all that belongs to a Helm release at once: k8s_info for four kinds, judged together."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.helm_record import is_of, last_record
from ansible.module_utils.kubernetes_api import ARGUMENTS, ApiError, KubernetesApi, kubernetes_api
from ansible.module_utils.release_reader import last_events, last_lines, read_release
from ansible.module_utils.release_state import (
    container_statuses,
    describe_pod,
    is_well,
    judge,
    utc_now,
    would_change,
)

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
  patches:
    description: >-
      Patches of its workloads. One that would change a workload which is there is worth an answer before the
      rest is settled.
    type: list
    elements: dict
    default: []
  chart: {description: Folder of the chart that is wanted., type: path}
  values: {description: File with the values that are wanted., type: path}
  patience:
    description: Look again every second, for as many seconds, before answering that nothing is settled yet.
    type: int
    default: 0
  explain:
    description: >-
      Return C(explanation) too, with the state, last events and last log lines of each pod that is not well.
    type: bool
    default: false
  kubectl: {description: kubectl's path., type: path, default: kubectl}
  kubeconfig: {description: "Its file, else that of C(K8S_AUTH_KUBECONFIG).", type: path}
  context: {description: "Its context, else that of C(K8S_AUTH_CONTEXT).", type: str}
"""

RETURN = r"""
differs:
  description: Whether the release is of another chart or other values, or was not installed well.
  type: bool
  returned: when there is C(chart)
settled: {description: Whether waiting makes no difference now., type: bool, returned: always}
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
remedy: {description: What to read when nothing but time seems to be missing., type: str, returned: always}
explanation: {description: For a person to read., type: list, elements: str, returned: when asked for}
"""

HELP = "docs/troubleshooting.md"
# A state counts as hopeless when it lasts: Helm may be about to replace the very pod that is in it.
LASTING_SECONDS = 6


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "name": {"type": "str", "required": True},
            "namespace": {"type": "str", "required": True},
            "background": {"type": "path"},
            "hooks": {"type": "bool", "default": True},
            "patches": {"type": "list", "elements": "dict", "default": []},
            "chart": {"type": "path"},
            "values": {"type": "path"},
            "patience": {"type": "int", "default": 0},
            "explain": {"type": "bool", "default": False},
        },
        required_together=[("chart", "values")],
        supports_check_mode=True,
    )
    params = module.params
    try:
        with kubernetes_api(params["kubectl"], params["kubeconfig"], params["context"]) as api:
            result = look(api, params)
            if params["chart"]:
                result["differs"] = differs(api, params)
            if params["explain"]:
                result["explanation"] = explain(api, params)
                if result["remedy"]:
                    result["explanation"].append(f"It may only need more time ({result['remedy']})")
    except ApiError as error:
        module.fail_json(msg=f"release {params['name']}: {error}")
    module.exit_json(changed=False, **result)


def differs(api: KubernetesApi, params: dict[str, Any]) -> bool:
    """Says whether Helm's record is not that of the chart and the values that are wanted."""
    chart = yaml.safe_load((Path(params["chart"]) / "Chart.yaml").read_text())
    values = yaml.safe_load(Path(params["values"]).read_text()) or {}
    record = last_record(api, params["namespace"], params["name"])
    return not is_of(record, chart["name"], chart["version"], values)


def look(api: KubernetesApi, params: dict[str, Any]) -> dict[str, Any]:
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
        unpatched = [p for p in params["patches"] if would_change(p, release.workloads)]
        ready = state.is_ready and helm not in ("running", "failed")
        settled = bool(lasting or stuck or unpatched) or helm == "failed" or ready
        if settled or now >= deadline:
            waiting = [f"{name} waits for {what}" for name, what in state.waiting.items()]
            if helm == "running":
                waiting.append("Helm has not ended")
            return {
                "settled": settled,
                "ready": ready,
                "waiting": waiting,
                "stuck": stuck,
                "unpatched": unpatched,
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


def explain(api: KubernetesApi, params: dict[str, Any]) -> list[str]:
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
