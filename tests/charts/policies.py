"""What must hold for every chart of this project; each check returns what is wrong, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .manifests import Container, Manifests, Pod

SECONDS_TO_SEE_A_FAILURE = 15
SECONDS_FOR_A_SLOW_START = 60
UNITS = {"Mi": 1, "Gi": 1024}
SECRET = re.compile(r"(?i)(password|secret|token|access[-_.]?key|private[-_.]?key)$")
# a setting with a value; `$` and `{env:` stand before the name of a variable
SETTING = re.compile(r"^\s*([\w.-]+)\s*[:=]\s*(['\"]?(?!\{env:)[^\s$'\"].*)$", re.MULTILINE)


def mebibytes(quantity: str | int) -> int:
    """A quantity such as 512Mi or 1Gi in MiB."""
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", str(quantity)).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


def without_limits(pod: Pod) -> list[str]:
    """Containers that do not say how much memory they need and may use, and how much CPU they need."""
    wrong = []
    for each in pod.spec.all_containers:
        asked = {"requests.cpu", "requests.memory", "limits.memory"}
        given = {f"requests.{key}" for key in each.resources.requests}
        given |= {f"limits.{key}" for key in each.resources.limits}
        wrong += [f"{pod.name}/{each.name}: no resources.{key}" for key in sorted(asked - given)]
    return wrong


def not_restricted(pod: Pod, *, fixed_ids: bool = True, read_only: bool = True) -> list[str]:
    """Where a pod would be refused by the Pod Security Standard `restricted`, or is softer than we want.

    Args:
        pod: the template.
        fixed_ids: whether a user id has to be given (an image whose user is a name needs one) or may not be.
        read_only: whether root filesystems must be read-only.
    """
    whole = pod.spec.security_context
    wrong = []
    for each in pod.spec.all_containers:
        own = each.security_context
        user = own.run_as_user if own.run_as_user is not None else whole.run_as_user
        seccomp = own.seccomp_profile or whole.seccomp_profile
        facts = {
            "runAsNonRoot is not true": own.run_as_non_root or whole.run_as_non_root,
            "allowPrivilegeEscalation is not false": own.allow_privilege_escalation is False,
            "capabilities are not dropped": own.capabilities.drop == ["ALL"] and not own.capabilities.add,
            "seccompProfile is not RuntimeDefault": seccomp is not None and seccomp.type == "RuntimeDefault",
            "readOnlyRootFilesystem is not true": own.read_only_root_filesystem or not read_only,
            "runs as root": user != 0,
            "no fixed user": user is not None or not fixed_ids,
            "a fixed user": user is None or fixed_ids,
        }
        wrong += [f"{pod.name}/{each.name}: {problem}" for problem, fine in facts.items() if not fine]
    hosts = [volume.name for volume in pod.spec.volumes if "hostPath" in (volume.model_extra or {})]
    return wrong + [f"{pod.name}: hostPath volume {name}" for name in hosts]


def without_good_probes(pod: Pod) -> list[str]:
    """Servers whose failure is seen late, that are killed when only busy, or that may not start slowly."""
    if pod.kind in {"Job", "CronJob"}:
        return []
    wrong = []
    for each in pod.spec.containers:
        name = f"{pod.name}/{each.name}"
        startup, readiness, liveness = each.startup_probe, each.readiness_probe, each.liveness_probe
        if not (startup and readiness and liveness):
            wrong.append(f"{name}: needs a startup, a readiness and a liveness probe")
            continue
        if readiness.seconds_to_fail > SECONDS_TO_SEE_A_FAILURE:
            wrong.append(f"{name}: readiness sees a failure after {readiness.seconds_to_fail} s only")
        if liveness.period_seconds * liveness.failure_threshold < 2 * SECONDS_TO_SEE_A_FAILURE:
            wrong.append(f"{name}: liveness kills what is only busy")
        if startup.period_seconds * startup.failure_threshold < SECONDS_FOR_A_SLOW_START:
            wrong.append(f"{name}: startup gives up too early")
        if startup.period_seconds > 2:
            wrong.append(f"{name}: startup is looked at too seldom")
    return wrong


def without_room_to_write(pod: Pod, programs: Iterable[str] = ()) -> list[str]:
    """Containers with a read-only root and no /tmp, which most programs want; `programs` do without."""
    return [
        f"{pod.name}/{each.name}: no volume at /tmp"
        for each in pod.spec.containers
        if each.name not in programs and "/tmp" not in {mount.mount_path for mount in each.volume_mounts}
    ]


def secrets_written_out(objects: Manifests) -> list[str]:
    """Secret objects, and variables or settings that are named like a secret and have a value."""
    wrong = [f"{each.kind}/{each.metadata.name}" for each in objects if each.kind == "Secret"]
    for pod in objects.pods:
        for each in pod.spec.all_containers:
            wrong += [
                f"{pod.name}/{each.name}: {name} has a value" for name in each.values if SECRET.search(name)
            ]
            wrong += [f"{pod.name}/{each.name}: envFrom hides which keys it takes" for _ in each.env_from]
    for name, config in objects.kind("ConfigMap").items():
        files = {file: text for file, text in config.data.items() if not file.endswith((".py", ".js"))}
        settings = [found for text in files.values() for found in SETTING.findall(text)]
        wrong += [f"ConfigMap/{name}: {key} has a value" for key, _ in settings if SECRET.search(key)]
    return wrong


def secrets_of_readme(text: str) -> set[tuple[str, str]]:
    """Secrets and keys in the table under `## Secrets`; an empty first cell repeats the one above."""
    described: set[tuple[str, str]] = set()
    secret = ""
    for line in text.split("## Secrets")[1].split("## ", maxsplit=1)[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) > 2 and cells[1].startswith("`"):
            secret = cells[0].strip("`") or secret
            described |= {(secret, key) for key in re.findall(r"`([^`]+)`", cells[1])}
    return described


def secrets_in_arguments(pod: Pod) -> list[str]:
    """Variables of Secrets that are put into the arguments of a program, which every process can read."""
    return [
        f"{pod.name}/{each.name}: $({name}) is an argument"
        for each in pod.spec.all_containers
        for name in each.secret_keys
        if f"$({name})" in " ".join([*each.command, *each.args])
    ]


def sums(pods: Iterable[Pod]) -> Mapping[str, int]:
    """MiB that the servers of these pods ask for and may use, without Jobs."""
    containers: list[Container] = [
        each for pod in pods if pod.kind not in {"Job", "CronJob"} for each in pod.spec.containers
    ]
    return {
        "requests": sum(mebibytes(each.resources.requests["memory"]) for each in containers),
        "limits": sum(mebibytes(each.resources.limits["memory"]) for each in containers),
    }
