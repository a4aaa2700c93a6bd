"""Certificates: what the cluster's programs check is in them, and keys are root's alone."""

import stat
from pathlib import Path

import pytest
import yaml
from cryptography import x509

from floe_testbed import pki


@pytest.fixture
def made(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(pki, "PKI", tmp_path / "pki")
    monkeypatch.setattr(pki, "CONF", tmp_path)
    pki.create()
    pki.write_kubeconfig(tmp_path / "user", "admin")
    return tmp_path


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_every_certificate_is_signed_by_its_authority(made):
    for folder in (made / "pki", made / "pki" / "front-proxy"):
        authority = certificate(folder / "ca.crt")
        for path in folder.glob("*.crt"):
            certificate(path).verify_directly_issued_by(authority)


def test_api_server_is_valid_under_every_name_that_clients_use(made):
    names = certificate(made / "pki" / "apiserver.crt").extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert "kubernetes.default.svc" in names.value.get_values_for_type(x509.DNSName)
    assert {str(a) for a in names.value.get_values_for_type(x509.IPAddress)} == {
        "127.0.0.1",
        "10.199.0.2",
        "10.201.0.1",
    }


def test_node_is_in_the_group_that_may_be_a_node(made):
    assert (
        certificate(made / "pki" / "node.crt").subject.rfc4514_string()
        == "CN=system:node:floe-testbed,O=system:nodes"
    )


def test_no_key_is_readable_by_others(made):
    private = [*made.rglob("*.key"), *made.glob("*.kubeconfig"), made / "user"]
    assert len(private) > 10
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


def test_users_context_has_the_documented_name(made):
    assert yaml.safe_load((made / "user").read_text())["current-context"] == "floe-testbed"
