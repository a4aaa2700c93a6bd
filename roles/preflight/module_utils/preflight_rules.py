"""Rules that a deploy has to satisfy: functions from what was seen to problems, each with its remedy."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from typing import Any

Object = dict[str, Any]

LOCAL_CONTEXTS = (
    "docker-desktop", "docker-for-desktop", "kind-*", "k3d-*", "minikube", "orbstack", "rancher-desktop",
    "colima", "colima-*", "microk8s", "floe-testbed", "crc-admin", "crc-developer", "*api-crc-testing:*",
)  # fmt: skip
PROTECTED_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
OLDEST_HELM, OLDEST_KUBECTL = (3, 19), (1, 29)
PORT_NAMES = ("dagster", "cube_api", "cube_sql", "jaeger", "marquez", "minio")
IMAGE_NAMES = (
    "pipeline", "polaris", "polaris_admin_tool", "marquez", "marquez_web", "postgresql", "minio", "jaeger",
    "cube", "cubestore",
)  # fmt: skip
OUR_IMAGE = "docker.io/library/floe-pipeline"  # built on the user's machine, and in no registry
RELEASE = "meta.helm.sh/release-name"
OURS = ("app.kubernetes.io/part-of", "floe-demo")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._/:-]*[a-z0-9]:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_REGISTRY = re.compile(r"([a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*)?")
_MAPPINGS = (
    "floe_infrastructure_values",
    "floe_infrastructure_dependencies",
    "floe_dagster_values",
    "floe_cube_values",
)
_UNITS = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_CHANGES = ("create", "patch", "delete")
# What a deploy does, as (verb, API group, resource); namespaces and nodes are not in a namespace.
RIGHTS = (
    ("create", "", "namespaces"), ("list", "", "nodes"), ("list", "", "pods"), ("get", "", "pods/log"),
    ("create", "", "pods/portforward"), ("list", "", "events"),
    *((verb, "", kind) for kind in ("secrets", "configmaps", "services") for verb in _CHANGES),
    *((verb, "", "serviceaccounts") for verb in _CHANGES),
    *((verb, "rbac.authorization.k8s.io", kind) for kind in ("roles", "rolebindings") for verb in _CHANGES),
    *((verb, "apps", kind) for kind in ("deployments", "statefulsets") for verb in _CHANGES),
    ("create", "batch", "jobs"), ("delete", "batch", "jobs"),
)  # fmt: skip


def settings(values: Mapping[str, Any]) -> list[str]:
    """Variables of the inventory that cannot be used: variable, value, what would be right."""
    problems = []
    namespace = values["floe_namespace"]
    if not isinstance(namespace, str) or not _LABEL.fullmatch(namespace):
        problems.append(
            f"floe_namespace={namespace!r}: a namespace has 1 to 63 small letters, digits and -, and begins"
            " and ends with a letter or digit"
        )
    elif namespace in PROTECTED_NAMESPACES:
        problems.append(
            f"floe_namespace={namespace!r} belongs to Kubernetes itself: choose another, such as floe"
        )
    problems += _ports(values["floe_ports"]) + _images(values["floe_images"])
    for name in ("floe_persistent", "floe_openshift", "floe_cubestore"):
        if not isinstance(values[name], bool):
            problems.append(f"{name}={values[name]!r}: true or false is wanted (on the command line as JSON: "
                            f"-e '{{\"{name}\": true}}')")  # fmt: skip
    seconds = values["floe_deploy_seconds"]
    if not _is_whole(seconds) or not 30 <= int(seconds) <= 3600:
        problems.append(
            f"floe_deploy_seconds={seconds!r}: a whole number of seconds from 30 to 3600 is wanted"
        )
    problems += _schedule(values["floe_schedule_cron"], values["floe_schedule_orders"])
    registry = values["floe_registry"]
    if not isinstance(registry, str) or not _REGISTRY.fullmatch(registry):
        problems.append(
            f"floe_registry={registry!r}: host, or host:port, and perhaps a path is wanted, such as"
            " localhost:5000 or registry.example/demo"
        )
    for name in _MAPPINGS:
        if not isinstance(values[name], dict):
            problems.append(f"{name}={values[name]!r}: a mapping is wanted, such as {{}}")
    for name in ("floe_context", "floe_allow_context", "floe_kubeconfig"):
        if not isinstance(values[name], str):
            problems.append(f"{name}={values[name]!r}: a text is wanted")
    return problems


def _schedule(cron: object, orders: object) -> list[str]:
    problems = []
    if not isinstance(cron, str) or not re.fullmatch(r"\S+( \S+){4}", cron):
        problems.append(
            f"floe_schedule_cron={cron!r}: five fields of cron are wanted, such as */5 * * * * for every"
            " 5 minutes"
        )
    if not _is_whole(orders) or int(str(orders)) < 1:
        problems.append(f"floe_schedule_orders={orders!r}: a whole number of orders from 1 is wanted")
    return problems


def _ports(ports: object) -> list[str]:
    if not isinstance(ports, dict):
        return [f"floe_ports={ports!r}: a mapping is wanted, such as {{dagster: 3100}}"]
    problems = [
        f"floe_ports.{name} is none of {', '.join(PORT_NAMES)}" for name in ports if name not in PORT_NAMES
    ]
    for name, port in ports.items():
        if name in PORT_NAMES and not (_is_whole(port) and 1024 <= int(port) <= 65535):
            problems.append(f"floe_ports.{name}={port!r}: a whole number from 1024 to 65535 is wanted")
    return problems


def same_ports(ports: Mapping[str, Any]) -> list[str]:
    """Local ports that two services would share, with moved ones and defaults taken together."""
    problems = []
    for port in sorted({str(p) for p in ports.values()}):
        names = [name for name, other in ports.items() if str(other) == port]
        if len(names) > 1:
            problems.append(
                f"floe_ports: {' and '.join(names)} are both {port}: give one of them another port"
            )
    return problems


def _images(images: object) -> list[str]:
    if not isinstance(images, dict):
        return [f"floe_images={images!r}: a mapping is wanted, such as {{minio: mirror.local/minio:1}}"]
    problems = [
        f"floe_images.{name} is none of {', '.join(IMAGE_NAMES)}"
        for name in images
        if name not in IMAGE_NAMES
    ]
    for name, image in images.items():
        if name not in IMAGE_NAMES:
            continue
        if not isinstance(image, str) or not _IMAGE.fullmatch(image):
            problems.append(
                f"floe_images.{name}={image!r}: registry/repository:tag is wanted, with a tag and no digest"
            )
        elif image.endswith(":latest"):
            problems.append(
                f"floe_images.{name}={image!r}: what `latest` is changes by itself; name a version"
            )
    return problems


def context(name: str, allowed: str) -> list[str]:
    """Whether a context looks like a cluster on the user's machine, or is named as meant."""
    if name == allowed or any(fnmatch.fnmatch(name, pattern) for pattern in LOCAL_CONTEXTS):
        return []
    return [
        f"context {name!r} does not look like a cluster on this machine ({', '.join(LOCAL_CONTEXTS)}):"
        f" switch with `kubectl config use-context`, or allow it with -e floe_allow_context={name}"
    ]


def tool_version(name: str, text: str | None, oldest: tuple[int, int]) -> list[str]:
    """Whether a program is there (its version's text is not None) and new enough."""
    wanted = ".".join(map(str, oldest))
    if text is None:
        return [f"{name} is not on PATH: install version {wanted} or newer (or name it with floe_{name})"]
    version = version_of(text)
    if version < oldest:
        return [f"{name} is {text.strip()}: version {wanted} or newer is needed"]
    return []


def kubernetes_version(text: str, oldest: str) -> list[str]:
    """Whether the cluster is new enough."""
    if version_of(text) < version_of(oldest):
        return [f"Kubernetes is {text}: {oldest} or newer is needed (a newer local cluster is the way)"]
    return []


def version_of(text: str) -> tuple[int, int]:
    """Returns major and minor of the first version in a text; (0, 0) when there is none."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def capacity(
    nodes: Iterable[Object],
    pods: Iterable[Object],
    manifests: Iterable[Object],
    namespace: str,
    minimum_mib: int,
) -> list[str]:
    """Whether the nodes have room for the pods of the manifests, beside what others already request."""
    nodes, manifests = list(nodes), list(manifests)
    ready = [n for n in nodes if not n.get("spec", {}).get("unschedulable") and _is_ready(n)]
    if not ready:
        return [f"none of the {len(nodes)} nodes is Ready: kubectl describe nodes says why"]
    problems = []
    memory = sum(quantity(n["status"]["capacity"]["memory"]) for n in ready) / 2**20
    if memory < minimum_mib:
        problems.append(
            f"the cluster has {memory:.0f} MiB of memory, the stack needs 4 GB ({minimum_mib} MiB): raise it"
            " in the settings of your local cluster (docs/troubleshooting.md#not-enough-memory-or-cpu)"
        )
    ours = {item["metadata"]["name"] for item in manifests}
    names = {n["metadata"]["name"] for n in ready}
    others = [
        pod
        for pod in pods
        if pod.get("spec", {}).get("nodeName") in names
        and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        and not (pod["metadata"]["namespace"] == namespace and _workload_of(pod) in ours)
    ]
    for resource, unit, divisor in (("memory", "MiB", 2**20), ("cpu", "millicores", 1e-3)):
        there = sum(quantity(n["status"]["allocatable"][resource]) for n in ready) / divisor
        taken = sum(_requests(pod["spec"], resource) for pod in others) / divisor
        needed = sum(_requests_of(item, resource) for item in manifests) / divisor
        if needed > there - taken:
            problems.append(
                f"{resource}: {needed:.0f} {unit} are requested, {max(there - taken, 0):.0f} are left"
                f" ({there:.0f} minus {taken:.0f} that other pods request): stop some or give it more"
                " (docs/troubleshooting.md#not-enough-memory-or-cpu)"
            )
    return problems


def names(
    namespace: Object | None, existing: Iterable[Object], manifests: Mapping[str, Iterable[Object]]
) -> list[str]:
    """Whether namespace or objects of the same names belong to somebody else.

    Args:
        namespace: As it is now; None when it is not there.
        existing: Objects in it.
        manifests: Release -> what it will make.
    """
    if namespace is None:
        return []
    name = namespace["metadata"]["name"]
    if namespace.get("status", {}).get("phase") == "Terminating":
        return [
            f"namespace {name} is being deleted: wait until it is gone"
            " (docs/troubleshooting.md#a-namespace-stays)"
        ]
    existing = list(existing)
    if (namespace["metadata"].get("labels") or {}).get(OURS[0]) != OURS[1] and existing:
        found = ", ".join(sorted(f"{e['kind']} {e['metadata']['name']}" for e in existing)[:3])
        return [
            f"namespace {name} is not ours and not empty ({found} ...): choose another with"
            f" -e floe_namespace=..., or allow it: kubectl label namespace {name} {OURS[0]}={OURS[1]}"
        ]
    owners = {
        (e["kind"], e["metadata"]["name"]): (e["metadata"].get("annotations") or {}).get(RELEASE)
        for e in existing
    }
    return [
        f"{item['kind']} {item['metadata']['name']} in namespace {name} is not of release {release} but"
        f" {'of release ' + owner if owner else 'of no release'}: remove it, or choose another namespace"
        for release, items in manifests.items()
        for item in items
        if not _is_hook(item)
        and (owner := owners.get((item["kind"], item["metadata"]["name"]), release)) != release
    ]


def chart_clash(namespace: str, release: str, chart: str | None) -> list[str]:
    """Whether the name of a release is used for another chart already (None: not used)."""
    if chart in (None, release):
        return []
    return [
        f"release {release} in namespace {namespace} is of chart {chart}: uninstall it or choose another"
        " namespace"
    ]


def ports(wanted: Mapping[str, Any], owner: Mapping[int, str]) -> list[str]:
    """Local ports that somebody else has (port -> who)."""
    return [
        f"port {port} ({name}) on 127.0.0.1 is taken by {owner[int(port)]}: end that, or move ours with"
        f' -e \'{{"floe_ports": {{"{name}": {_free_for(int(port), owner)}}}}}\''
        for name, port in wanted.items()
        if _is_whole(port) and int(port) in owner
    ]


def size_of(nodes: Iterable[Object]) -> str:
    """What the nodes have, in words."""
    amounts = [node["status"]["capacity"] for node in nodes]
    memory = sum(quantity(each["memory"]) for each in amounts) / 2**20
    return f"{memory:.0f} MiB of memory, {sum(quantity(each['cpu']) for each in amounts):g} CPUs"


def images_of(manifests: Iterable[Object]) -> set[str]:
    """Returns every image that the pods of the manifests name."""
    return {c["image"] for item in manifests for c in _containers(_pod_spec(item))}


def absent_images(nodes: Iterable[Object], wanted: Iterable[str]) -> list[str]:
    """Returns the full names of images that are on no node; Docker's own runtime lists short ones."""
    listed = {
        full_name(name)
        for node in nodes
        for image in node["status"].get("images") or []
        for name in image.get("names") or []
    }
    return sorted({full_name(image) for image in wanted} - listed)


def unbuilt_image(image: str) -> str:
    """Returns what to do for an image (by its full name) that no registry has; empty for others."""
    if image.rpartition(":")[0] == OUR_IMAGE:
        how = "leave floe_images.pipeline out, and the deploy builds it"
    elif image.startswith("localhost/"):
        how = "make testbed-up does it for those of the testbed"
    else:
        return ""
    return (
        f"image {image} is on no node and in no registry: it has to be built first ({how}),"
        " docs/troubleshooting.md#an-image-cannot-be-pulled"
    )


def full_name(image: str) -> str:
    """Returns an image's name with its registry, as a node lists it."""
    first = image.split("/", maxsplit=1)[0]
    if "/" in image and ("." in first or ":" in first or first == "localhost"):
        return image
    return f"docker.io/{image}" if "/" in image else f"docker.io/library/{image}"


def quantity(amount: object) -> float:
    """Reads a Kubernetes quantity: 128Mi, 0.5, 250m, 1e3."""
    text = str(amount)
    if text.endswith("m"):
        return float(text[:-1]) / 1000
    found = re.fullmatch(r"([0-9.]+(?:e[0-9]+)?)([A-Za-z]*)", text)
    if not found or found[2] not in _UNITS:
        raise ValueError(f"{text!r} is no quantity")
    return float(found[1]) * _UNITS[found[2]]


def _requests_of(item: Object, resource: str) -> float:
    replicas = item.get("spec", {}).get("replicas", 1) if item["kind"] in ("Deployment", "StatefulSet") else 1
    spec = _pod_spec(item)
    return replicas * _requests(spec, resource) if spec else 0.0


def _requests(spec: Object, resource: str) -> float:
    """What a pod requests: its containers together, or its largest init container."""

    def of(container: Object) -> float:
        found = container.get("resources") or {}
        return quantity((found.get("requests") or found.get("limits") or {}).get(resource, 0))

    initial = max(map(of, spec.get("initContainers") or []), default=0.0)
    return max(initial, sum(map(of, spec["containers"])))


def _pod_spec(item: Object) -> Object:
    found: Object = item.get("spec", {}).get("template", {}).get("spec", {})
    return found if "containers" in found else {}


def _containers(spec: Object) -> list[Object]:
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def _workload_of(pod: Object) -> str:
    """Name of the Deployment, StatefulSet or Job that a pod is of."""
    owners = pod["metadata"].get("ownerReferences") or [{"kind": "", "name": ""}]
    name = str(owners[0]["name"])
    return name.rpartition("-")[0] if owners[0]["kind"] == "ReplicaSet" else name


def _is_hook(item: Object) -> bool:
    return "helm.sh/hook" in (item["metadata"].get("annotations") or {})


def _is_ready(node: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))


def _is_whole(value: object) -> bool:
    return not isinstance(value, bool) and re.fullmatch(r"\d+", str(value)) is not None


def _free_for(port: int, owner: Mapping[int, str]) -> int:
    return next(p for p in range(port + 100, 65536) if p not in owner)
