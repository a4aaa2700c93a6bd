"""Kubernetes objects as typed models: what a chart renders, in the words of the Kubernetes API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A part of an object; fields are snake_case, what is not declared here is kept untyped."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        """Kubernetes takes a null for a field that is not there, and charts write many of them."""
        return (
            {key: part for key, part in value.items() if part is not None}
            if isinstance(value, dict)
            else value
        )


class Metadata(Model):
    name: str
    namespace: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class KeyRef(Model):
    name: str
    key: str
    optional: bool = False


class EnvSource(Model):
    secret_key_ref: KeyRef | None = None
    config_map_key_ref: KeyRef | None = None


class EnvVar(Model):
    name: str
    value: str | None = None
    value_from: EnvSource | None = None


class Port(Model):
    name: str | None = None
    container_port: int


class HttpGet(Model):
    path: str = "/"
    port: int | str


class Probe(Model):
    """Kubernetes' defaults where nothing is written, so that sums of seconds are right."""

    http_get: HttpGet | None = None
    exec: dict[str, list[str]] | None = None
    grpc: dict[str, Any] | None = None
    tcp_socket: dict[str, Any] | None = None
    initial_delay_seconds: int = 0
    period_seconds: int = 10
    timeout_seconds: int = 1
    failure_threshold: int = 3

    @property
    def seconds_to_fail(self) -> int:
        """Seconds from the moment a server stops answering until the kubelet acts on it, at worst."""
        return self.period_seconds * self.failure_threshold + self.timeout_seconds


class Resources(Model):
    requests: dict[str, str | int] = Field(default_factory=dict)
    limits: dict[str, str | int] = Field(default_factory=dict)


class Capabilities(Model):
    drop: list[str] = Field(default_factory=list)
    add: list[str] = Field(default_factory=list)


class SeccompProfile(Model):
    type: str


class SecurityContext(Model):
    """Of a pod or of a container."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    fs_group: int | None = None
    run_as_non_root: bool | None = None
    allow_privilege_escalation: bool | None = None
    privileged: bool | None = None
    read_only_root_filesystem: bool | None = None
    capabilities: Capabilities = Capabilities()
    seccomp_profile: SeccompProfile | None = None


class VolumeMount(Model):
    name: str
    mount_path: str
    sub_path: str | None = None
    read_only: bool = False


class Container(Model):
    name: str
    image: str
    image_pull_policy: str | None = None
    command: list[str] = Field(default_factory=list)
    args: list[str] = Field(default_factory=list)
    env: list[EnvVar] = Field(default_factory=list)
    env_from: list[dict[str, Any]] = Field(default_factory=list)
    ports: list[Port] = Field(default_factory=list)
    startup_probe: Probe | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    resources: Resources = Resources()
    security_context: SecurityContext = SecurityContext()
    volume_mounts: list[VolumeMount] = Field(default_factory=list)

    @property
    def values(self) -> dict[str, str]:
        """Variables whose value is written out."""
        return {each.name: each.value for each in self.env if each.value is not None}

    @property
    def secret_keys(self) -> dict[str, tuple[str, str]]:
        """Variables that come from a Secret: variable -> (Secret, key)."""
        found = {}
        for each in self.env:
            if each.value_from and (ref := each.value_from.secret_key_ref):
                found[each.name] = (ref.name, ref.key)
        return found


class Volume(Model):
    name: str
    empty_dir: dict[str, Any] | None = None
    persistent_volume_claim: dict[str, Any] | None = None
    config_map: dict[str, Any] | None = None
    secret: dict[str, Any] | None = None


class PodSpec(Model):
    containers: list[Container]
    init_containers: list[Container] = Field(default_factory=list)
    volumes: list[Volume] = Field(default_factory=list)
    security_context: SecurityContext = SecurityContext()
    service_account_name: str | None = None
    automount_service_account_token: bool | None = None
    restart_policy: str | None = None
    termination_grace_period_seconds: int | None = None
    enable_service_links: bool | None = None

    @property
    def all_containers(self) -> list[Container]:
        return [*self.init_containers, *self.containers]


class ServicePort(Model):
    name: str | None = None
    port: int
    target_port: int | str | None = None


@dataclass(frozen=True)
class Pod:
    """A pod template and the object that makes pods from it."""

    kind: str
    name: str
    labels: dict[str, str]
    annotations: dict[str, str]
    spec: PodSpec

    def container(self, name: str) -> Container:
        (found,) = (each for each in self.spec.all_containers if each.name == name)
        return found


class Object(Model):
    """Any object; its whole text is in `raw`."""

    api_version: str
    kind: str
    metadata: Metadata
    spec: dict[str, Any] = Field(default_factory=dict)
    data: dict[str, str] = Field(default_factory=dict)
    raw: dict[str, Any] = Field(default_factory=dict, exclude=True)

    @property
    def hooks(self) -> set[str]:
        """Moments at which Helm runs this object; empty for an ordinary one."""
        return set(filter(None, self.metadata.annotations.get("helm.sh/hook", "").split(",")))

    @property
    def pod(self) -> Pod | None:
        """The template of the pods that this object makes, if it makes any."""
        spec = self.spec["jobTemplate"]["spec"] if self.kind == "CronJob" else self.spec
        template = self.raw if self.kind == "Pod" else spec.get("template")
        if not isinstance(template, dict) or "containers" not in template.get("spec", {}):
            return None
        metadata = template.get("metadata", {})
        return Pod(
            kind=self.kind,
            name=self.metadata.name,
            labels=metadata.get("labels", {}),
            annotations=metadata.get("annotations", {}),
            spec=PodSpec.model_validate(template["spec"]),
        )

    @property
    def service_ports(self) -> dict[int, int | str | None]:
        """Of a Service: port -> target port."""
        ports = [ServicePort.model_validate(port) for port in self.spec["ports"]]
        return {port.port: port.target_port for port in ports}


class Manifests:
    """All objects of one rendering."""

    def __init__(self, text: str) -> None:
        """Parse what `helm template` wrote."""
        self.text = text
        documents = [document for document in yaml.safe_load_all(text) if document]
        self.objects = [Object.model_validate({**document, "raw": document}) for document in documents]

    def __iter__(self) -> Iterator[Object]:
        return iter(self.objects)

    def kind(self, kind: str) -> dict[str, Object]:
        """Objects of a kind by their name."""
        return {each.metadata.name: each for each in self.objects if each.kind == kind}

    def get(self, kind: str, name: str) -> Object:
        """One object.

        Raises:
            KeyError: naming what is there instead.
        """
        found = self.kind(kind)
        if name not in found:
            raise KeyError(f"no {kind} {name!r}, only {sorted(found)}")
        return found[name]

    @property
    def pods(self) -> list[Pod]:
        """Every pod template, hooks' too."""
        return [pod for each in self.objects if (pod := each.pod)]

    def pod(self, name: str) -> Pod:
        """The pod template of the one workload with this name."""
        (found,) = (pod for pod in self.pods if pod.name == name)
        return found
