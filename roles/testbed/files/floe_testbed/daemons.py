"""The daemons of the node: what each is started with, when it may start, and how one sees that it works."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .containers import remove_containers
from .layout import (
    CONF,
    CONTAINERD_SOCKET,
    DNS_SERVICE,
    NAME,
    NODE,
    NODE_ADDRESS,
    NODE_POD_NET,
    PAUSE_IMAGE,
    PKI,
    POD_NET,
    SERVICE_NET,
    STATE,
    Settings,
)

_PROBE_SECONDS = 2
_CNI_PLUGINS = "/usr/lib/cni"  # Debian's containernetworking-plugins


@dataclass(frozen=True)
class Daemon:
    """One program to keep running.

    Attributes:
        name: also the name of its log file.
        argv: how it is started.
        probe: returns "" when it works, else why it does not seem to.
        needs: daemons that have to work before this one is started for the first time.
        prepare: called before it is started, until it has worked once.
    """

    name: str
    argv: tuple[str, ...]
    probe: Callable[[], str]
    needs: tuple[str, ...] = ()
    prepare: Callable[[], None] | None = None


def write_configuration(settings: Settings) -> None:
    """Writes the configuration files of containerd, CNI, kubelet and kube-proxy."""
    for folder in ("kubelet/volumeplugins", "pod-logs", "etcd", "volumes", "conf/cni"):
        (STATE / folder).mkdir(parents=True, exist_ok=True)
    (STATE / "etcd").chmod(0o700)  # etcd insists
    settings.image_store.mkdir(parents=True, exist_ok=True)
    (CONF / "containerd.toml").write_text(_CONTAINERD.format(root=settings.image_store))
    (CONF / "cni" / "10-floe-testbed.conflist").write_text(json.dumps(_CNI, indent=1))
    (CONF / "resolv.conf").write_text("")  # no way out, so no name server outside either
    (CONF / "kubelet.yaml").write_text(yaml.safe_dump(_KUBELET))
    (CONF / "kube-proxy.yaml").write_text(yaml.safe_dump(_KUBE_PROXY))


def daemons(settings: Settings) -> tuple[Daemon, ...]:
    """Returns the daemons in the order in which they start; they are stopped the other way round."""

    def kubernetes(program: str, /, **flags: object) -> tuple[str, ...]:
        options = (f"--{key.replace('_', '-')}={value}" for key, value in flags.items())
        return (str(settings.kubernetes / program), *options)

    return (
        Daemon(
            "etcd",
            kubernetes(
                "etcd",
                name=NAME,
                data_dir=STATE / "etcd",
                listen_client_urls="http://127.0.0.1:2379",
                advertise_client_urls="http://127.0.0.1:2379",
                listen_peer_urls="http://127.0.0.1:2380",
                initial_advertise_peer_urls="http://127.0.0.1:2380",
                initial_cluster=f"{NAME}=http://127.0.0.1:2380",
                unsafe_no_fsync="true",  # the data need not outlive this machine
                log_level="warn",
            ),
            _http("127.0.0.1", 2379, "/health"),
        ),
        Daemon(
            "containerd",
            ("/usr/bin/containerd", "--config", str(CONF / "containerd.toml"), "--log-level", "warn"),
            _socket(CONTAINERD_SOCKET),
        ),
        Daemon(
            "kube-apiserver",
            kubernetes(
                "kube-apiserver",
                etcd_servers="http://127.0.0.1:2379",
                advertise_address=NODE_ADDRESS,
                service_cluster_ip_range=SERVICE_NET,
                authorization_mode="Node,RBAC",
                enable_admission_plugins="NodeRestriction",
                allow_privileged="true",
                client_ca_file=PKI / "ca.crt",
                tls_cert_file=PKI / "apiserver.crt",
                tls_private_key_file=PKI / "apiserver.key",
                kubelet_certificate_authority=PKI / "ca.crt",
                kubelet_client_certificate=PKI / "apiserver-kubelet-client.crt",
                kubelet_client_key=PKI / "apiserver-kubelet-client.key",
                kubelet_preferred_address_types="InternalIP",
                service_account_issuer="https://kubernetes.default.svc.cluster.local",
                service_account_key_file=PKI / "service-account.pub",
                service_account_signing_key_file=PKI / "service-account.key",
                # the aggregation layer, through which metrics-server answers
                requestheader_client_ca_file=PKI / "front-proxy" / "ca.crt",
                requestheader_allowed_names="front-proxy-client",
                requestheader_username_headers="X-Remote-User",
                requestheader_group_headers="X-Remote-Group",
                requestheader_extra_headers_prefix="X-Remote-Extra-",
                proxy_client_cert_file=PKI / "front-proxy" / "client.crt",
                proxy_client_key_file=PKI / "front-proxy" / "client.key",
            ),
            _http(NODE_ADDRESS, 6443, "/readyz", PKI / "ca.crt"),
            needs=("etcd",),
        ),
        Daemon(
            "kube-controller-manager",
            kubernetes(
                "kube-controller-manager",
                kubeconfig=CONF / "controller-manager.kubeconfig",
                leader_elect="false",
                use_service_account_credentials="true",
                service_account_private_key_file=PKI / "service-account.key",
                root_ca_file=PKI / "ca.crt",
                cluster_signing_cert_file=PKI / "ca.crt",
                cluster_signing_key_file=PKI / "ca.key",
                flex_volume_plugin_dir=STATE / "kubelet" / "volumeplugins",
            ),
            _http("127.0.0.1", 10257, "/healthz", insecure=True),
            needs=("kube-apiserver",),
        ),
        Daemon(
            "kube-scheduler",
            kubernetes("kube-scheduler", kubeconfig=CONF / "scheduler.kubeconfig", leader_elect="false"),
            _http("127.0.0.1", 10259, "/healthz", insecure=True),
            needs=("kube-apiserver",),
        ),
        Daemon(
            "kubelet",
            kubernetes(
                "kubelet",
                config=CONF / "kubelet.yaml",
                kubeconfig=CONF / "node.kubeconfig",
                root_dir=STATE / "kubelet",
                hostname_override=NODE,
                node_ip=NODE_ADDRESS,
            ),
            _http("127.0.0.1", 10248, "/healthz"),
            needs=("containerd", "kube-apiserver"),
            prepare=remove_containers,  # of a testbed that was killed: nobody knows their pods
        ),
        Daemon(
            "kube-proxy",
            kubernetes("kube-proxy", config=CONF / "kube-proxy.yaml"),
            _http("127.0.0.1", 10256, "/healthz"),
            needs=("kube-apiserver",),
        ),
    )


def _http(
    host: str, port: int, path: str, authority: Path | None = None, *, insecure: bool = False
) -> Callable[[], str]:
    """Returns a probe that GETs a path and wants 200; `insecure` allows a self-signed certificate."""

    def probe() -> str:
        connection: http.client.HTTPConnection
        try:
            if authority or insecure:
                context = ssl.create_default_context(cafile=authority)
                if insecure:
                    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                connection = http.client.HTTPSConnection(host, port, timeout=_PROBE_SECONDS, context=context)
            else:
                connection = http.client.HTTPConnection(host, port, timeout=_PROBE_SECONDS)
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode(errors="replace")
            connection.close()
        except (OSError, http.client.HTTPException) as error:
            return f"{host}:{port}{path}: {error}"
        return (
            ""
            if answer.status == http.HTTPStatus.OK
            else f"{host}:{port}{path}: {answer.status} {body[:200]}"
        )

    return probe


def _socket(path: Path) -> Callable[[], str]:
    """Returns a probe that connects to a Unix socket."""

    def probe() -> str:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_PROBE_SECONDS)
            try:
                client.connect(str(path))
            except OSError as error:
                return f"{path}: {error}"
        return ""

    return probe


_UNUSED_SNAPSHOTTERS = [
    f"io.containerd.snapshotter.v1.{name}" for name in ("btrfs", "zfs", "devmapper", "aufs")
]
_CONTAINERD = f"""\
version = 2
root = "{{root}}"
state = "{STATE}/containerd"
disabled_plugins = {json.dumps(_UNUSED_SNAPSHOTTERS)}
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true # root without CAP_SYS_RESOURCE may not lower it
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{_CNI_PLUGINS}"
    conf_dir = "{CONF}/cni"
"""

_CNI: dict[str, Any] = {
    "cniVersion": "0.4.0",
    "name": NAME,
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": False,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "dataDir": str(STATE / "cni"),
                "ranges": [[{"subnet": NODE_POD_NET}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}

_KUBELET: dict[str, Any] = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
    "cgroupDriver": "cgroupfs",
    "cgroupRoot": f"/{NAME}",
    "failCgroupV1": False,
    "failSwapOn": False,
    "clusterDNS": [DNS_SERVICE],
    "clusterDomain": "cluster.local",
    "resolvConf": str(CONF / "resolv.conf"),
    "tlsCertFile": str(PKI / "kubelet.crt"),
    "tlsPrivateKeyFile": str(PKI / "kubelet.key"),
    "authentication": {
        "anonymous": {"enabled": False},
        "webhook": {"enabled": True},
        "x509": {"clientCAFile": str(PKI / "ca.crt")},
    },
    "authorization": {"mode": "Webhook"},
    "imageGCHighThresholdPercent": 100,  # an image that is gone cannot be pulled again
    "imageGCLowThresholdPercent": 99,
    "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    "volumeStatsAggPeriod": "10s",  # an emptyDir over its limit is seen soon, not after one or two minutes
    "podLogsDir": str(STATE / "pod-logs"),
    "volumePluginDir": str(STATE / "kubelet" / "volumeplugins"),
    "serializeImagePulls": False,
    "oomScoreAdj": 0,  # see restrict_oom_score_adj above
    "nodeStatusUpdateFrequency": "5s",
    "syncFrequency": "10s",
}

_KUBE_PROXY: dict[str, Any] = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "mode": "iptables",
    "hostnameOverride": NODE,
    "clusterCIDR": POD_NET,
    "oomScoreAdj": 0,
    "clientConnection": {"kubeconfig": str(CONF / "proxy.kubeconfig")},
    # 0: leave the limits alone; they are this machine's, not the namespace's
    "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
}
