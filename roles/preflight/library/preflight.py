#!/usr/bin/python
"""Looks at settings, tools, cluster and machine, and lists everything that would make a deploy fail."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import yaml
from ansible.module_utils import local_ports, registry
from ansible.module_utils import preflight_rules as rules
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.helm_record import last_record
from ansible.module_utils.kubernetes_api import ARGUMENTS, ApiError, KubernetesApi, kubernetes_api

DOCUMENTATION = r"""
module: preflight
short_description: List everything that would make a deploy fail, at once
description: Looks and changes nothing. What cannot be looked at because of an earlier problem is left out.
options:
  checks: {description: What to look at., type: list, elements: str, required: true}
  settings: {description: The variables that the inventory sets., type: dict, required: true}
  ports: {description: Name -> local port., type: dict, default: {}}
  rendered: {description: "Release -> C({manifest, error}), as rendered.", type: dict, default: {}}
  image_to_come: {description: An image that the deploy makes itself., type: str, default: ""}
  helm: {description: Helm's path., type: path, default: helm}
  kubectl: {description: kubectl's path., type: path, default: kubectl}
  kubeconfig: {description: "Its file, else that of C(K8S_AUTH_KUBECONFIG).", type: path}
  context: {description: "Its context, else that of C(K8S_AUTH_CONTEXT).", type: str}
  kubernetes: {description: Oldest Kubernetes., type: str, required: true}
  minimum_memory_mib: {description: Memory of all nodes., type: int, required: true}
"""

RETURN = r"""
problems:
  description: What is wrong and what to do, a line each.
  type: list
  elements: str
  returned: always
looked:
  description: Each check that could be made, in order, as C({check, seen, problems}).
  type: list
  elements: dict
  returned: always
context: {description: Name of the context that was looked at., type: str, returned: always}
"""

Object = dict[str, Any]
# the one in C takes a tenth of the time where PyYAML has it
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MOST_IMAGES = 50  # a kubelet lists no more unless it is told to
KINDS = (
    "api/v1:Service",
    "api/v1:ConfigMap",
    "apis/apps/v1:Deployment",
    "apis/apps/v1:StatefulSet",
    "apis/batch/v1:Job",
)


def may(api: KubernetesApi, verb: str, group: str, resource: str, namespace: str) -> bool:
    """Returns whether this user may do something."""
    resource, _, subresource = resource.partition("/")
    asked = {
        "verb": verb,
        "group": group,
        "resource": resource,
        "subresource": subresource,
        "namespace": namespace,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    answer = api.send("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
    return bool(json.loads(answer)["status"]["allowed"])


def said_by(command: list[str]) -> str:
    """Returns what a program prints."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - our own


def looked(check: str, seen: str, problems: list[str]) -> Object:
    """One check: its name, what was seen in a few words, and what is wrong."""
    return {"check": check, "seen": seen, "problems": problems}


def check_tools(params: Object) -> Object:
    """Looks at helm and kubectl."""
    seen, problems = [], []
    for name, arguments, oldest in (
        ("helm", ["version", "--template", "{{.Version}}"], rules.OLDEST_HELM),
        ("kubectl", ["version", "--client", "--output", "json"], rules.OLDEST_KUBECTL),
    ):
        path, text = shutil.which(params[name]), None
        if path:
            said = said_by([path, *arguments])
            text = re.search(r"v\d+\.\d+\S*?(?=[\"\s]|$)", said)[0] if re.search(r"v\d+\.\d+", said) else said
        seen.append(f"{name} {text.strip() if text else 'is not there'}")
        problems += rules.tool_version(name, text, oldest)
    return looked("tools", ", ".join(seen), problems)


def find_context(params: Object) -> tuple[str, list[str]]:
    """Returns the context's name and what is wrong with it."""
    file = [f"--kubeconfig={params['kubeconfig']}"] if params["kubeconfig"] else []
    command = [params["kubectl"], "config", "view", "--output=json", *file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    config = json.loads(done.stdout) if done.returncode == 0 else {}
    names = [context["name"] for context in config.get("contexts") or []]
    if not names:
        why = done.stderr.strip() or f"{params['kubeconfig'] or 'it'} has no context"
        return "", [
            f"no kubeconfig can be read ({why}): start your local Kubernetes, or name the file"
            " with floe_kubeconfig"
        ]
    name = params["context"] or config["current-context"]
    if name not in names:
        return name, [f"floe_context={name!r} is not in the kubeconfig, which has {', '.join(names)}"]
    return name, rules.context(name, params["settings"]["floe_allow_context"])


def check_rights(api: KubernetesApi, namespace: str) -> list[str]:
    """Problems of what this user may do."""
    if may(api, "*", "*", "*", namespace) and may(api, "*", "*", "*", ""):
        return []
    refused = []
    for verb, group, kind in rules.RIGHTS:
        if not may(api, verb, group, kind, "" if kind in ("namespaces", "nodes") else namespace):
            refused.append(f"{verb} {kind}")
    return (
        [f"this user may not {', '.join(refused)}: use a context of a cluster administrator"]
        if refused
        else []
    )


def check_names(api: KubernetesApi, namespace: str, manifests: dict[str, list[Object]]) -> list[str]:
    """Problems with what is there already."""
    found = api.get(f"/api/v1/namespaces/{namespace}")
    existing = []
    if found:
        for kind in KINDS:
            path, _, name = kind.partition(":")
            existing += [
                {**i, "kind": name} for i in api.items(f"/{path}/namespaces/{namespace}/{name.lower()}s")
            ]
    existing = [
        e
        for e in existing
        if e["metadata"]["name"] != "kube-root-ca.crt" and e["metadata"]["name"] != "openshift-service-ca.crt"
    ]
    problems = rules.names(found, existing, manifests)
    for release in manifests if found else ():
        record = last_record(api, namespace, release)
        problems += rules.chart_clash(namespace, release, record and record["chart"]["metadata"]["name"])
    return problems


def check_images(api: KubernetesApi, wanted: set[str]) -> list[str]:
    """Problems of images that are not on a node."""
    nodes = api.items("/api/v1/nodes")
    complete = all(len(node["status"].get("images") or []) != MOST_IMAGES for node in nodes)
    unbuilt = {image: rules.unbuilt_image(image) for image in rules.absent_images(nodes, wanted)}
    problems = [what for what in unbuilt.values() if what and complete]
    remote = [image for image, what in unbuilt.items() if not what]
    with ThreadPoolExecutor(8) as pool:
        for image, why in zip(remote, pool.map(registry.missing, remote), strict=True):
            if why:
                problems.append(
                    f"image {image} is on no node, and {why}:"
                    " docs/troubleshooting.md#an-image-cannot-be-pulled"
                )
    return problems


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "checks": {"type": "list", "elements": "str", "required": True},
            "settings": {"type": "dict", "required": True},
            "ports": {"type": "dict", "default": {}},
            "rendered": {"type": "dict", "default": {}},
            "image_to_come": {"type": "str", "default": ""},
            "helm": {"type": "path", "default": "helm"},
            "kubernetes": {"type": "str", "required": True},
            "minimum_memory_mib": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    params, checks = module.params, module.params["checks"]
    settings, rendered, context, found = params["settings"], params["rendered"], "", []
    if "settings" in checks:
        wrong = rules.settings(settings) + rules.same_ports(params["ports"])
        found.append(looked("settings", f"{len(settings)} variables", wrong))
        if wrong:  # what was rendered from them would only be wrong once more
            rendered = {}
    if "tools" in checks:
        found.append(check_tools(params))
        if not shutil.which(params["helm"]):  # nor is anything rendered without Helm
            rendered = {}
    if rendered:
        wrong = [f"chart {name}: {r['error']}" for name, r in rendered.items() if r["error"]]
        found.append(looked("charts", ", ".join(rendered), wrong))
    params["rendered"] = rendered
    if "ports" in checks:
        owners = local_ports.owners(
            params["ports"], namespace=str(settings["floe_namespace"]), context=params["context"] or ""
        )
        seen = f"{', '.join(map(str, params['ports'].values()))} on 127.0.0.1"
        found.append(looked("ports", seen, rules.ports(params["ports"], owners)))
    if "cluster" in checks and shutil.which(params["kubectl"]):
        context, wrong = find_context(params)
        params["context"] = context  # an empty one would be looked up by that name
        found += (
            [looked("cluster", f"context {context}", wrong)] if wrong else look_at_cluster(params, checks)
        )
    problems = [problem for each in found for problem in each["problems"]]
    module.exit_json(changed=False, problems=problems, looked=found, context=context)


def look_at_cluster(params: Object, checks: list[str]) -> list[Object]:
    """Looks at the cluster itself; only asked when its context is one that may be talked to."""
    namespace = str(params["settings"]["floe_namespace"])
    manifests = {
        name: [d for d in yaml.load_all(r["manifest"], LOADER) if d] for name, r in params["rendered"].items()
    }
    objects = [item for items in manifests.values() for item in items]
    found: list[Object] = []
    try:
        with kubernetes_api(params["kubectl"], params["kubeconfig"], params["context"]) as api:
            version = json.loads(api.send("GET", "/version"))["gitVersion"]
            wrong = rules.kubernetes_version(version, params["kubernetes"])
            found.append(looked("cluster", f"context {params['context']}, Kubernetes {version}", wrong))
            if "rights" in checks:
                found.append(looked("rights", f"namespace {namespace}", check_rights(api, namespace)))
            if "capacity" in checks:
                nodes, pods = api.items("/api/v1/nodes"), api.items("/api/v1/pods")
                wrong = rules.capacity(nodes, pods, objects, namespace, params["minimum_memory_mib"])
                found.append(looked("capacity", rules.size_of(nodes), wrong))
            if "names" in checks:
                found.append(
                    looked("names", f"namespace {namespace}", check_names(api, namespace, manifests))
                )
            if "images" in checks:
                images = rules.images_of(objects) - {params["image_to_come"]}
                found.append(looked("images", f"{len(images)} images", check_images(api, images)))
    except ApiError as error:
        why = f"the API server does not answer: is your local Kubernetes running? ({error})"
        if error.status:
            why = f"the API server refuses ({error}): are the credentials in the kubeconfig still good?"
        found.append(looked("cluster", f"context {params['context']}", [why]))
    return found


if __name__ == "__main__":
    main()
