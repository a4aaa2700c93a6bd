"""Certificates and kubeconfigs of one testbed: an authority of its own, alive as long as the testbed."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .layout import API_SERVICE, API_URL, CONF, NAME, NODE, NODE_ADDRESS, PKI

_LIFETIME = datetime.timedelta(days=365)
_MASTERS = "system:masters"
# kubeconfig (under CONF): the client it speaks for
CLIENTS = {
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "node": (f"system:node:{NODE}", "system:nodes"),
}


def write_private(path: Path, data: bytes) -> None:
    """Writes a file that only root can read, never readable by others in between."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)


class Authority:
    """A certificate authority that writes what it signs as NAME.crt and NAME.key into one folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = _subject(name, "")
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
            decipher_only=False,
        )  # fmt: skip
        self.certificate = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self._write("ca", self.certificate, self._key)

    def issue(self, file: str, common_name: str, organization: str = "", names: Sequence[str] = ()) -> None:
        """Signs a certificate for a client or, with DNS names or addresses, for a server."""
        key = ec.generate_private_key(ec.SECP256R1())
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        builder = self._builder(_subject(common_name, organization), key).add_extension(
            x509.ExtendedKeyUsage(purposes), critical=False
        )
        if names:
            alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        self._write(file, builder.sign(self._key, hashes.SHA256()), key)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder(issuer_name=self._name, subject_name=subject, public_key=key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(
                now - datetime.timedelta(minutes=5)
            )  # clocks of one machine, but they may be set back
            .not_valid_after(now + _LIFETIME)
        )

    def _write(self, file: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        (self._folder / f"{file}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        write_private(self._folder / f"{file}.key", _pem(key))


def create() -> None:
    """Makes every certificate and key, and the daemons' kubeconfigs."""
    PKI.mkdir(mode=0o700, parents=True)
    authority = Authority(PKI, NAME)
    service = "kubernetes.default.svc.cluster.local"
    api_names = [service, "kubernetes.default.svc", "kubernetes.default", "kubernetes", "localhost"]
    authority.issue("apiserver", "kube-apiserver", names=[*api_names, "127.0.0.1", NODE_ADDRESS, API_SERVICE])
    authority.issue("apiserver-kubelet-client", "kube-apiserver-kubelet-client", _MASTERS)
    authority.issue("kubelet", NODE, names=[NODE, NODE_ADDRESS, "127.0.0.1"])
    authority.issue("admin", "admin", _MASTERS)
    front_proxy = (
        PKI / "front-proxy"
    )  # a second authority: who it signs may say "I act for ..." to other API servers
    front_proxy.mkdir()
    Authority(front_proxy, f"{NAME}-front-proxy").issue("client", "front-proxy-client")

    signer = rsa.generate_private_key(public_exponent=65537, key_size=2048)  # of service accounts' tokens
    write_private(PKI / "service-account.key", _pem(signer))
    (PKI / "service-account.pub").write_bytes(
        signer.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    for file, (common_name, organization) in CLIENTS.items():
        authority.issue(file, common_name, organization)
        write_kubeconfig(CONF / f"{file}.kubeconfig", file)


def write_kubeconfig(path: Path, client: str) -> None:
    """Writes a kubeconfig with everything in it; its context is named like the testbed."""

    def inline(file: str) -> str:
        return base64.b64encode((PKI / file).read_bytes()).decode()

    cluster = {"server": API_URL, "certificate-authority-data": inline("ca.crt")}
    user = {"client-certificate-data": inline(f"{client}.crt"), "client-key-data": inline(f"{client}.key")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": cluster}],
        "users": [{"name": f"{NAME}-{client}", "user": user}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": f"{NAME}-{client}"}}],
        "current-context": NAME,
    }
    write_private(path, yaml.safe_dump(config).encode())


def _subject(common_name: str, organization: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
